package azure

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FromEnvironment reads connection strings from the variables that the Azure SDKs and Functions bindings read. environ has the form
// of [os.Environ]. S below is SignalR or WebPubSub; "__" stands for ":", which some systems allow in a name:
//
//	Azure__S__ConnectionString                        an endpoint without a name, a primary
//	Azure__S__ConnectionString__<name>[__<role>]      a named one
//	ConnectionStrings__Azure__S__ConnectionString…    the same; each of the two forms only counts if there is none of it above
//	Azure__S__Endpoints__<name>[__<role>]             a named one
//	AzureSignalRConnectionString                      one more without a name
//	WebPubSubConnectionString                         one more without a name (unverified)
//
// Case does not count, except in <name>. A variable with an empty value is skipped; of one given twice the last counts. Name and
// role obey [ParseName]. All mistakes are reported together, each with its variable; all endpoints that can be read are returned
// with them, those of Web PubSub first, in the order of their variables. The list is not reduced: see [Reduce].
func FromEnvironment(environ []string) ([]Endpoint, error) {
	given := make(map[string]string)
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			given[name] = value
		}
	}
	var found []setting
	var errs []error
	for _, variable := range slices.Sorted(maps.Keys(given)) {
		s, ok := readSetting(variable, strings.TrimSpace(given[variable]))
		if ok && s.text != "" {
			found = append(found, s)
		}
	}
	found, errs = withoutClashes(withoutFallbacks(found))
	slices.SortStableFunc(found, func(a, b setting) int { return cmp.Compare(a.service, b.service) })
	var list []Endpoint
	for _, s := range found {
		e, err := s.endpoint()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.variable, err))
			continue
		}
		list = append(list, e)
	}
	return list, errors.Join(errs...)
}

// form is where in the settings an endpoint was given.
type form uint8

const (
	primaryForm  form = iota // Azure:S:ConnectionString
	fallbackForm             // ConnectionStrings:Azure:S:ConnectionString
	endpointsForm
	functionsForm
)

// setting is one variable that is meant for us.
type setting struct {
	variable string
	service  Service
	form     form
	name     string // "name" or "name:role"
	named    bool
	text     string // its value
}

// settingNames are the beginnings of settings, in lower case.
var settingNames = []struct {
	prefix  string
	service Service
	form    form
}{
	{"azure:signalr:connectionstring", SignalR, primaryForm},
	{"azure:webpubsub:connectionstring", WebPubSub, primaryForm},
	{"connectionstrings:azure:signalr:connectionstring", SignalR, fallbackForm},
	{"connectionstrings:azure:webpubsub:connectionstring", WebPubSub, fallbackForm},
	{"azure:signalr:endpoints", SignalR, endpointsForm},
	{"azure:webpubsub:endpoints", WebPubSub, endpointsForm},
	{"azuresignalrconnectionstring", SignalR, functionsForm},
	{"webpubsubconnectionstring", WebPubSub, functionsForm},
}

func readSetting(variable, text string) (setting, bool) {
	key := strings.ReplaceAll(variable, "__", ":")
	lower := lowerASCII(key)
	for _, n := range settingNames {
		if !strings.HasPrefix(lower, n.prefix) {
			continue
		}
		rest := key[len(n.prefix):]
		if rest != "" && rest[0] != ':' {
			continue // a longer word
		}
		return setting{
			variable: variable, service: n.service, form: n.form, name: strings.TrimPrefix(rest, ":"), named: rest != "", text: text,
		}, true
	}
	return setting{}, false
}

// withoutFallbacks drops the fallback forms where the others have something.
func withoutFallbacks(all []setting) []setting {
	type kind struct {
		service Service
		named   bool
	}
	have := make(map[kind]bool)
	for _, s := range all {
		if s.form == primaryForm {
			have[kind{s.service, s.named}] = true
		}
	}
	return slices.DeleteFunc(all, func(s setting) bool { return s.form == fallbackForm && have[kind{s.service, s.named}] })
}

// withoutClashes reports variables whose names differ in case only: which of them counts would be chance.
func withoutClashes(all []setting) ([]setting, []error) {
	var errs []error
	first := make(map[string]string)
	kept := slices.DeleteFunc(all, func(s setting) bool {
		key := lowerASCII(strings.ReplaceAll(s.variable, "__", ":"))
		if other, twice := first[key]; twice {
			errs = append(errs, fmt.Errorf("%s and %s: are the same setting; remove one", other, s.variable))
			return true
		}
		first[key] = s.variable
		return false
	})
	return kept, errs
}

// identityWords follow the name in settings of Microsoft Entra identities.
var identityWords = []string{"serviceuri", "type", "credential", "clientid", "tenantid", "clientsecret", "clientendpoint",
	"serverendpoint"}

func (s setting) endpoint() (Endpoint, error) {
	_, last, _ := strings.Cut(s.name, ":")
	if s.form == functionsForm {
		last = s.name
	}
	if slices.Contains(identityWords, lowerASCII(last)) {
		return Endpoint{}, errors.New("is part of an identity-based connection, which is not supported; " +
			"give a connection string with an AccessKey")
	}
	if s.form == functionsForm && s.named {
		return Endpoint{}, errors.New("takes no name; use the form Azure__" + settingWord(s.service) + "__Endpoints__<name>__<role>")
	}
	name, role, err := ParseName(s.name)
	if err != nil {
		return Endpoint{}, err
	}
	c, err := ParseConnectionString(s.text)
	if err != nil {
		return Endpoint{}, err
	}
	return Endpoint{Service: s.service, Name: name, Role: role, Connection: c, Source: s.variable}, nil
}

// settingWord is the service as settings name it.
func settingWord(s Service) string {
	if s == SignalR {
		return "SignalR"
	}
	return "WebPubSub"
}
