//go:build !linux

package main

import "os/exec"

// dieWithParent does nothing: only Linux has a way to tie a child to its
// parent. Elsewhere the demo's deferred calls end the children.
func dieWithParent(*exec.Cmd) {}
