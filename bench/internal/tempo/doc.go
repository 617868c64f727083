// Package tempo tells how fast things happened.
//
// The noun is a Series of moments. The invariant: a window is half open, [t, t+w), so that two moments exactly a window
// apart never count together; the worst window is the worst of all that there are, and not of a sample.
//
// It refuses to know what happened.
package tempo
