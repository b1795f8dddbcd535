package bench

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernelimage"
)

var update = flag.Bool("update", false, "write golden files")

const workload = "../kernelimage/testdata/workload/"

func measure(t *testing.T, cfg *Config) *Result {
	t.Helper()
	res, err := Run(t.Context(), cfg)
	require.NoError(t, err)
	return res
}

func openImage(t *testing.T, name string) *kernelimage.Image {
	t.Helper()
	img, err := kernelimage.Open(t.Context(), workload+name, nil)
	require.NoError(t, err)
	return img
}

// withoutTimes drops what differs from run to run.
func withoutTimes(r *Result) *Result {
	for i := range r.Rows {
		r.Rows[i].NsPerCall = 0
	}
	return r
}

// overheads are those of one scheme's rows, in order.
func overheads(r *Result, scheme ftrace.Scheme) []float64 {
	var all []float64
	for _, row := range r.Rows {
		if row.Scheme == scheme {
			all = append(all, row.Overhead)
		}
	}
	return all
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile("testdata/"+name, got, 0o644))
	}
	want, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func TestRun_PublishedRows(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		// The counts are the same under any engine, so the name is not its own.
		res := measure(t, &Config{Engines: []Engine{{Name: "any", New: e.New}}, Calls: 10})
		got, err := json.MarshalIndent(withoutTimes(res), "", "  ")
		require.NoError(t, err)
		golden(t, "builtin.json", append(got, '\n'))
	})
}

func TestRun_SameTwice(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		cfg := &Config{Engines: []Engine{e}, Calls: 20, Tracer: TracerCount}
		assert.Equal(t, withoutTimes(measure(t, cfg)), withoutTimes(measure(t, cfg)))
	})
}

func TestRun_CostOfIrrelevantOps(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		res := measure(t, &Config{
			Engines: []Engine{e}, Calls: 10,
			Relevant: []int{1}, IrrelevantCounts: []int{0, 1, 10, 100, 1000},
		})
		on, off := overheads(res, ftrace.CallOps), overheads(res, ftrace.Global)
		require.Len(t, on, 6)
		require.Len(t, off, 6)
		assert.Zero(t, on[0])
		assert.Zero(t, off[0])
		for i := 2; i < len(on); i++ {
			assert.Equal(t, on[1], on[i], "CALL_OPS on: no irrelevant ops costs anything")
			assert.Greater(t, off[i], off[i-1], "CALL_OPS off: each irrelevant ops costs")
		}
		assert.Less(t, on[1], off[1])
	})
}

func TestRun_UntracedCallsCostTheSame(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		res := measure(t, &Config{Engines: []Engine{e}, Calls: 10, IrrelevantCounts: []int{0, 100}})
		for _, row := range res.Rows {
			// 5 instructions of the loop; MOV X9, X30, NOP, RET.
			assert.Equal(t, 8.0, row.PerCall)
			assert.Zero(t, row.Trampoline)
		}
	})
}

func TestRun_CallbacksAreCounted(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		const calls = 37
		res := measure(t, &Config{
			Engines: []Engine{e}, Calls: calls, Tracer: TracerCount,
			Relevant: []int{0, 1, 2, 7}, IrrelevantCounts: []int{0, 3},
		})
		require.Len(t, res.Rows, 3*8)
		for _, row := range res.Rows {
			assert.EqualValues(t, calls*row.Relevant, row.Callbacks, "%+v", row)
			assert.Equal(t, row.Relevant > 0, row.Trampoline > 0, "%+v", row)
		}
	})
}

// The count has to be of exactly what is executed between the loop's first
// instruction and its last: here the instructions are counted one by one.
func TestMeasure_EqualsSteps(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		for _, args := range [][]uint64{nil, {6}, {6, 2, 3}, {6, 2, 3, 4, 5, 6, 7, 8}} {
			cfg := &Config{Engines: []Engine{e}, Tracee: "fib", Calls: 3, Args: args}
			for _, scheme := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets, ftrace.List} {
				r := newTestRig(t, cfg, scheme)
				m, err := r.measure(t.Context(), scenario{relevant: 2, irrelevant: 1})
				require.NoError(t, err)
				assert.Equal(t, countSteps(t, r, scenario{relevant: 2, irrelevant: 1}, len(args)), m.insns, "%d arguments", len(args))
			}
		}
	})
}

func newTestRig(tb testing.TB, cfg *Config, scheme ftrace.Scheme) *rig {
	tb.Helper()
	cfg, err := cfg.withDefaults()
	require.NoError(tb, err)
	r, err := newRig(tb.Context(), cfg, cfg.Engines[0], scheme)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, r.Close()) })
	require.NoError(tb, r.chooseIrrelevant(tb.Context(), cfg.Irrelevant))
	return r
}

func TestRun_TraceeWithArguments(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		const calls, callsOfFib8 = 5, 67
		res := measure(t, &Config{
			Engines: []Engine{e}, Calls: calls, Tracee: "fib", Args: []uint64{8},
			Tracer: TracerCount, Relevant: []int{1},
		})
		for _, row := range res.Rows {
			assert.EqualValues(t, calls*callsOfFib8*row.Relevant, row.Callbacks, "it calls itself")
		}
	})
}

