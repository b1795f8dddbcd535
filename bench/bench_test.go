package bench

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/ftrace"
	"callops/kernel"
)

// batch is how many calls one run of the loop makes: enough that what is
// around them does not show.
const batch = 1000

// BenchmarkCall is a call of tracee_relevant. insn/call is exact and what it
// costs anywhere; the times are the emulator's.
func BenchmarkCall(b *testing.B) {
	for _, e := range engines {
		for _, on := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets} {
			for _, s := range []scenario{{0, 0}, {1, 0}, {1, 1}, {1, 10}, {1, 100}, {2, 0}, {10, 0}, {100, 0}} {
				name := fmt.Sprintf("engine=%s/scheme=%s/relevant=%d/irrelevant=%d", e.Name, on, s.relevant, s.irrelevant)
				b.Run(name, func(b *testing.B) { benchmarkCall(b, e, on, s) })
			}
		}
	}
}

func benchmarkCall(b *testing.B, e Engine, scheme ftrace.Scheme, s scenario) {
	r := newTestRig(b, &Config{Engines: []Engine{e}, Calls: batch}, scheme)
	ops, err := r.place(b.Context(), s)
	require.NoError(b, err)
	m, err := r.run(b.Context(), ops)
	require.NoError(b, err)
	require.Equal(b, s.relevant > 0, m.trampoline > 0)

	runs := 0
	for b.Loop() {
		if _, err := r.call(b.Context(), nil, batch); err != nil {
			b.Fatal(err)
		}
		runs++
	}
	calls := float64(runs) * batch
	ns := float64(b.Elapsed().Nanoseconds())
	perCall := float64(m.insns) / batch
	b.ReportMetric(0, "ns/op") // an op is a batch
	b.ReportMetric(ns/calls, "ns/call")
	b.ReportMetric(perCall, "insn/call")
	b.ReportMetric(ns/calls/perCall, "ns/insn")
	require.NoError(b, r.release(ops))
}

// BenchmarkRegister registers the nth ops whose filter names every site, and
// unregisters it again: the first is two patches per site.
func BenchmarkRegister(b *testing.B) {
	for _, e := range engines {
		for _, on := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets} {
			for _, n := range []int{1, 2, 3, 10} {
				b.Run(fmt.Sprintf("engine=%s/scheme=%s/ops=%d/sites=%d", e.Name, on, n, registrationSites), func(b *testing.B) {
					benchmarkRegister(b, e, on, n)
				})
			}
		}
	}
}

func benchmarkRegister(b *testing.B, e Engine, scheme ftrace.Scheme, n int) {
	img, err := syntheticImage(registrationSites, hasLiterals(scheme))
	require.NoError(b, err)
	k, err := kernel.Boot(img, e.New, nil)
	require.NoError(b, err)
	defer k.Close()
	r, err := ftrace.New(k, &ftrace.Options{Scheme: scheme})
	require.NoError(b, err)
	var o *ftrace.Ops
	for i := range n {
		o, err = r.NewOps(fmt.Sprint("all", i), r.Code().OpsFuncNop, &ftrace.OpsOptions{Extra: counterSize})
		require.NoError(b, err)
		require.NoError(b, filterAll(r, o))
		if i < n-1 {
			require.NoError(b, r.Register(o))
		}
	}

	b.ReportAllocs()
	runs := 0
	for b.Loop() {
		if err := r.Register(o); err != nil {
			b.Fatal(err)
		}
		if err := r.Unregister(o); err != nil {
			b.Fatal(err)
		}
		runs++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(runs)/(2*registrationSites), "ns/patch")
}
