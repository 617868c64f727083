package fanout

import (
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
)

// DefaultKnown is how many connections a [Directory] knows unless told otherwise; each takes about 200 bytes.
const DefaultKnown = 65536

// Directory knows which upstream holds which connection, as far as answers have told. It forgets those that nobody has asked about
// for the longest time. What it says may be out of date: an upstream that says no is asked first the next time only if it has said
// yes again. It may be used concurrently and shared by several fan-outs of the same service.
type Directory struct {
	known *lru.Cache[string, string]
}

// NewDirectory makes an empty directory for size connections; 0 means [DefaultKnown]. The error is that of a negative size.
func NewDirectory(size int) (*Directory, error) {
	if size == 0 {
		size = DefaultKnown
	}
	known, err := lru.New[string, string](size)
	if err != nil {
		return nil, fmt.Errorf("directory of %d connections: %w", size, err)
	}
	return &Directory{known}, nil
}

// Learn notes that the upstream of this name holds a connection. Ids longer than any real one are left alone.
func (d *Directory) Learn(connection, upstream string) {
	if connection != "" && len(connection) <= maxName {
		d.known.Add(connection, upstream)
	}
}

// Forget notes that nobody is known to hold a connection any more.
func (d *Directory) Forget(connection string) { d.known.Remove(connection) }

// Find returns the name of the upstream that holds a connection, as far as is known.
func (d *Directory) Find(connection string) (upstream string, known bool) {
	return d.known.Get(connection)
}

// Len returns how many connections are known.
func (d *Directory) Len() int { return d.known.Len() }
