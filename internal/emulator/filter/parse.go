package filter

import (
	"slices"
	"strconv"
	"strings"
)

// A parser goes down through the operators, from the loosest to the tightest:
// or, and, comparison, not, and then what stands alone.
type parser struct {
	tokens []token
	next   int
	depth  int
}

func (p *parser) peek() token { return p.tokens[p.next] }

func (p *parser) take() token {
	t := p.tokens[p.next]
	if t.kind != tokenEnd {
		p.next++
	}
	return t
}

// accept takes the next token if it is the given one.
func (p *parser) accept(kind tokenKind, text string) bool {
	if !p.peek().is(kind, text) {
		return false
	}
	p.take()
	return true
}

func (p *parser) expect(mark string) error {
	if t := p.take(); !t.is(tokenMark, mark) {
		return t.fault("%s where %q is wanted", t, mark)
	}
	return nil
}

func (p *parser) or() (expression, error) {
	return p.logical("or", p.and, func(a, b expression) expression {
		return expression{kindBool, func(s *Subject) value { return value{b: a.eval(s).b || b.eval(s).b} }}
	})
}

func (p *parser) and() (expression, error) {
	return p.logical("and", p.comparison, func(a, b expression) expression {
		return expression{kindBool, func(s *Subject) value { return value{b: a.eval(s).b && b.eval(s).b} }}
	})
}

func (p *parser) logical(op string, operand func() (expression, error), join func(a, b expression) expression) (expression, error) {
	left, err := operand()
	if err != nil {
		return left, err
	}
	for p.peek().is(tokenWord, op) {
		at := p.take()
		right, err := operand()
		if err != nil {
			return right, err
		}
		for _, side := range []expression{left, right} {
			if side.kind != kindBool {
				return side, at.fault("%s needs a bool on both sides, one is %s", op, side.kind)
			}
		}
		left = join(left, right)
	}
	return left, nil
}

var comparisons = []string{"eq", "ne", "gt", "ge", "lt", "le"}

func (p *parser) comparison() (expression, error) {
	left, err := p.unary()
	if err != nil {
		return left, err
	}
	at := p.peek()
	if at.is(tokenWord, "in") {
		p.take()
		return p.membership(at, left)
	}
	op := strings.ToLower(at.text)
	if at.kind != tokenWord || !slices.Contains(comparisons, op) {
		return left, nil
	}
	p.take()
	right, err := p.unary()
	if err != nil {
		return right, err
	}
	k, err := common(at, left, right)
	if err != nil {
		return left, err
	}
	if k == kindBool && op != "eq" && op != "ne" {
		return left, at.fault("%s cannot compare bools", op)
	}
	return comparison(op, k, left, right), nil
}

// common returns the kind in which two operands can be compared.
func common(at token, a, b expression) (kind, error) {
	for _, side := range []expression{a, b} {
		if side.kind == kindGroups {
			return 0, at.fault("a collection cannot be compared, use in or length")
		}
	}
	switch {
	case a.kind == b.kind || b.kind == kindNull:
		return a.kind, nil
	case a.kind == kindNull:
		return b.kind, nil
	}
	return 0, at.fault("%s cannot be compared with %s", a.kind, b.kind)
}

// membership is what follows "left in": the collection, or a list of values.
// It reads each part once: with going back, nested lists would take time that
// doubles with each of them.
func (p *parser) membership(at token, left expression) (expression, error) {
	listed := p.accept(tokenMark, "(")
	first, err := p.unary()
	if err != nil {
		return first, err
	}
	if first.kind == kindGroups {
		if listed {
			err = p.expect(")")
		}
		if err == nil && left.kind != kindString && left.kind != kindNull {
			err = at.fault("%s cannot be in a collection of strings", left.kind)
		}
		return within(left, first), err
	}
	if !listed {
		return first, at.fault("in needs groups or a list in parentheses")
	}
	var tests []expression
	for item := first; ; {
		k, err := common(at, left, item)
		if err != nil {
			return item, err
		}
		tests = append(tests, comparison("eq", k, left, item))
		if !p.accept(tokenMark, ",") {
			break
		}
		if item, err = p.unary(); err != nil {
			return item, err
		}
	}
	among := func(s *Subject) value {
		return value{b: slices.ContainsFunc(tests, func(t expression) bool { return t.eval(s).b })}
	}
	return expression{kindBool, among}, p.expect(")")
}

func within(left, groups expression) expression {
	return expression{kindBool, func(s *Subject) value {
		x := left.eval(s)
		return value{b: !x.null && slices.Contains(groups.eval(s).set, x.s)}
	}}
}

func (p *parser) unary() (expression, error) {
	at := p.peek()
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return expression{}, at.fault("nested deeper than %d", maxDepth)
	}
	if !p.accept(tokenWord, "not") {
		return p.primary()
	}
	operand, err := p.unary()
	if err != nil {
		return operand, err
	}
	if operand.kind != kindBool {
		return operand, at.fault("not needs a bool, this is %s; it binds tighter than a comparison, which needs parentheses here", operand.kind)
	}
	return expression{kindBool, func(s *Subject) value { return value{b: !operand.eval(s).b} }}, nil
}

func (p *parser) primary() (expression, error) {
	t := p.take()
	switch t.kind {
	case tokenString:
		return constant(kindString, value{s: t.text}), nil
	case tokenInt:
		n, err := strconv.ParseInt(t.text, 10, 32)
		if err != nil {
			return expression{}, t.fault("%s is not an int", t)
		}
		return constant(kindInt, value{n: int(n)}), nil
	case tokenWord:
		return p.word(t)
	case tokenMark:
		if t.text == "(" {
			inner, err := p.or()
			if err != nil {
				return inner, err
			}
			return inner, p.expect(")")
		}
	}
	return expression{}, t.fault("unexpected %s", t)
}

func (p *parser) word(t token) (expression, error) {
	switch strings.ToLower(t.text) {
	case "true", "false":
		return constant(kindBool, value{b: strings.EqualFold(t.text, "true")}), nil
	case "null":
		return constant(kindNull, nullValue), nil
	case "userid":
		return field(func(s *Subject) string { return s.UserID }), nil
	case "connectionid":
		return field(func(s *Subject) string { return s.ConnectionID }), nil
	case "protocol":
		return field(func(s *Subject) string { return s.Protocol }), nil
	case "groups":
		return expression{kindGroups, func(s *Subject) value { return value{set: s.Groups} }}, nil
	}
	return p.call(t)
}

// field is a string that is null where it is empty.
func field(get func(*Subject) string) expression {
	return expression{kindString, func(s *Subject) value {
		text := get(s)
		return value{s: text, null: text == ""}
	}}
}
