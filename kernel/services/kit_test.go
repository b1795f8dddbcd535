package services

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/engines"
	"callops/internal/kernels"
	"callops/internal/kernels/kept"
	"callops/kernel"
	"callops/kernelimage"
)

// machine is a kernel with its services, and helpers that fail the test.
type machine struct {
	*kernel.Kernel
	*Services
	lines *[]Line // that it logged
	t     *testing.T
}

func boot(t *testing.T, img *kernelimage.Image, engine emu.NewEngine, opts *kernel.BootOptions) *machine {
	t.Helper()
	k, err := kernel.Boot(img, engine, opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	require.NoError(t, k.FreeInitMem())
	lines := new([]Line)
	s, err := Install(k, &Options{Printk: func(l Line) { *lines = append(*lines, l) }})
	require.NoError(t, err)
	return &machine{k, s, lines, t}
}

// eachEngine runs a test once on each engine of this build.
func eachEngine(t *testing.T, img *kernelimage.Image, test func(m *machine)) {
	for _, e := range engines.All() {
		t.Run(e.Name, func(t *testing.T) { test(boot(t, img, e.New, nil)) })
	}
}

// TestLinux runs tests on each of the distribution's kernels and each engine. Booting
// one takes longer than most of them.
func TestLinux(t *testing.T) {
	tests := []struct {
		name string
		test func(m *machine)
	}{
		{"what is replaced", testReplaced},
		{"no allocator was forgotten", testNoneForgotten},
		{"allocating ends the call", testAllocating},
		{"kmalloc and kfree", testKmalloc},
		{"krealloc", testKrealloc},
		{"kfree of no object", testFreeErrors},
		{"writes past an object", testOverruns},
		{"caches", testCaches},
		{"a cache's constructor", testConstructor},
		{"a cache by RCU", testByRCU},
		{"caches that boot makes", testStaticCaches},
		{"pages by address", testPages},
		{"struct pages", testStructPages},
		{"vmalloc", testVmalloc},
		{"per-CPU variables", testPerCPU},
		{"allocations that fail", testFailAlloc},
		{"kernel code with kmalloc", testKmallocUsers},
		{"a full heap", testFullHeap},
		{"printk is called", testPrintk},
		{"printk returns as its own", testPrintkResult},
		{"printk of what is not there", testPrintkFault},
	}
	for _, series := range append([]string{kernels.Linux716K}, kernels.All...) {
		t.Run(series, func(t *testing.T) {
			eachEngine(t, linux(t, series), func(m *machine) {
				for _, c := range tests {
					m.t.Run(c.name, func(t *testing.T) {
						c.test(&machine{m.Kernel, m.Services, m.lines, t})
						m.logged()
					})
				}
			})
		})
	}
}

func linux(tb testing.TB, series string) *kernelimage.Image {
	tb.Helper()
	img := kept.Image(tb, series)
	return img
}

// call runs a function, within a budget that only a wrong one needs.
func (m *machine) call(name string, args ...uint64) uint64 {
	m.t.Helper()
	res, err := m.try(name, args...)
	require.NoError(m.t, err)
	return res.X0
}

func (m *machine) try(name string, args ...uint64) (emu.Result, error) {
	m.t.Helper()
	return m.CallName(m.t.Context(), 0, &emu.CallOptions{Budget: 20_000_000}, name, args...)
}

func (m *machine) bytes(b []byte) uint64 {
	m.t.Helper()
	addr, err := m.Heap.Alloc("input", uint64(max(len(b), 1)))
	require.NoError(m.t, err)
	require.NoError(m.t, m.Mem.Write(addr, b))
	return addr
}

func (m *machine) string(s string) uint64 { return m.bytes([]byte(s + "\x00")) }

func (m *machine) words(v []uint64) uint64 {
	b := make([]byte, 0, 8*len(v))
	for _, w := range v {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return m.bytes(b)
}

func (m *machine) read(addr uint64, n int) []byte {
	m.t.Helper()
	b := make([]byte, n)
	require.NoError(m.t, m.Mem.Read(addr, b))
	return b
}

// first returns the one of the names that the kernel has; "" when it has none.
func (m *machine) first(names ...string) string {
	for _, name := range names {
		if _, err := m.Symbols.Lookup(name); err == nil {
			return name
		}
	}
	return ""
}

// logged returns what the kernel has logged since the last time, each line with its
// level.
func (m *machine) logged() (levels []int, texts []string) {
	m.Flush()
	for _, l := range *m.lines {
		levels, texts = append(levels, l.Level), append(texts, l.Text)
	}
	*m.lines = nil
	return levels, texts
}
