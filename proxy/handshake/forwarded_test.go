package handshake

import (
	"net/netip"
	"strings"
	"testing"
)

// What trusted proxies are in these tests, and one of them.
var (
	trustedNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	trustedPeer     = netip.MustParseAddr("10.0.0.1")
)

// traced lets a request with further field lines in and traces it.
func traced(t testing.TB, peer netip.Addr, style ForwardStyle, lines ...string) (r *Request, trail *Trail, client netip.Addr) {
	t.Helper()
	r, trail = new(Request), new(Trail)
	err := ParseRequest([]byte(add(append(lines, "X-Last: 1")...)), Limits{Size: 1 << 20}, r)
	if err == nil {
		err = r.CheckUpgrade()
	}
	if err != nil {
		t.Fatalf("%q: %v", lines, err)
	}
	return r, trail, r.Trace(trail, peer, trustedNetworks, style)
}

// told is what the upstream is told in the fields of one kind, "" for nothing.
func told(t testing.TB, r *Request, trail *Trail, peer netip.Addr, style ForwardStyle) (fields [4]string) {
	t.Helper()
	head := r.AppendUpstream(nil, sampleUpstream, Forward{Client: peer, Proto: "http", Trail: trail, Style: style})
	_, rest, _ := strings.Cut(string(head), "\r\n")
	parsed, bad := parseFields(nil, []byte(rest), 1000, false)
	if bad != faultNone {
		t.Fatalf("%v in\n%s", fieldRefusals[bad], head)
	}
	for _, f := range parsed {
		if f.kind < kindForwarded {
			continue
		}
		if f.kind == kindForwardedOther || fields[f.kind-kindForwarded] != "" {
			t.Fatalf("%s is there, or twice, in\n%s", f.Name, head)
		}
		fields[f.kind-kindForwarded] = string(f.Value)
	}
	return fields
}

