// Package report turns measurements into what is read: tables, verdicts and a JSON document.
//
// The nouns are a Claim, something the project promises, and its Verdict. The invariant: a claim is judged by ratios
// taken within rounds of one contest, never by figures of different runs; a contest with errors, or without one of the
// candidates that a claim needs, proves nothing.
//
// Everything is a pure function of outcomes. It refuses to measure.
package report
