//go:build !race

package proxy

// raceEnabled makes the long tests shorter.
const raceEnabled = false
