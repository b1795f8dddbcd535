// Package enginetest is the suite that every engine passes: what package emu
// promises of a CPU, tried on small programs.
//
// An engine calls [Run] from a test of its own. The suite reads nothing but
// the interfaces of package emu, so what it finds equal in two engines is
// equal for the packages above them.
package enginetest

import (
	"testing"

	"callops/emu"
)

// Run tries the engine that newEngine opens.
func Run(t *testing.T, newEngine emu.NewEngine) {
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"instructions", instructionCases},
		{"atomics", atomicCases},
		{"system", systemCases},
		{"memory", memoryCases},
		{"count", countCases},
		{"fault", faultCases},
		{"exception", exceptionCases},
		{"refused", refusedCases},
		{"gate", gateCases},
		{"nested", nestedCases},
		{"text", textCases},
		{"cpus", cpuCases},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) { c.test(newMachine(t, newEngine)) })
			}
		})
	}
}

type testCase struct {
	name string
	test func(*machine)
}
