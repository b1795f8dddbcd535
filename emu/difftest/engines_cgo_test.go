//go:build cgo

package difftest

import (
	"callops/emu/interp"
	"callops/emu/unicorn"
)

// The first is the reference.
var engineA, engineB = unicorn.New, interp.New
