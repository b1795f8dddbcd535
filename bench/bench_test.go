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

// BenchmarkRegister registers one ops whose filter names every site, and
// unregisters it again: two patches per site.
func BenchmarkRegister(b *testing.B) {
	for _, e := range engines {
		for _, on := range []ftrace.Scheme{ftrace.Global, ftrace.CallOps, ftrace.Sets} {
			b.Run(fmt.Sprintf("engine=%s/scheme=%s/sites=%d", e.Name, on, registrationSites), func(b *testing.B) {
				benchmarkRegister(b, e, on)
			})
		}
	}
}

func benchmarkRegister(b *testing.B, e Engine, scheme ftrace.Scheme) {
	img, err := syntheticImage(registrationSites, hasLiterals(scheme))
	require.NoError(b, err)
	k, err := kernel.Boot(img, e.New, nil)
	require.NoError(b, err)
	defer k.Close()
	r, err := ftrace.New(k, &ftrace.Options{Scheme: scheme})
	require.NoError(b, err)
	o, err := r.NewOps("all", r.Code().OpsFuncNop, &ftrace.OpsOptions{Extra: counterSize})
	require.NoError(b, err)
	require.NoError(b, filterAll(r, o))

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
