package engines

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/emu/enginetest"
)

func TestLookup(t *testing.T) {
	for _, e := range All() {
		found, ok := Lookup(e.Name)
		assert.True(t, ok)
		assert.Equal(t, e.Name, found.Name)
	}
	_, ok := Lookup(Both)
	assert.Equal(t, len(All()) == 2, ok, "lockstep takes two")
	_, ok = Lookup("qemu")
	assert.False(t, ok)
	assert.Equal(t, Interp, All()[0].Name, "the interpreter is in every build, and the default")
}

func TestAll_BehaveTheSame(t *testing.T) {
	for _, e := range All() {
		t.Run(e.Name, func(t *testing.T) { enginetest.Run(t, e.New) })
	}
}
