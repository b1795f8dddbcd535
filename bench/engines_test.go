package bench

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/unicorn"
)

var engines = []Engine{
	{Name: "unicorn", New: unicorn.New},
}

// eachEngine runs a test once per engine that this build has.
func eachEngine(t *testing.T, test func(t *testing.T, engine Engine)) {
	for _, e := range engines {
		t.Run(e.Name, func(t *testing.T) {
			requireEngine(t, e)
			test(t, e)
		})
	}
}

func requireEngine(tb testing.TB, e Engine) {
	tb.Helper()
	mem := emu.NewMemory()
	defer mem.Close()
	open, err := e.New(mem)
	if errors.Is(err, errors.ErrUnsupported) {
		tb.Skipf("this build has no %s: %v", e.Name, err)
	}
	require.NoError(tb, err)
	require.NoError(tb, open.Close())
}
