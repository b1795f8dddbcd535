package main

import (
	"fmt"
	"slices"
	"strings"

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
func (f *engineFlag) Type() string   { return strings.Join(builtIn(), "|") }

func (f *engineFlag) Set(name string) error {
	i := slices.IndexFunc(engines, func(e engine) bool { return e.name == name })
	switch {
	case i < 0:
		return fmt.Errorf("must be %s", oneOf(builtIn()))
	case engines[i].open == nil:
		return fmt.Errorf("that engine is not built in; must be %s", oneOf(builtIn()))
	}
	f.engine = engines[i]
	return nil
}

// builtIn returns the names of the engines that are in this build.
func builtIn() []string {
	var names []string
	for _, e := range engines {
		if e.open != nil {
			names = append(names, e.name)
		}
	}
	return names
}
