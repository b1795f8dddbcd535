package main

import (
	"fmt"
	"slices"

	"callops/emu"
	"callops/emu/unicorn"
)

// engines are those that --engine names; the first is the default.
var engines = []engine{
	{"unicorn", unicorn.New},
	{"interp", nil},
	{"both", nil},
}

type engine struct {
	name string
	open emu.NewEngine // nil: not in this build
}

// engineFlag is the flag --engine.
type engineFlag struct{ engine }

func newEngineFlag() engineFlag { return engineFlag{engines[0]} }

func (f *engineFlag) String() string { return f.name }
func (f *engineFlag) Type() string   { return "NAME" }

func (f *engineFlag) Set(name string) error {
	var built []string
	for _, e := range engines {
		if e.open != nil {
			built = append(built, e.name)
		}
	}
	i := slices.IndexFunc(engines, func(e engine) bool { return e.name == name })
	switch {
	case i < 0:
		return fmt.Errorf("must be %s", oneOf(built))
	case engines[i].open == nil:
		return fmt.Errorf("that engine is not built in; must be %s", oneOf(built))
	}
	f.engine = engines[i]
	return nil
}
