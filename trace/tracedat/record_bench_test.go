//go:build unix

package tracedat

import (
	"context"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trace"
	"callops/trampolines"
)

// BenchmarkRecorded is the way of a million function events from the ring, which machine code has filled, to
// a trace.dat: in the process's CPU time, which other work on the host does not change. insns/event is what
// recording takes of the guest.
func BenchmarkRecorded(b *testing.B) {
	const n = 1 << 20
	img, err := kernelimage.Builtin(nil)
	require.NoError(b, err)
	k, err := kernel.Boot(img, interp.New, &kernel.BootOptions{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, k.Close()) })
	code, err := trampolines.Install(k, &trampolines.Options{CallOps: true})
	require.NoError(b, err)
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		rings, err := trace.NewRings(k, n)
		require.NoError(b, err)
		rings.Start()
		before := k.CPUs[0].Count()
		for i := range uint64(n) {
			_, err := k.Call(context.Background(), 0, nil, code.FunctionTracer, vfsRead+i%4096*16, ksysRead+i%512*8, 0, 0)
			require.NoError(b, err)
		}
		b.ReportMetric(float64(k.CPUs[0].Count()-before)/n, "insns/event")
		b.StartTimer()
		started := cpuTime()
		r := rings.Read()
		require.Len(b, r.Events, n)
		require.NoError(b, Write(io.Discard, r, &Options{Version: 6}))
		spent += cpuTime() - started
	}
	b.ReportMetric(float64(n)*float64(b.N)/spent.Seconds()/1e6, "Mevents/cpu-s")
}

// cpuTime is what this process has used of all CPUs.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
