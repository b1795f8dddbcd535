package trace_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/engines"
	"callops/emu/interp"
	"callops/ftrace"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trace"
)

// zstdCall is a compression set up in a kernel, ready to be called.
type zstdCall struct {
	*kernel.Kernel
	t    *testing.T
	in   []byte
	args []uint64
	out  uint64
}

func newZstdCall(t *testing.T, img *kernelimage.Image, newEngine emu.NewEngine, in []byte) *zstdCall {
	t.Helper()
	k, err := kernel.Boot(img, newEngine, &kernel.BootOptions{HeapSize: 256 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	z := &zstdCall{Kernel: k, t: t, in: in}
	const level = 1
	size := z.call(nil, "ZSTD_estimateCCtxSize", level).X0
	cctx := z.call(nil, "ZSTD_initStaticCCtx", z.alloc(size), size).X0
	require.NotZero(t, cctx)
	bound := z.call(nil, "ZSTD_compressBound", uint64(len(in))).X0
	src := z.alloc(uint64(len(in)))
	require.NoError(t, k.Mem.Write(src, in))
	z.out = z.alloc(bound)
	z.args = []uint64{cctx, z.out, bound, src, uint64(len(in)), level}
	return z
}

func (z *zstdCall) alloc(n uint64) uint64 {
	z.t.Helper()
	addr, err := z.Heap.Alloc("data", n)
	require.NoError(z.t, err)
	return addr
}

func (z *zstdCall) call(opts *emu.CallOptions, name string, args ...uint64) emu.Result {
	z.t.Helper()
	res, err := z.CallName(context.Background(), 0, opts, name, args...)
	require.NoError(z.t, err)
	return res
}

// compress runs it, and decompresses what came out with Go.
func (z *zstdCall) compress(opts *emu.CallOptions) emu.Result {
	z.t.Helper()
	res := z.call(opts, "ZSTD_compressCCtx", z.args...)
	packed := make([]byte, res.X0)
	require.NoError(z.t, z.Mem.Read(z.out, packed))
	assert.Less(z.t, len(packed), len(z.in))
	d, err := zstd.NewReader(nil)
	require.NoError(z.t, err)
	defer d.Close()
	got, err := d.DecodeAll(packed, nil)
	require.NoError(z.t, err)
	assert.True(z.t, bytes.Equal(z.in, got))
	return res
}

// trace does it with an ops on all of ZSTD_*, and returns what was recorded.
func (z *zstdCall) trace(opts *ftrace.Options) (ips []uint64, res emu.Result) {
	z.t.Helper()
	r, err := ftrace.New(z.Kernel, opts)
	require.NoError(z.t, err)
	ring, err := trace.NewRing(z.Kernel, 0, 1<<16)
	require.NoError(z.t, err)
	ops, err := r.NewOps("zstd", r.Code().FunctionTracer, nil)
	require.NoError(z.t, err)
	require.NoError(z.t, r.SetFilter(ops, "ZSTD_*", nil))
	require.NoError(z.t, r.Register(ops))
	res = z.compress(nil)
	require.NoError(z.t, r.Unregister(ops))
	for _, e := range ring.Read() {
		ips = append(ips, e.IP)
	}
	require.Zero(z.t, ring.Overrun())
	return ips, res
}

// A trace of the kernel's own zstd, of two blocks, names every call, in order,
// with callops' trampolines and with the kernel's own. What was called is known
// by stepping through the kernel untraced.
func TestLinux_ATraceOfZstdNamesEveryCall(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			path := kernels.Path(t, series)
			img, err := kernelimage.Open(t.Context(), path, nil)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, img.Close()) })
			in, err := os.ReadFile(path)
			require.NoError(t, err)
			in = in[:256<<10]

			sites := make(map[uint64]bool)
			names := kernel.NewSymbols(img.Symbols()...)
			for _, s := range img.Sites() {
				if name, _, ok := names.FormatName(s.IP); ok && strings.HasPrefix(name, "ZSTD_") {
					sites[s.IP] = true
				}
			}
			require.Greater(t, len(sites), 100)
			var called []uint64
			all := engines.All()
			untraced := newZstdCall(t, img, interp.New, in).compress(&emu.CallOptions{OnStep: func(_ emu.CPU, before *emu.Regs) {
				if sites[before.PC] {
					called = append(called, before.PC)
				}
			}})
			require.NotEmpty(t, called)
			var counts [2]uint64
			for _, e := range all {
				for i, opts := range []ftrace.Options{{}, {ImageCode: true}} {
					t.Run(e.Name+"/"+[]string{"ours", "image"}[i], func(t *testing.T) {
						ips, res := newZstdCall(t, img, e.New, in).trace(&opts)
						assert.Equal(t, called, ips)
						if counts[i] == 0 {
							counts[i] = res.Count
						}
						assert.Equal(t, counts[i], res.Count, "instructions, by the engines")
					})
				}
			}
			assert.Greater(t, counts[0], untraced.Count)
			assert.Equal(t, counts[0]+uint64(8*len(called)), counts[1], "the kernel's ftrace_caller takes 8 instructions more")
		})
	}
}
