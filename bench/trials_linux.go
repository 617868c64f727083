package main

import (
	"fmt"
	"io"

	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

// trials are the options of all trials.
func (m *measurement) trials() trial.Options {
	return trial.Options{
		Pointsman: m.binary,
		Dir:       m.dir,
		Loops:     m.loops,
		Progress:  func(line string) { fmt.Fprintln(m.log, line) },
	}
}

// tried prints and judges the result of a trial, which keep puts into the document.
func tried[T any](m *measurement, r T, err error, keep func(*trial.Results, *T), show func(io.Writer, T) error, judge func(T) []report.Verdict) error {
	if err != nil {
		return err
	}
	keep(&m.doc.Trials, &r)
	m.doc.Verdicts = append(m.doc.Verdicts, judge(r)...)
	return show(m.out, r)
}
