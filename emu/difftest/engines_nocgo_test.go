//go:build !cgo

package difftest

import (
	"callops/emu"
	"callops/emu/interp"
)

// Without cgo there is no reference to compare with.
var engineA, engineB emu.NewEngine = nil, interp.New
