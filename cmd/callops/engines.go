package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"callops/emu/engines"
)

// engineFlag is the flag --engine.
type engineFlag struct{ engines.Engine }

func newEngineFlag() engineFlag { return engineFlag{engines.All()[0]} }

func (f *engineFlag) String() string { return f.Name }
func (f *engineFlag) Type() string   { return strings.Join(engineNames, "|") }

// addEngineFlag adds --engine. Help is the same in every build.
func addEngineFlag(cmd *cobra.Command, f *engineFlag, both string) {
	cmd.Flags().Var(f, "engine", "engine that executes the code; both: "+both+" (default interp)")
	cmd.Flags().Lookup("engine").DefValue = ""
}

// engineNames are all values of --engine, built in or not.
var engineNames = []string{engines.Unicorn, engines.Interp, engines.Both}

func (f *engineFlag) Set(name string) error {
	e, ok := engines.Lookup(name)
	if ok {
		f.Engine = e
		return nil
	}
	for _, known := range engineNames {
		if name == known {
			return fmt.Errorf("that engine needs Unicorn, which is not built in; must be %s", engines.Interp)
		}
	}
	return fmt.Errorf("must be %s", oneOf(engineNames))
}

// each returns the engines to run one after the other; here "both" does not mean
// lockstep.
func (f *engineFlag) each() []engines.Engine {
	if f.Name == engines.Both {
		return engines.All()
	}
	return []engines.Engine{f.Engine}
}
