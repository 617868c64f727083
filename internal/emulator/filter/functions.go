package filter

import (
	"slices"
	"strings"
)

// A function says what it takes and how it is worked out once no argument is
// null. A null argument makes a bool false and anything else null.
type function struct {
	name   string
	args   []kind
	result kind
	apply  func(args []value) value
}

// functions may share a name with different arguments.
var functions = []function{
	{"contains", []kind{kindString, kindString}, kindBool, func(a []value) value { return value{b: strings.Contains(a[0].s, a[1].s)} }},
	{"startswith", []kind{kindString, kindString}, kindBool, func(a []value) value { return value{b: strings.HasPrefix(a[0].s, a[1].s)} }},
	{"endswith", []kind{kindString, kindString}, kindBool, func(a []value) value { return value{b: strings.HasSuffix(a[0].s, a[1].s)} }},
	{"indexof", []kind{kindString, kindString}, kindInt, func(a []value) value { return value{n: indexOf(a[0].s, a[1].s)} }},
	{"length", []kind{kindString}, kindInt, func(a []value) value { return value{n: length(a[0].s)} }},
	{"length", []kind{kindGroups}, kindInt, func(a []value) value { return value{n: len(a[0].set)} }},
	{"concat", []kind{kindString, kindString}, kindString, func(a []value) value { return value{s: a[0].s + a[1].s} }},
	{"tolower", []kind{kindString}, kindString, func(a []value) value { return value{s: strings.ToLower(a[0].s)} }},
	{"toupper", []kind{kindString}, kindString, func(a []value) value { return value{s: strings.ToUpper(a[0].s)} }},
	{"trim", []kind{kindString}, kindString, func(a []value) value { return value{s: strings.TrimSpace(a[0].s)} }},
	{"substring", []kind{kindString, kindInt}, kindString, func(a []value) value { return value{s: substring(a[0].s, a[1].n, -1)} }},
	{"substring", []kind{kindString, kindInt, kindInt}, kindString, func(a []value) value {
		return value{s: substring(a[0].s, a[1].n, max(a[2].n, 0))}
	}},
}

// call reads what follows the name of a function.
func (p *parser) call(name token) (expression, error) {
	known := slices.ContainsFunc(functions, func(f function) bool { return strings.EqualFold(f.name, name.text) })
	if !known {
		return expression{}, name.fault("unknown name %s", name)
	}
	if err := p.expect("("); err != nil {
		return expression{}, err
	}
	var args []expression
	for {
		arg, err := p.unary()
		if err != nil {
			return arg, err
		}
		args = append(args, arg)
		if !p.accept(tokenMark, ",") {
			break
		}
	}
	if err := p.expect(")"); err != nil {
		return expression{}, err
	}
	for _, f := range functions {
		if strings.EqualFold(f.name, name.text) && f.takes(args) {
			return f.of(args), nil
		}
	}
	return expression{}, name.fault("%s does not take such arguments", name)
}

func (f function) takes(args []expression) bool {
	return slices.EqualFunc(f.args, args, func(want kind, arg expression) bool {
		return arg.kind == want || arg.kind == kindNull && want != kindGroups
	})
}

func (f function) of(args []expression) expression {
	return expression{f.result, func(s *Subject) value {
		values := make([]value, len(args))
		for i, arg := range args {
			if values[i] = arg.eval(s); values[i].null {
				return value{null: f.result != kindBool}
			}
		}
		return f.apply(values)
	}}
}
