//go:build unix

package board

import (
	"crypto/sha256"
	"math"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/interp"
	"callops/kernel"
)

// cpuTime is what the process has had of CPUs.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSHA256 has the kernel's sha256 hash 1 MiB, booted and not, in turns. Figures are of the fastest turn in CPU time: on a board
// the timer's ticks are among the instructions.
func BenchmarkSHA256(b *testing.B) {
	m := booted(b)
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i * 7)
	}
	want := sha256.Sum256(data)

	on, err := m.Call(b.Context(), "vzalloc_noprof", uint64(len(data)+len(want)))
	require.NoError(b, err)
	require.NoError(b, m.WriteMemory(on, data))
	k, err := kernel.Boot(m.img, interp.New, nil)
	require.NoError(b, err)
	defer func() { require.NoError(b, k.Close()) }()
	off, err := k.AllocData("data", uint64(len(data)+len(want)), emu.Read|emu.Write)
	require.NoError(b, err)
	require.NoError(b, k.Mem.Write(off, data))

	var got [2][sha256.Size]byte
	best := [2]float64{math.Inf(1), math.Inf(1)} // ns an instruction
	turn := func(i int, run func() uint64) {
		began := cpuTime()
		n := run()
		best[i] = min(best[i], float64((cpuTime()-began).Nanoseconds())/float64(n))
	}
	for b.Loop() {
		turn(0, func() uint64 {
			count := m.Count()
			_, err := m.Call(b.Context(), "sha256", on, uint64(len(data)), on+uint64(len(data)))
			require.NoError(b, err)
			return m.Count() - count
		})
		turn(1, func() uint64 {
			res, err := k.CallName(b.Context(), 0, nil, "sha256", off, uint64(len(data)), off+uint64(len(data)))
			require.NoError(b, err)
			return res.Count
		})
	}
	require.NoError(b, m.ReadMemory(on+uint64(len(data)), got[0][:]))
	require.NoError(b, k.Mem.Read(off+uint64(len(data)), got[1][:]))
	assert.Equal(b, [2][sha256.Size]byte{want, want}, got)
	b.ReportMetric(best[0], "booted-ns/insn")
	b.ReportMetric(best[1], "unbooted-ns/insn")
	b.ReportMetric(best[0]/best[1], "booted/unbooted")
}