// TestTraceX walks chains in X-Forwarded-For: who the client is, and which part of
// the chain goes on.
func TestTraceX(t *testing.T) {
	f := func(list, wantClient, wantChain string) {
		t.Helper()
		lines := strings.Split(list, "|")
		for i := range lines {
			lines[i] = "X-Forwarded-For: " + lines[i]
		}
		r, trail, client := traced(t, trustedPeer, ForwardX, lines...)
		if got := client.String(); got != wantClient {
			t.Errorf("%q: the client is %s, want %s", list, got, wantClient)
		}
		if wantChain != "" {
			wantChain += ", "
		}
		if got := told(t, r, trail, trustedPeer, ForwardX)[kindForwardedFor-kindForwarded]; got != wantChain+"10.0.0.1" {
			t.Errorf("%q: the upstream gets %q, want %q", list, got, wantChain+"10.0.0.1")
		}
	}
	f("192.0.2.7", "192.0.2.7", "192.0.2.7")
	f("192.0.2.7, 10.1.1.1", "192.0.2.7", "192.0.2.7, 10.1.1.1")
	f("6.6.6.6, 192.0.2.7", "192.0.2.7", "192.0.2.7")
	f("6.6.6.6, 192.0.2.7, 10.1.1.1", "192.0.2.7", "192.0.2.7, 10.1.1.1")
	f("10.9.9.9, 192.0.2.7, 10.1.1.1", "192.0.2.7", "192.0.2.7, 10.1.1.1")
	f("10.2.2.2, 10.1.1.1", "10.2.2.2", "10.2.2.2, 10.1.1.1") // nobody else: a proxy asks for itself
	// Several fields are one list.
	f("6.6.6.6|192.0.2.7|10.1.1.1", "192.0.2.7", "192.0.2.7, 10.1.1.1")
	f("6.6.6.6, 192.0.2.7|10.1.1.1, 10.2.2.2", "192.0.2.7", "192.0.2.7, 10.1.1.1, 10.2.2.2")
	f("192.0.2.7 ,\t10.1.1.1", "192.0.2.7", "192.0.2.7, 10.1.1.1")
	// Forms of an address.
	f("192.0.2.7:4711", "192.0.2.7", "192.0.2.7")
	f("192.0.2.7:0, 10.1.1.1:65535", "192.0.2.7", "192.0.2.7, 10.1.1.1")
	f("2001:db8::1", "2001:db8::1", "2001:db8::1")
	f("2001:DB8:0:0::1, fd00::2", "2001:db8::1", "2001:db8::1, fd00::2")
	f("[2001:db8::1]", "2001:db8::1", "2001:db8::1")
	f("[2001:db8::1]:4711, [fd00::2]:1", "2001:db8::1", "2001:db8::1, fd00::2")
	f("::ffff:192.0.2.7, ::ffff:10.1.1.1", "192.0.2.7", "192.0.2.7, 10.1.1.1")
	// No address: the last one that was reached.
	f("unknown", "10.0.0.1", "unknown")
	f("192.0.2.7, Unknown, 10.1.1.1", "10.1.1.1", "unknown, 10.1.1.1")
	f("192.0.2.7, _hidden:80, 10.1.1.1", "10.1.1.1", "unknown, 10.1.1.1")
	// Malformed: the same, and nothing of it goes on.
	for _, bad := range []string{
		"", "x", "192.0.2", "192.0.2.256", "192.0.2.07", "1.2.3.4.5", "192.0.2.7:", "192.0.2.7:x", "192.0.2.7:65536", "192.0.2.7:123456",
		"192.0.2.7 10.1.1.1", "[192.0.2.7]", "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]x", "[2001:db8::1]:", "[]", "[", "]", ":", "::1::",
		"fe80::1%eth0", "[fe80::1%25eth0]", `"192.0.2.7"`, "for=192.0.2.7", "10.0.0.0/8", "localhost", "_", "_a~", "\xff",
		strings.Repeat("1", 64<<10), strings.Repeat("[", 1000),
	} {
		f(bad, "10.0.0.1", "")
		f("192.0.2.7, "+bad+", 10.1.1.1", "10.1.1.1", "10.1.1.1")
	}
	// Too long: the last one that is looked at.
	long := strings.TrimSuffix(strings.Repeat("10.1.1.1, ", MaxHops-1), ", ")
	f("6.6.6.6, 192.0.2.7, "+long, "192.0.2.7", "192.0.2.7, "+long)
	f("192.0.2.7, 10.2.2.2, "+long, "10.2.2.2", "10.2.2.2, "+long)
	f("192.0.2.7, 10.3.3.3, 10.2.2.2, "+long, "10.2.2.2", "10.2.2.2, "+long)
}

