package interp_test

import (
	"testing"

	"callops/emu/enginetest"
	"callops/emu/interp"
)

func TestEngine(t *testing.T) { enginetest.Run(t, interp.New) }
