package lockstep_test

import (
	"testing"

	"callops/emu/enginetest"
	"callops/emu/lockstep"
)

func TestEngine_SameTwice(t *testing.T) {
	enginetest.Run(t, lockstep.Of(reference, reference))
}

func TestEngine_ComparedOften(t *testing.T) {
	enginetest.Run(t, lockstep.With(lockstep.Options{Every: 7}, reference, reference))
}

// Both orders: the one in front gives the results.
func TestEngine_ReferenceFirst(t *testing.T) {
	enginetest.Run(t, lockstep.Of(reference, other))
}

func TestEngine_ReferenceSecond(t *testing.T) {
	enginetest.Run(t, lockstep.Of(other, reference))
}