// TestTraceForwarded walks chains in Forwarded.
func TestTraceForwarded(t *testing.T) {
	const own = `for=10.0.0.1;proto=http;host="router.example:8080"`
	f := func(list, wantClient, wantChain string) {
		t.Helper()
		lines := strings.Split(list, "|")
		for i := range lines {
			lines[i] = "Forwarded: " + lines[i]
		}
		r, trail, client := traced(t, trustedPeer, ForwardRFC7239, lines...)
		if got := client.String(); got != wantClient {
			t.Errorf("%q: the client is %s, want %s", list, got, wantClient)
		}
		if wantChain != "" {
			wantChain += ", "
		}
		if got := told(t, r, trail, trustedPeer, ForwardRFC7239)[0]; got != wantChain+own {
			t.Errorf("%q: the upstream gets %q, want %q", list, got, wantChain+own)
		}
	}
	same := func(list, wantClient string) { t.Helper(); f(list, wantClient, list) }
	same("for=192.0.2.7", "192.0.2.7")
	same("For=192.0.2.7;Proto=https;By=10.0.0.1;HOST=a.example", "192.0.2.7")
	same("for=192.0.2.7;secret=x;secret=y", "192.0.2.7")
	same(`for="192.0.2.7:4711"`, "192.0.2.7")
	same(`for="[2001:db8::1]"`, "2001:db8::1")
	same(`for="[2001:db8::1]:4711", for=10.1.1.1;by="[fd00::1]:80"`, "2001:db8::1")
	same(`for="192.0.2.7:_port"`, "192.0.2.7")
	same(`for="192\.0.2.\7"`, "192.0.2.7")
	same(`;for=192.0.2.7;`, "192.0.2.7")
	f("for=6.6.6.6, for=192.0.2.7, for=10.1.1.1", "192.0.2.7", "for=192.0.2.7, for=10.1.1.1")
	f("for=6.6.6.6|for=192.0.2.7|for=10.1.1.1", "192.0.2.7", "for=192.0.2.7, for=10.1.1.1")
	f("for=192.0.2.7 ; proto=https ,\tfor=10.1.1.1", "192.0.2.7", "for=192.0.2.7 ; proto=https, for=10.1.1.1")
	// Separators in quotes are none.
	same(`for=192.0.2.7;by="_a,b;c=\"d", for=10.1.1.1`, "192.0.2.7")
	same(`for=192.0.2.7;x="\\", for=10.1.1.1;y="\\\""`, "192.0.2.7")
	// No address, but well said: it goes on.
	same("for=unknown", "10.0.0.1")
	f("for=192.0.2.7, for=_SEVKISEK, for=10.1.1.1", "10.1.1.1", "for=_SEVKISEK, for=10.1.1.1")
	f(`for=192.0.2.7, for="_gazonk:80", for=10.1.1.1`, "10.1.1.1", `for="_gazonk:80", for=10.1.1.1`)
	f("for=192.0.2.7, proto=https, for=10.1.1.1", "10.1.1.1", "proto=https, for=10.1.1.1")
	// Malformed.
	for _, bad := range []string{
		"", "for", "for=", "=192.0.2.7", "192.0.2.7", "for 192.0.2.7", "for= 192.0.2.7", "for =192.0.2.7", "for=192.0.2.7;for=192.0.2.8",
		"for=192.0.2.7:4711", "for=[2001:db8::1]", `for="2001:db8::1"`, `for="192.0.2.7`, `for=192.0.2.7"`, `for="192.0.2.7"x`,
		`for="`, `for="""`, `for="\"`, `for="192.0.2.7\"`, `for="[fe80::1%25eth0]"`, "for=192.0.2.7;proto=https;proto=http", "for=192.0.2.7;x", "for=_",
		"for=192.0.2.256", `for=""`, `for=192.0.2.7;by="`, "f\xf6r=192.0.2.7",
	} {
		f(bad, "10.0.0.1", "")
		f("for=192.0.2.7, "+bad+", for=10.1.1.1", "10.1.1.1", "for=10.1.1.1")
	}
	// What a stranger has left open does not swallow what a proxy has written.
	f(`for="6.6.6.6, for=192.0.2.7`, "192.0.2.7", "for=192.0.2.7")
	f(`for="6.6.6.6\, for=192.0.2.7;proto="https"`, "192.0.2.7", `for=192.0.2.7;proto="https"`)
	f(`for="6.6.6.6|for=192.0.2.7`, "192.0.2.7", "for=192.0.2.7")
	long := strings.TrimSuffix(strings.Repeat("for=10.1.1.1, ", MaxHops), ", ")
	f("for=192.0.2.7, "+long, "10.1.1.1", long)
}

