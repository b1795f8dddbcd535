//go:build !cgo

package lockstep_test

import (
	"callops/emu"
	"callops/emu/interp"
)

// Without cgo there is one engine, which lockstep compares with itself.
var (
	reference emu.NewEngine = interp.New
	other     emu.NewEngine = interp.New
)
