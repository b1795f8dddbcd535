//go:build cgo

package interp_test

import (
	"callops/emu"
	"callops/emu/interp"
	"callops/emu/unicorn"
)

var benchEngines = []struct {
	name string
	open emu.NewEngine
}{{"interp", interp.New}, {"unicorn", unicorn.New}}