// TestTraceStyles: by the style one family of fields is read, and what it says is
// told in the words of the other one, if that is wanted.
func TestTraceStyles(t *testing.T) {
	const (
		self   = "127.0.0.1"
		ownFor = "for=10.0.0.1;proto=http;host=\"router.example:8080\""
	)
	x := []string{"X-Forwarded-For: 192.0.2.7, 10.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example:444"}
	fwd := []string{`Forwarded: for=192.0.2.7;proto=https;host="app.example:444", for=10.1.1.1;proto=http`}
	both := append(append([]string(nil), x...), fwd...)
	type fields = [4]string // Forwarded, X-Forwarded-For, -Proto, -Host
	wantX := fields{1: "192.0.2.7, 10.1.1.1, 10.0.0.1", 2: "https", 3: "app.example:444"}
	plainX := fields{1: "10.0.0.1", 2: "http", 3: "router.example:8080"}
	own := fields{ownFor}
	with := func(f fields, forwarded string) fields { f[0] = forwarded; return f }
	for _, row := range []struct {
		name   string
		lines  []string
		style  ForwardStyle
		client string
		want   fields
	}{
		{"X", x, ForwardX, "192.0.2.7", wantX},
		{"X, and Forwarded by a stranger", append([]string{"Forwarded: for=6.6.6.6;proto=gopher"}, x...), ForwardX, "192.0.2.7", wantX},
		{"Forwarded is not X", fwd, ForwardX, "10.0.0.1", plainX},
		{"Forwarded", fwd, ForwardRFC7239, "192.0.2.7", fields{strings.TrimPrefix(fwd[0], "Forwarded: ") + ", " + ownFor}},
		{"Forwarded, and X by a stranger", append([]string{"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: gopher"}, fwd...), ForwardRFC7239, "192.0.2.7",
			fields{strings.TrimPrefix(fwd[0], "Forwarded: ") + ", " + ownFor}},
		{"X is not Forwarded", x, ForwardRFC7239, "10.0.0.1", own},
		{"X to both", x, ForwardBoth, "192.0.2.7", with(wantX, `for=192.0.2.7;proto=https;host="app.example:444", for=10.1.1.1, `+ownFor)},
		{"Forwarded to both", fwd, ForwardBoth, "192.0.2.7", with(wantX, strings.TrimPrefix(fwd[0], "Forwarded: ")+", "+ownFor)},
		{"Forwarded to both, scheme by a stranger", append([]string{"X-Forwarded-Proto: gopher"}, fwd...), ForwardBoth, "192.0.2.7",
			with(wantX, strings.TrimPrefix(fwd[0], "Forwarded: ")+", "+ownFor)},
		{"both to both", both, ForwardBoth, "192.0.2.7", with(wantX, strings.TrimPrefix(fwd[0], "Forwarded: ")+", "+ownFor)},
		{"both disagree about the client", append([]string{"Forwarded: for=6.6.6.6;proto=https"}, x...), ForwardBoth, "10.0.0.1", with(plainX, ownFor)},
		{"both disagree about the rest", append([]string{"Forwarded: for=192.0.2.7;proto=gopher;host=evil.example"}, x...), ForwardBoth, "192.0.2.7",
			fields{"for=192.0.2.7;proto=gopher;host=evil.example, " + ownFor, "192.0.2.7, 10.1.1.1, 10.0.0.1", "http", "router.example:8080"}},
		{"both, one silent about the rest", append([]string{"Forwarded: for=192.0.2.7"}, x...), ForwardBoth, "192.0.2.7",
			fields{"for=192.0.2.7, " + ownFor, "192.0.2.7, 10.1.1.1, 10.0.0.1", "http", "router.example:8080"}},
		{"X to none", x, ForwardNone, "192.0.2.7", fields{}},
		{"Forwarded to none", fwd, ForwardNone, "10.0.0.1", fields{}},
		{"nothing", nil, ForwardBoth, "10.0.0.1", with(plainX, ownFor)},
		{"scheme and host alone", x[1:], ForwardX, "10.0.0.1", fields{1: "10.0.0.1", 2: "https", 3: "app.example:444"}},
		{"scheme and host alone to both", x[1:], ForwardBoth, "10.0.0.1", fields{ownFor, "10.0.0.1", "https", "app.example:444"}},
		{"last scheme and host", []string{"X-Forwarded-Proto: gopher", "X-Forwarded-Proto: http, https", "X-Forwarded-Host: evil.example, app.example"}, ForwardX, "10.0.0.1",
			fields{1: "10.0.0.1", 2: "https", 3: "app.example"}},
		{"bad scheme and host", []string{"X-Forwarded-Proto: ht tp", "X-Forwarded-Host: a b"}, ForwardX, "10.0.0.1", plainX},
		{"odd schemes", []string{"X-Forwarded-Proto: 1http", "X-Forwarded-Host: u@a"}, ForwardX, "10.0.0.1", plainX},
		{"long scheme", []string{"X-Forwarded-Proto: " + strings.Repeat("a", 17)}, ForwardX, "10.0.0.1", plainX},
		{"bad scheme and host in Forwarded", []string{`Forwarded: for=192.0.2.7;proto="a b";host="a/b"`}, ForwardBoth, "192.0.2.7",
			fields{`for=192.0.2.7;proto="a b";host="a/b", ` + ownFor, "192.0.2.7, 10.0.0.1", "http", "router.example:8080"}},
		{"IPv6 to both", []string{"X-Forwarded-For: 2001:db8::1, unknown", "X-Forwarded-For: 2001:db8::1"}, ForwardBoth, "2001:db8::1",
			with(fields{1: "2001:db8::1, 10.0.0.1", 2: "http", 3: "router.example:8080"}, `for="[2001:db8::1]", `+ownFor)},
		{"unknown to both", []string{"X-Forwarded-For: unknown"}, ForwardBoth, "10.0.0.1",
			with(fields{1: "unknown, 10.0.0.1", 2: "http", 3: "router.example:8080"}, "for=unknown, "+ownFor)},
		{"others are dropped", []string{"X-Forwarded-Port: 1", "X-Forwarded-Prefix: /a", "X-Real-IP: 6.6.6.6", "X-Forwarded: x"}, ForwardX, "10.0.0.1", plainX},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, trail, client := traced(t, trustedPeer, row.style, row.lines...)
			if client.String() != row.client {
				t.Errorf("the client is %v, want %s", client, row.client)
			}
			if got := told(t, r, trail, trustedPeer, row.style); got != row.want {
				t.Errorf("the upstream is told\n%q, want\n%q", got, row.want)
			}
			// The same from anybody else says nothing.
			stranger := netip.MustParseAddr(self)
			if client := r.Trace(trail, stranger, trustedNetworks, row.style); client != stranger {
				t.Errorf("a stranger passes for %v", client)
			}
			_, none, _ := traced(t, stranger, row.style)
			if got, want := told(t, r, trail, stranger, row.style), told(t, r, none, stranger, row.style); got != want {
				t.Errorf("a stranger has the upstream told\n%q, want\n%q", got, want)
			}
		})
	}
}

