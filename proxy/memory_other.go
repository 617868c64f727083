//go:build !linux

package proxy

// residentMemory is unknown here.
func residentMemory() int64 { return 0 }

// groupLimit is unknown here.
func groupLimit(string) int64 { return 0 }
