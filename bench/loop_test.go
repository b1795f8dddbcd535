package bench

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/ftrace"
)

// Where the iterations begin in bench_loop, and how many instructions of one
// are the loop's own besides loading pairs of arguments.
const (
	setUpInsns     = 9
	iterationInsns = 4
)

// countSteps counts, one by one, what the iterations execute.
func countSteps(t *testing.T, r *rig, s scenario, args int) uint64 {
	t.Helper()
	ops, err := r.place(t.Context(), s)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.release(ops)) }()
	loads := max((args+1)/2, 1)
	begin := r.loop.addr + 4*setUpInsns
	end := begin + 4*uint64(loads+iterationInsns)
	symbol, _, ok := r.k.Symbols.At(r.loop.addr)
	require.True(t, ok)
	var n uint64
	_, err = r.call(t.Context(), &emu.CallOptions{OnStep: func(_ emu.CPU, before *emu.Regs) {
		own := before.PC >= symbol.Addr && before.PC < symbol.Addr+symbol.Size
		if !own || before.PC >= begin && before.PC < end {
			n++
		}
	}}, r.calls)
	require.NoError(t, err)
	return n
}

func TestLoop_PassesAllArguments(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		for _, scheme := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets, ftrace.List} {
			r := newTestRig(t, &Config{
				Engines: []Engine{e}, Tracee: "sum8", Args: []uint64{1, 2, 3, 4, 5, 6, 7, 8},
			}, scheme)
			want := uint64(1 + 4 + 9 + 16 + 25 + 36 + 49 + 64)
			for _, s := range []scenario{{}, {relevant: 1}, {relevant: 3, irrelevant: 2}} {
				ops, err := r.place(t.Context(), s)
				require.NoError(t, err)
				res, err := r.call(t.Context(), nil, 4)
				require.NoError(t, err)
				assert.Equal(t, want, res.X0, "%+v", s)
				require.NoError(t, r.release(ops))
			}
		}
	})
}

func TestRig_LeavesTheKernelAsItWas(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		for _, scheme := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets, ftrace.List} {
			r := newTestRig(t, &Config{Engines: []Engine{e}, Calls: 2}, scheme)
			_, err := r.measure(t.Context(), scenario{relevant: 5, irrelevant: 5})
			require.NoError(t, err)
			assert.Empty(t, r.ftrace.Registered())
			assert.NoError(t, r.ftrace.Validate())
		}
	})
}
