package azure

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const conn = "=Endpoint=https://%s;AccessKey=" + keyText + ";Version=1.0;"

func at(host string) string { return fmt.Sprintf(conn, host) }

func TestFromEnvironment(t *testing.T) {
	list, err := FromEnvironment([]string{
		"PATH=/bin", "=C:=x", "rubbish", "Azure__SignalR__HubProtocol=NewtonsoftJson", "Azure__SignalR__ConnectionStrings=no",
		"Azure__SignalR__ConnectionString__backup__secondary" + at("b"),
		"Azure__SignalR__ConnectionString" + at("a"),
		"Azure__SignalR__ConnectionString__East_1" + at("e"),
		"AZURE__SIGNALR__ENDPOINTS__w__SECONDARY" + at("w"),
		"AzureSignalRConnectionString" + at("f"),
		"Azure__WebPubSub__ConnectionString__east__Primary" + at("we"),
		"Azure__WebPubSub__ConnectionString__west__Secondary" + at("lost"),
		"Azure__WebPubSub__ConnectionString__west__Secondary" + at("ww"),
		"Azure:WebPubSub:Endpoints:colon:secondary" + at("wc"),
		"WebPubSubConnectionString" + at("wf"),
		"Azure__SignalR__ConnectionString__empty=", "Azure__SignalR__ConnectionString__blank= ",
		"ConnectionStrings__Azure__SignalR__ConnectionString__hidden" + at("h"),
		"ConnectionStrings__Azure__SignalR__ConnectionString" + at("h"),
		"ConnectionStrings__Azure__WebPubSub__ConnectionString" + at("wu"),
		"ConnectionStrings__Azure__WebPubSub__ConnectionString__hidden" + at("h"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprint(e.Service, " ", e, " ", e.Source))
		if e.Connection.Key.Reveal() != keyText {
			t.Errorf("%v has another key", e)
		}
	}
	want := []string{
		"webpubsub [colon](secondary)https://wc Azure:WebPubSub:Endpoints:colon:secondary",
		"webpubsub [east](primary)https://we Azure__WebPubSub__ConnectionString__east__Primary",
		"webpubsub [west](secondary)https://ww Azure__WebPubSub__ConnectionString__west__Secondary",
		"webpubsub [](primary)https://wu ConnectionStrings__Azure__WebPubSub__ConnectionString",
		"webpubsub [](primary)https://wf WebPubSubConnectionString",
		"signalr [w](secondary)https://w AZURE__SIGNALR__ENDPOINTS__w__SECONDARY",
		"signalr [](primary)https://f AzureSignalRConnectionString",
		"signalr [](primary)https://a Azure__SignalR__ConnectionString",
		"signalr [East_1](primary)https://e Azure__SignalR__ConnectionString__East_1",
		"signalr [backup](secondary)https://b Azure__SignalR__ConnectionString__backup__secondary",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFromEnvironmentOrder(t *testing.T) {
	environ := []string{
		"Azure__SignalR__ConnectionString__b" + at("b"), "Azure__WebPubSub__ConnectionString__z" + at("z"),
		"Azure__SignalR__ConnectionString__a" + at("a"),
	}
	var got []string
	list, err := FromEnvironment(environ)
	for _, e := range list {
		got = append(got, e.Name)
	}
	if want := []string{"z", "a", "b"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if list, err := FromEnvironment(nil); list != nil || err != nil {
		t.Errorf("nothing gives %v, %v", list, err)
	}
}

func TestFromEnvironmentMistakes(t *testing.T) {
	for _, row := range []struct {
		name    string
		environ []string
		say     []string
		left    int
	}{
		{"misspelt role", []string{"Azure__SignalR__ConnectionString__b__secondry" + at("b")},
			[]string{"Azure__SignalR__ConnectionString__b__secondry: ", `"secondry" is not one of primary, secondary`}, 0},
		{"role for a name", []string{"Azure__WebPubSub__ConnectionString__Secondary" + at("b")}, []string{"<name>:secondary"}, 0},
		{"one role too many", []string{"Azure__SignalR__Endpoints__a__primary__secondary" + at("b")}, []string{`"primary:secondary"`}, 0},
		{"bad value", []string{"Azure__SignalR__ConnectionString__a=AccessKey=" + keyText},
			[]string{"__a: connection string: Endpoint is missing"}, 0},
		{"identity", []string{"Azure__SignalR__Endpoints__a__serviceUri=https://x"},
			[]string{"identity-based connection, which is not supported"}, 0},
		{"identity of a function", []string{"AzureSignalRConnectionString__serviceUri=https://x"}, []string{"identity-based"}, 0},
		{"name of a function", []string{"WebPubSubConnectionString__a" + at("a")},
			[]string{"Azure__WebPubSub__Endpoints__<name>__<role>"}, 0},
		{"two cases", []string{"Azure__SignalR__ConnectionString__A" + at("a"), "AZURE__SignalR__ConnectionString__a" + at("b")},
			[]string{"AZURE__SignalR__ConnectionString__a and Azure__SignalR__ConnectionString__A: are the same setting"}, 1},
		{"the rest counts", []string{"Azure__SignalR__ConnectionString" + at("a"), "Azure__SignalR__ConnectionString__b__x" + at("b"),
			"Azure__SignalR__ConnectionString__c=Endpoint=" + keyText + ";a=b"}, []string{"__b__x: ", "__c: "}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			list, err := FromEnvironment(row.environ)
			if err == nil || len(list) != row.left {
				t.Fatalf("got %v, %v", list, err)
			}
			for _, say := range row.say {
				if !strings.Contains(err.Error(), say) {
					t.Errorf("error %q does not say %q", err, say)
				}
			}
			if strings.Contains(err.Error(), keyText) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}
