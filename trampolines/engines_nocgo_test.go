//go:build !cgo

package trampolines

import "callops/emu"

var engines = map[string]emu.NewEngine{}
