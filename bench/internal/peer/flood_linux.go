package peer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/flood"
)

// Flood is this program's own flood command. It would be on other machines, so it gets a processor only when nobody else wants
// it. The zero value is not usable.
type Flood struct {
	process *Process
	said    bytes.Buffer // complete when the process has ended
}

// StartFlood lets so many clients at a time send hellos to addr. The caller stops it.
func StartFlood(addr string, clients int) (*Flood, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	f := new(Flood)
	if f.process, err = launch("flood", self, []string{"flood", addr, "--clients", fmt.Sprint(clients)}, nil, &f.said); err != nil {
		return nil, err
	}
	if err := standBack(f.process.PID()); err != nil && f.process.Alive() == nil {
		f.process.Stop()
		return nil, fmt.Errorf("let the flood stand back: %w", err)
	}
	return f, nil
}

// Stop ends it and returns what came of it. The second time it only returns an error.
func (f *Flood) Stop() (flood.Result, error) {
	var res flood.Result
	f.process.Stop()
	if f.said.Len() == 0 {
		return res, errors.New("the flood has told nothing; its last lines: " + f.process.Said())
	}
	if err := json.NewDecoder(&f.said).Decode(&res); err != nil {
		return res, fmt.Errorf("result of the flood: %w", err)
	}
	return res, nil
}

// standBack lets a process have a processor only when nobody else wants it.
func standBack(pid int) error {
	return unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
}