// TestTracePeer: whether the peer is trusted, in odd forms of its address.
func TestTracePeer(t *testing.T) {
	f := func(peer netip.Addr, want string) {
		t.Helper()
		if _, _, client := traced(t, peer, ForwardX, "X-Forwarded-For: 192.0.2.7"); client.String() != want {
			t.Errorf("%v: the client is %v, want %s", peer, client, want)
		}
	}
	f(netip.MustParseAddr("10.255.255.255"), "192.0.2.7")
	f(netip.MustParseAddr("::ffff:10.0.0.1"), "192.0.2.7")
	f(netip.MustParseAddr("fd00::1%eth0"), "192.0.2.7")
	f(netip.MustParseAddr("11.0.0.1"), "11.0.0.1")
	f(netip.MustParseAddr("::ffff:11.0.0.1"), "11.0.0.1")
	f(netip.MustParseAddr("::10.0.0.1"), "::a00:1")
	f(netip.Addr{}, "invalid IP")
}

// TestTraceAllocations pins that who has no trusted proxies pays nothing, and who
// has some only for what is read.
func TestTraceAllocations(t *testing.T) {
	r, trail, _ := traced(t, trustedPeer, ForwardBoth, "X-Forwarded-For: 192.0.2.7, 10.1.1.1", "Forwarded: for=192.0.2.7, for=10.1.1.1")
	f := func(what string, most float64, networks []netip.Prefix) {
		t.Helper()
		var head []byte
		run := func() {
			r.Trace(trail, trustedPeer, networks, ForwardBoth)
			head = r.AppendUpstream(head[:0], sampleUpstream, Forward{Client: trustedPeer, Proto: "http", Trail: trail, Style: ForwardBoth})
		}
		run() // makes the room
		if n := testing.AllocsPerRun(200, run); n > most {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	f("nobody is trusted", 0, nil)
	f("others are trusted", 0, trustedNetworks[1:])
	f("two chains of two", 4, trustedNetworks) // one for each address
}

// TestQuoted checks what stands behind host= in Forwarded.
func TestQuoted(t *testing.T) {
	for value, want := range map[string]string{"a.example": "a.example", "a.example:1": `"a.example:1"`, "": `""`, `a"\b`: `"a\"\\b"`} {
		got := string(appendQuoted(nil, []byte(value)))
		if got != want {
			t.Errorf("%q becomes %s, want %s", value, got, want)
		}
		if isToken([]byte(value)) {
			continue
		}
		if back, ok := unquote([]byte(got)); !ok || string(back) != value {
			t.Errorf("%s is read as %q, %v", got, back, ok)
		}
	}
}

// FuzzTrace checks of every chain: no panic; the client is the peer, or stands in
// the chain; what is told to the upstream, it reads in the same way if it trusts
// us and those that we trust; and what stands to the left of the client changes
// nothing.
func FuzzTrace(f *testing.F) {
	for _, s := range []string{
		"192.0.2.7", "192.0.2.7, 10.1.1.1:80", "[2001:db8::1]:1, fd00::1", "unknown, 10.1.1.1", "::ffff:10.1.1.1", "10.1.1.1,,10.1.1.1",
		"for=192.0.2.7", `for="[2001:db8::1]:4711";proto=https;host="a:1", for=10.1.1.1`, `for="_a,b", FOR=10.1.1.1;x="\"\\"`, `for="a, for=10.1.1.1`,
		strings.Repeat("10.1.1.1,", 40), strings.Repeat("for=10.1.1.1,", 40),
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, x, forwarded string) {
		head := []byte(add("X-Forwarded-For: "+x, "Forwarded: "+forwarded))
		var r Request
		if err := ParseRequest(head, Limits{Size: 1 << 20}, &r); err != nil {
			return // not one field each, or not fields at all
		}
		if r.CheckUpgrade() != nil || r.count(kindForwarded) != 1 || r.count(kindForwardedFor) != 1 {
			return
		}
		for style := ForwardX; style <= ForwardNone; style++ {
			checkTrace(t, &r, style)
		}
		checkLeft(t, &r, kindForwardedFor, ForwardX)
		checkLeft(t, &r, kindForwarded, ForwardRFC7239)
	})
}

func (r *Request) count(k kind) int { _, n := only(r.Fields, k); return n }

// checkTrace checks that the next one believes the same.
func checkTrace(t *testing.T, r *Request, style ForwardStyle) {
	t.Helper()
	var trail Trail
	client := r.Trace(&trail, trustedPeer, trustedNetworks, style)
	if n := len(trail.addresses); n > MaxHops {
		t.Fatalf("%d hops", n)
	}
	if style == ForwardNone {
		return
	}
	up := r.AppendUpstream(nil, sampleUpstream, Forward{Client: trustedPeer, Proto: "http", Trail: &trail, Style: style})
	var next Request
	if err := ParseRequest(up, Limits{Size: 1 << 20}, &next); err != nil {
		t.Fatalf("upstream: %v\n%s", err, up)
	}
	if len(trail.addresses) == MaxHops {
		return // one more is one too many
	}
	var theirs Trail
	if got := next.Trace(&theirs, trustedPeer, trustedNetworks, style); got != client {
		t.Fatalf("style %d: the client is %v for us, and %v for the upstream\n%s", style, client, got, up)
	}
}

// checkLeft checks that strangers write in vain.
func checkLeft(t *testing.T, r *Request, k kind, style ForwardStyle) {
	t.Helper()
	var trail Trail
	client := r.Trace(&trail, trustedPeer, trustedNetworks, style)
	if among(trustedNetworks, client) || len(trail.addresses) == 0 {
		return // the walk went to the left end, or nowhere
	}
	for i := range r.Fields {
		if f := &r.Fields[i]; f.kind == k {
			for _, left := range []string{"6.6.6.6", `for=6.6.6.6`, `"`, `for="`, `\`, ""} {
				changed := *r
				changed.Fields = append([]Field(nil), r.Fields...)
				changed.Fields[i].Value = append([]byte(left+","), f.Value...)
				if got := changed.Trace(&trail, trustedPeer, trustedNetworks, style); got != client {
					t.Fatalf("the client is %v, and with %q before it %v: %s", client, left, got, f.Value)
				}
			}
		}
	}
}
