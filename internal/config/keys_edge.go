package config

import (
	"net/netip"
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
)

const (
	network  = "a network such as 10.0.0.0/8 or fd00::/8, or an address"
	anOrigin = "an origin such as https://chat.example or https://*.chat.example, or null"
)

func forwardedKeys() []field[Config] {
	return []field[Config]{
		list("forwarded.trusted", "a list of networks or addresses such as [10.0.0.0/8, \"fd00::/8\"]", network,
			"Networks of the proxies before this router that are believed about the client, by the fields that `style` says. Clients are counted, logged and named to the upstream by what they say. Nobody else is believed; do not trust a network from which clients connect.",
			readNetwork, netip.Prefix.String, func(c *Config) *[]netip.Prefix { return &c.Forwarded.Trusted }),
		choice("forwarded.style", []option[handshake.ForwardStyle]{
			{"x-forwarded", handshake.ForwardX}, {"rfc7239", handshake.ForwardRFC7239}, {"both", handshake.ForwardBoth}, {"none", handshake.ForwardNone},
		},
			"Fields that trusted proxies are believed by, and that tell the upstream about the client. `x-forwarded`: X-Forwarded-For, -Proto and -Host. `rfc7239`: Forwarded. `none` tells the upstream nothing.",
			func(c *Config) *handshake.ForwardStyle { return &c.Forwarded.Style }),
	}
}

func limitsKeys() []field[Config] {
	return []field[Config]{
		duration("limits.header_timeout", shortest, day, "",
			"Time a client has to send its request head, TLS included. Low values shed slow attackers.",
			func(c *Config) *time.Duration { return &c.Limits.HeaderTimeout }),
		size("limits.header_size", KiB, MiB, "",
			"Largest request head of a client; larger ones are refused. Raise it for long cookies or tokens.",
			func(c *Config) *ByteSize { return &c.Limits.HeaderSize }),
		integer("limits.sessions", 0, most, "no limit",
			"Most sessions open at once in this process. Each needs two file descriptors.",
			func(c *Config) *int { return &c.Limits.Sessions }),
		integer("limits.sessions_per_address", 0, most, "no limit",
			"Most sessions open at once of one client address, of IPv6 of one /64 network; above it clients get 429. Behind a proxy name that in `forwarded.trusted` or `proxy_protocol` first, or all its clients are one. Many people may share an address: leave room.",
			func(c *Config) *int { return &c.Limits.SessionsPerAddress }),
		integer("limits.handshakes_per_second", 0, most, "no limit",
			"Handshakes that each listener admits in a second. Above it clients wait for up to one second; then they get 503, with a Retry-After that spreads them over the backlog. Set it to what the upstreams are known to bear when all clients come at once.",
			func(c *Config) *int { return &c.Limits.HandshakesPerSecond }),
		size("limits.message_size", 125, 1024*GiB, "no limit",
			"Largest payload of one message in all its frames, either direction; a larger one ends the session as one above `relay.max_frame` does. It is not a buffer: memory does not grow with it.",
			func(c *Config) *ByteSize { return &c.Limits.MessageSize }),
		integer("limits.messages_per_second", 0, most, "no limit",
			"Messages that one client may send in a second; `on_excess` says what becomes of one that sends more. Control frames and small fragments count too.",
			func(c *Config) *int { return &c.Limits.MessagesPerSecond }),
		integer("limits.message_burst", 0, most, "those of one second",
			"Messages that one client may send at once after a pause. Only with `messages_per_second`.",
			func(c *Config) *int { return &c.Limits.MessageBurst }),
		size("limits.bytes_per_second", 125, 1024*GiB, "no limit",
			"Bytes of frames that one client may send in a second.",
			func(c *Config) *ByteSize { return &c.Limits.BytesPerSecond }),
		size("limits.byte_burst", 125, 1024*GiB, "those of one second",
			"Bytes that one client may send at once after a pause. Only with `bytes_per_second`.",
			func(c *Config) *ByteSize { return &c.Limits.ByteBurst }),
		choice("limits.on_excess", []option[bool]{{"wait", false}, {"close", true}},
			"What becomes of a client that sends more than its messages or bytes. `wait`: it is not read for a moment, so that TCP slows it down and nothing is lost. `close`: its session ends with close code 1008.",
			func(c *Config) *bool { return &c.Limits.CloseOnExcess }),
		size("limits.memory_high", 16*MiB, 1024*GiB, "90 % of the memory limit of the control group, if there is one",
			"Memory from which on new clients are refused; open sessions go on. A size that is given is compared with the resident memory of the process, without what the kernel holds for its sockets; the default with all that counts against the limit of the control group. Set it where the process has no control group of its own. A size above the memory of the machine turns it off.",
			func(c *Config) *ByteSize { return &c.Limits.MemoryHigh }),
		size("limits.memory_low", MiB, 1024*GiB, "90 % of memory_high",
			"Resident memory below which new clients are taken again. Below `memory_high`, which must be given too.",
			func(c *Config) *ByteSize { return &c.Limits.MemoryLow }),
	}
}
