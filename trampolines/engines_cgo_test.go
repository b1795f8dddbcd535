//go:build cgo

package trampolines

import (
	"callops/emu"
	"callops/emu/unicorn"
)

var engines = map[string]emu.NewEngine{"unicorn": unicorn.New}