func TestRun_CompiledImage(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		for _, name := range []string{"workload-callops.elf", "workload-callops-bti.elf"} {
			res := measure(t, &Config{
				Image: openImage(t, name), Engines: []Engine{e}, Calls: 10,
				Tracee: "fib", Args: []uint64{5}, Tracer: TracerCount,
			})
			assert.Len(t, res.Rows, 3*len(published)+2)
			on := overheads(res, ftrace.CallOps)
			assert.Equal(t, on[5], on[9], "100 irrelevant ops cost nothing")
			assert.Equal(t, on[5], on[10], "nor do 1000")
			off := overheads(res, ftrace.Global)
			assert.Greater(t, off[9], off[5])
			assert.NotEmpty(t, res.Irrelevant)
		}
	})
}

func TestRun_ImageWithoutLiterals(t *testing.T) {
	img := openImage(t, "workload-args.elf")
	cfg := &Config{Image: img, Engines: engines[:1], Calls: 10, Tracee: "fib", Args: []uint64{5}, Relevant: []int{1}}
	t.Run("runs the scheme before", func(t *testing.T) {
		res := measure(t, cfg)
		assert.Len(t, res.Rows, 2)
		assert.Len(t, overheads(res, ftrace.Global), 2)
	})
	t.Run("can't run CALL_OPS", func(t *testing.T) {
		on := *cfg
		on.Schemes = []ftrace.Scheme{ftrace.CallOps}
		_, err := Run(t.Context(), &on)
		assert.ErrorIs(t, err, errno.EINVAL)
	})
}

func TestRun_IrrelevantIsNotReached(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		img := openImage(t, "workload-callops.elf")
		cfg := &Config{Image: img, Engines: []Engine{e}, Tracee: "is_even", Args: []uint64{3}, Calls: 1}
		t.Run("when chosen", func(t *testing.T) {
			r := newTestRig(t, cfg, ftrace.CallOps)
			assert.NotContains(t, []string{"is_even", "is_odd"}, r.irrelevantName())
		})
		t.Run("when named", func(t *testing.T) {
			for _, name := range []string{"is_even", "is_odd"} {
				named := *cfg
				named.Irrelevant = name
				_, err := Run(t.Context(), &named)
				assert.ErrorIs(t, err, errno.EINVAL, name)
			}
		})
	})
	t.Run("nor looked for where no row has irrelevant ops", func(t *testing.T) {
		res := measure(t, &Config{Engines: engines[:1], Calls: 1, Relevant: []int{1}})
		assert.Empty(t, res.Irrelevant)
	})
}

func TestRun_Errors(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  Config
		want error
	}{
		"no engine":                     {Config{Engines: []Engine{}}, errno.EINVAL},
		"no scheme":                     {Config{Schemes: []ftrace.Scheme{}}, errno.EINVAL},
		"unknown tracee":                {Config{Tracee: "tracee_missing"}, errno.ENOENT},
		"tracee without a site":         {Config{Tracee: "untraced"}, errno.EINVAL},
		"tracee that faults":            {Config{Tracee: "do_fault"}, errno.EFAULT},
		"unknown irrelevant function":   {Config{Irrelevant: "nothing"}, errno.ENOENT},
		"irrelevant without a site":     {Config{Irrelevant: "untraced"}, errno.EINVAL},
		"irrelevant is the tracee":      {Config{Irrelevant: DefaultTracee}, errno.EINVAL},
		"negative number of relevant":   {Config{Relevant: []int{1, -1}}, errno.EINVAL},
		"negative number of irrelevant": {Config{IrrelevantCounts: []int{-1}}, errno.EINVAL},
		"negative number of calls":      {Config{Calls: -1}, errno.EINVAL},
		"more calls than are counted":   {Config{Calls: 1 << 32}, errno.EINVAL},
		"unknown tracer":                {Config{Tracer: "print"}, errno.EINVAL},
		"nine arguments":                {Config{Args: make([]uint64, 9)}, errno.E2BIG},
		"registers that arm64 can't save": {
			Config{OpsFlags: ftrace.OpsSaveRegs, Relevant: []int{1}, Calls: 1}, errno.EINVAL,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.cfg.Engines == nil {
				test.cfg.Engines = engines[:1]
			}
			res, err := Run(t.Context(), &test.cfg)
			assert.Nil(t, res)
			assert.ErrorIs(t, err, test.want)
		})
	}
}

func TestRun_Cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	// After the first row, while others run.
	cfg := &Config{Engines: engines[:1], Calls: 100000, Progress: func(done, total int) { cancel() }}
	_, err := Run(ctx, cfg)
	assert.ErrorIs(t, err, context.Canceled)
}

func TestRun_Progress(t *testing.T) {
	var done []int
	measure(t, &Config{
		Engines: engines[:1], Calls: 1, Relevant: []int{0, 1}, IrrelevantCounts: []int{0, 2},
		Progress: func(n, total int) {
			assert.Equal(t, 12, total)
			done = append(done, n)
		},
	})
	assert.Equal(t, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, done)
}

func TestRun_TraceeInAModule(t *testing.T) {
	eachEngine(t, func(t *testing.T, e Engine) {
		res := measure(t, &Config{
			Modules: []string{"../kernelimage/module/testdata/fixture.ko"}, Tracee: "fixture:fixture_sum", Args: []uint64{84, 36},
			Engines: []Engine{e}, Schemes: []ftrace.Scheme{ftrace.CallOps}, Relevant: []int{0, 1, 2}, Calls: 20,
		})
		assert.Equal(t, []float64{0, 34, 138}, overheads(res, ftrace.CallOps))
	})
	_, err := Run(t.Context(), &Config{Modules: []string{"testdata/missing.ko"}, Engines: engines})
	assert.ErrorIs(t, err, errno.ENOENT)
}
