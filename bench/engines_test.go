package bench

import (
	"testing"

	built "callops/emu/engines"
)

// engines are those of this build, the default first.
var engines = func() (all []Engine) {
	for _, e := range built.All() {
		all = append(all, Engine(e))
	}
	return all
}()

// eachEngine runs a test once per engine that this build has.
func eachEngine(t *testing.T, test func(t *testing.T, engine Engine)) {
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) { test(t, e) })
	}
}
