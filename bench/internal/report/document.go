package report

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/pointsman/pointsman/bench/internal/contest"
	"github.com/pointsman/pointsman/bench/internal/failover"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

// Document is the machine-readable result of a run.
type Document struct {
	Time       time.Time         `json:"time"`
	System     string            `json:"system"` // operating system and architecture
	Processors int               `json:"processors"`
	Go         string            `json:"go"`
	Contests   []contest.Outcome `json:"contests,omitempty"`
	Failovers  []failover.Result `json:"failovers,omitempty"`
	Trials     trial.Results     `json:"trials"`
	Verdicts   []Verdict         `json:"verdicts"`
}

// NewDocument describes this machine and holds no results yet.
func NewDocument() *Document {
	return &Document{
		Time:       time.Now().UTC().Truncate(time.Second),
		System:     runtime.GOOS + "/" + runtime.GOARCH,
		Processors: runtime.NumCPU(),
		Go:         runtime.Version(),
	}
}

// Hold reports whether every claim that could be judged holds.
func (d *Document) Hold() bool {
	for _, v := range d.Verdicts {
		if v.Judged && !v.Holds {
			return false
		}
	}
	return true
}

// Write writes the document as JSON to a file, which it replaces.
func (d *Document) Write(file string) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
