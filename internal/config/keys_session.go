package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/wsframe"
)

func healthKeys() []field[Config] {
	return []field[Config]{
		choice("health.probe", words(ProbeHTTP, ProbeTCP, ProbeWebSocket),
			"Kind of check. `http`: 2xx on the path. `tcp`: a connect, for services without a health page. `websocket`: handshake, ping and pong, the closest to what clients do; an upstream with a connection string, which takes no WebSocket without a token, is asked for `/api/health` instead.",
			func(c *Config) *Probe { return &c.Health.Probe }),
		text("health.path", "a path that begins with /, without query",
			"Path that `http` probes ask for, on the host of the upstream's URL, or below the ServerEndpoint or Endpoint of its connection string. A `websocket` probe asks for the path of that URL unless another path than the default stands here. `tcp` ignores it.",
			func(c *Config) *string { return &c.Health.Path }, readProbePath),
		duration("health.interval", shortest, day, "",
			"Time between two probes of an upstream. Shorter finds failures sooner and costs the upstream more.",
			func(c *Config) *time.Duration { return &c.Health.Interval }),
		duration("health.recheck", shortest, day, "",
			"Time between probes while the last result differs from the standing one. At most the interval.",
			func(c *Config) *time.Duration { return &c.Health.Recheck }),
		duration("health.timeout", shortest, day, "",
			"Deadline of one probe. At most the interval; raise both for far or slow upstreams.",
			func(c *Config) *time.Duration { return &c.Health.Timeout }),
		share("health.jitter",
			"Share of each wait that is random, so that many routers do not probe in step.",
			func(c *Config) *float64 { return &c.Health.Jitter }),
		integer("health.rise", 1, 1000, "",
			"Good probes in a row that bring an upstream back. Raise it when recovering instances flap.",
			func(c *Config) *int { return &c.Health.Rise }),
		integer("health.fall", 1, 1000, "",
			"Failures in a row that take an upstream out. Lower finds failures sooner, higher forgives single losses.",
			func(c *Config) *int { return &c.Health.Fall }),
		choice("health.initial", words(InitialDown, InitialUp),
			"Belief before the first probe. `down` waits for one good probe; `up` takes sessions at once, for upstreams that are known to be there.",
			func(c *Config) *Initial { return &c.Health.Initial }),
		toggle("health.on_demand",
			"Probes an upstream anew before a client that negotiates may be told of it, when its last probe is older than `max_age`, and prefers others when that fails. Allows a long interval. Handshakes need none: one that fails goes to the next upstream anyway.",
			func(c *Config) *bool { return &c.Health.OnDemand }),
		duration("health.max_age", shortest, day, "",
			"Age up to which the last probe is good enough, with `on_demand`. Below the interval.",
			func(c *Config) *time.Duration { return &c.Health.MaxAge }),
	}
}

func failoverKeys() []field[Config] {
	return []field[Config]{
		integer("failover.attempts", 1, 16, "",
			"Upstreams tried for one client before it gets an error. 1 turns failover within a handshake off.",
			func(c *Config) *int { return &c.Failover.Attempts }),
		duration("failover.connect_timeout", shortest, day, "",
			"Deadline of one TCP connect to an upstream. Low values move on sooner from a host that is gone.",
			func(c *Config) *time.Duration { return &c.Failover.ConnectTimeout }),
		duration("failover.handshake_timeout", shortest, day, "",
			"Deadline of connect and WebSocket handshake together. At least the connect timeout.",
			func(c *Config) *time.Duration { return &c.Failover.HandshakeTimeout }),
		choice("failover.on_down", []option[proxy.Action]{{"keep", proxy.Keep}, {"drain", proxy.DrainAll}, {"close", proxy.CloseAll}},
			"What happens to the sessions of an upstream that is down. `keep`: those whose upstream still sends stay, and those that were silent for `failover.grace` are drained; for upstreams that fail their probes and yet work. `drain`: all are drained after the grace. `close`: all are closed at once after the grace; only where clients come back in their own time. Nobody is closed while there is no other place to go.",
			func(c *Config) *proxy.Action { return &c.Failover.OnDown }),
		duration("failover.grace", shortest, day, "",
			"How long an upstream has to be down before `failover.on_down` is done. Longer than a restart of the service, or each restart moves its sessions; with `keep`, longer than the silences of a healthy session.",
			func(c *Config) *time.Duration { return &c.Failover.Grace }),
		rate("failover.drain_rate",
			"Most sessions closed in a second for each upstream that is down. As many as the others can take in.",
			func(c *Config) *int { return &c.Failover.DrainRate }),
	}
}

