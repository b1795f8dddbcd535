//go:build cgo

package lockstep_test

import (
	"callops/emu"
	"callops/emu/interp"
	"callops/emu/unicorn"
)

// reference is the engine that others are compared with; other is quick to
// open, and gets a faulty twin.
var (
	reference emu.NewEngine = unicorn.New
	other     emu.NewEngine = interp.New
)
