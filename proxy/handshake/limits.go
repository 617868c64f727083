package handshake

// Defaults of [Limits].
const (
	DefaultSize      = 16 << 10
	DefaultTarget    = 8 << 10
	DefaultFields    = 100
	DefaultOptions   = 64
	DefaultProtocols = 100
)

// MaxInterim is the number of interim answers (1xx other than 101, RFC 9110 §15.2) that a caller should skip before it
// gives up on an upstream. They are legal before any final answer; an endless row of them is not an answer.
const MaxInterim = 5

// Limits bounds what one head may hold. The zero value of each field means its default.
type Limits struct {
	// Size is the longest head in bytes, the blank line at its end included. Default 16 KiB. A longer request is refused
	// with 431, a longer answer is bad.
	Size int
	// Target is the longest request target in bytes. Default 8 KiB. A longer one is refused with 414.
	Target int
	// Fields is the largest number of field lines, dropped ones included. Default 100; above it 431.
	Fields int
	// Options is the largest number of options in all Connection fields. Default 64; above it 431.
	Options int
	// Protocols is the largest number of subprotocols that a client may offer. Default 100; above it 400.
	Protocols int
}

// filled returns l with its defaults in place.
func (l Limits) filled() Limits {
	orDefault := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	orDefault(&l.Size, DefaultSize)
	orDefault(&l.Target, DefaultTarget)
	orDefault(&l.Fields, DefaultFields)
	orDefault(&l.Options, DefaultOptions)
	orDefault(&l.Protocols, DefaultProtocols)
	return l
}