func failbackKeys() []field[Config] {
	return []field[Config]{
		duration("failback.hold", shortest, day, "none",
			"How long a recovered upstream has to stay healthy before it takes new sessions, while an upstream of a worse role can take them. Longer than what it needs to warm up.",
			func(c *Config) *time.Duration { return &c.Failback.Hold }),
		duration("failback.max_hold", shortest, day, "",
			"Longest hold: each relapse doubles it up to here. At least the hold.",
			func(c *Config) *time.Duration { return &c.Failback.MaxHold }),
		duration("failback.flap_window", shortest, day, "",
			"A failure this soon after the last recovery is a relapse; an upstream that stays up for longer begins with `failback.hold` again. Longer than the usual time between two failures of a service that flaps.",
			func(c *Config) *time.Duration { return &c.Failback.FlapWindow }),
		duration("failback.ramp", shortest, day, "at once",
			"Time in which the share of new sessions grows from nothing to all after the hold. Set it for services that start with cold caches.",
			func(c *Config) *time.Duration { return &c.Failback.Ramp }),
		toggle("failback.drain.enabled",
			"Leads sessions home: when an upstream takes its full share of new sessions again, those that were opened on a worse role are closed at a pace, and their clients come back to it. Turn it off when sessions are short, or clients lose much by a reconnect.",
			func(c *Config) *bool { return &c.Failback.Drain.Enabled }),
		rate("failback.drain.rate",
			"Most sessions closed in a second for each upstream that is left. Each close is a handshake a moment later: well below what the recovered upstream opens in a second, and sessions divided by rate is how long it takes.",
			func(c *Config) *int { return &c.Failback.Drain.Rate }),
		choice("failback.drain.order", []option[drain.Order]{
			{drain.IdleFirst.String(), drain.IdleFirst}, {drain.OldestFirst.String(), drain.OldestFirst}, {drain.Random.String(), drain.Random},
		},
			"Who goes first. `idle-first`: those that carried no frame for longest, who notice least. `oldest-first`: those that were opened first. `random`: none before the other.",
			func(c *Config) *drain.Order { return &c.Failback.Drain.Order }),
		closeCode("failback.drain.close_code",
			"Code of the Close frame. 1012 (service restart) makes most clients reconnect; take another if yours only do so on that.",
			func(c *Config) *uint16 { return &c.Failback.Drain.CloseCode }),
		text("failback.drain.reason", fmt.Sprintf("1 to %d bytes of printable text", drain.MaxReason),
			"Reason in the Close frame, for clients that show or log it.",
			func(c *Config) *string { return &c.Failback.Drain.Reason }, readReason),
		duration("failback.drain.deadline", shortest, day, "none",
			"Bounds the whole drain; time in which it waits because clients would find no place counts. More than sessions divided by rate.",
			func(c *Config) *time.Duration { return &c.Failback.Drain.Deadline }),
		choice("failback.drain.then", []option[drain.Then]{{drain.Leave.String(), drain.Leave}, {drain.CloseRest.String(), drain.CloseRest}},
			"What happens to the rest at the deadline. `leave`: it stays until it ends by itself. `close`: all of it is closed at once.",
			func(c *Config) *drain.Then { return &c.Failback.Drain.Then }),
	}
}

// closeCode is the code of a Close frame.
func closeCode(name, doc string, at func(*Config) *uint16) field[Config] {
	return field[Config]{
		name: name, doc: doc, bare: true,
		expected: "a close code: 1000 to 1003, 1007 to 1014 or 3000 to 4999",
		set: func(c *Config, s string) error {
			n, err := strconv.Atoi(s)
			if err != nil && !errors.Is(err, strconv.ErrRange) {
				return errors.New("is not a whole number")
			}
			if err != nil || n < 0 || n > math.MaxUint16 || !wsframe.CodeAllowed(uint16(n)) {
				return errors.New("is not allowed in a Close frame")
			}
			*at(c) = uint16(n)
			return nil
		},
		get: func(c *Config) string { return strconv.Itoa(int(*at(c))) },
	}
}

// readReason checks the reason of a Close frame (RFC 6455 section 5.5.1).
func readReason(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("is empty")
	case len(s) > drain.MaxReason:
		return "", fmt.Errorf("is longer than %d bytes", drain.MaxReason)
	case !utf8.ValidString(s):
		return "", errors.New("is not UTF-8")
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return "", errors.New("holds a character that cannot be printed")
		}
	}
	return s, nil
}

func relayKeys() []field[Config] {
	return []field[Config]{
		duration("relay.idle_timeout", shortest, 30*day, "never",
			"Ends a session that carried no frame for so long; the router's own pings do not count. Set it when clients vanish without a close and pings are off.",
			func(c *Config) *time.Duration { return &c.Relay.IdleTimeout }),
		duration("relay.max_age", shortest, 30*day, "never",
			"Ends a session of this age, give or take a tenth, with close code 1012. Set it to spread sessions anew over upstreams that were added since, or to make clients show their credentials again.",
			func(c *Config) *time.Duration { return &c.Relay.MaxAge }),
		duration("relay.ping_interval", shortest, day, "no pings",
			"Idle time after which a peer is pinged. Keep it below the idle timeout of every middlebox on the way.",
			func(c *Config) *time.Duration { return &c.Relay.PingInterval }),
		duration("relay.ping_timeout", shortest, day, "only without pings",
			"Wait for the pong; a peer that sends nothing in this time is gone.",
			func(c *Config) *time.Duration { return &c.Relay.PingTimeout }),
		duration("relay.write_timeout", shortest, day, "",
			"Ends a session whose peer takes no bytes for so long while some wait for it.",
			func(c *Config) *time.Duration { return &c.Relay.WriteTimeout }),
		size("relay.max_frame", 125, 1024*GiB, "",
			"Largest payload of one frame, either direction. A larger one ends the session: its sender gets close code 1009, and a client whose upstream sent it gets 1011. It is not a buffer: memory does not grow with it.",
			func(c *Config) *ByteSize { return &c.Relay.MaxFrame }),
		duration("relay.close_wait", shortest, day, "",
			"Wait for a peer's answer to a Close frame before its connection is cut.",
			func(c *Config) *time.Duration { return &c.Relay.CloseWait }),
	}
}
