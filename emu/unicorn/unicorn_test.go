//go:build cgo

package unicorn_test

import (
	"testing"

	"callops/emu/enginetest"
	"callops/emu/unicorn"
)

func TestEngine(t *testing.T) { enginetest.Run(t, unicorn.New) }
