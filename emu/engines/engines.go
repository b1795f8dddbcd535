// Package engines lists the engines of this build, for packages that let a user
// choose one, and for tests that hold on each.
package engines

import (
	"errors"

	"callops/emu"
	"callops/emu/interp"
	"callops/emu/lockstep"
	"callops/emu/unicorn"
)

// Names on the command line.
const (
	Unicorn = "unicorn"
	Interp  = "interp"
	Both    = "both" // the two in lockstep
)

// Engine is an engine by its name.
type Engine struct {
	Name string
	New  emu.NewEngine
}

// All returns the engines that are built in, the default first: the
// interpreter, and Unicorn, which needs cgo.
func All() []Engine {
	interpreter := Engine{Interp, interp.New}
	if !builtIn(unicorn.New) {
		return []Engine{interpreter}
	}
	return []Engine{interpreter, {Unicorn, unicorn.New}}
}

// Lookup returns the engine called name, which may be Both; ok is false where
// this build has none.
func Lookup(name string) (e Engine, ok bool) {
	all := All()
	if name == Both && len(all) == 2 {
		return Engine{Both, lockstep.Of(unicorn.New, interp.New)}, true
	}
	for _, e := range all {
		if e.Name == name {
			return e, true
		}
	}
	return Engine{}, false
}

// builtIn reports whether this build has what an engine needs.
func builtIn(open emu.NewEngine) bool {
	mem := emu.NewMemory()
	defer mem.Close()
	e, err := open(mem)
	if err != nil {
		return !errors.Is(err, errors.ErrUnsupported)
	}
	return e.Close() == nil
}
