package kernel

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernelimage"
)

// still is an engine whose CPUs do not run: enough for what Boot sets up.
type still struct{ closed int }

func (s *still) Name() string                    { return "still" }
func (s *still) NewCPU(id int) (emu.CPU, error)  { return &stillCPU{id: id}, nil }
func (s *still) Close() error                    { s.closed++; return nil }
func newStill(_ *emu.Memory) (emu.Engine, error) { return &still{}, nil }

type stillCPU struct {
	id    int
	regs  emu.Regs
	calls emu.CallStack
}

func (c *stillCPU) ID() int               { return c.id }
func (c *stillCPU) Regs() *emu.Regs       { return &c.regs }
func (c *stillCPU) Calls() *emu.CallStack { return &c.calls }
func (c *stillCPU) Count() uint64         { return 0 }
func (c *stillCPU) Recent(int) []uint64   { return nil }
func (c *stillCPU) Step() (emu.Exit, error) {
	return emu.Exit{}, errors.New("still engine runs nothing")
}
func (c *stillCPU) Run(context.Context, uint64) (emu.Exit, error) { return c.Step() }

func bootStill(t *testing.T, img *kernelimage.Image, opts *BootOptions) *Kernel {
	t.Helper()
	k, err := Boot(img, newStill, opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	return k
}

func load64(t *testing.T, k *Kernel, addr uint64) uint64 {
	t.Helper()
	v, err := k.Mem.Load64(addr)
	require.NoError(t, err)
	return v
}

func load32(t *testing.T, k *Kernel, addr uint64) uint32 {
	t.Helper()
	v, err := k.Mem.Load32(addr)
	require.NoError(t, err)
	return v
}

func TestBoot_OneCPUWhereNothingTellsThePerCPUVariables(t *testing.T) {
	parts := builtin(t, nil).Parts()
	parts.Linux = &kernelimage.Linux{OneCPU: true}
	img := kernelimage.New(parts)
	_, err := Boot(img, newStill, &BootOptions{CPUs: 2})
	require.ErrorIs(t, err, errno.EOPNOTSUPP)
	bootStill(t, img, nil)
}

// Areas are laid out in pages of the kernel's own.
func TestBoot_AKernelsPagesMayBeLarger(t *testing.T) {
	for _, page := range []uint64{16 << 10, 64 << 10} {
		parts := builtin(t, nil).Parts()
		parts.Linux = &kernelimage.Linux{PageSize: page}
		k := bootStill(t, kernelimage.New(parts), &BootOptions{CPUs: 3})
		for _, c := range k.CPUs {
			assert.Zero(t, c.PerCPU%page, "page-aligned variables stay so in each CPU's area")
			assert.Equal(t, max(16<<10, page), c.Stack.End-c.Stack.Start)
			assert.Nil(t, k.Mem.Region(c.Stack.Start-8))
			assert.Nil(t, k.Mem.Region(c.Stack.End))
		}
		m, err := k.LoadModule(t.Context(), fixtureModule(t), "fixture.ko", nil)
		require.NoError(t, err)
		for _, s := range m.Image.Segments() {
			assert.Zero(t, s.Addr%page, s.Name)
		}
	}
}

func TestBoot_EachCPUHasATaskAStackAndAPerCPUArea(t *testing.T) {
	k := bootStill(t, builtin(t, nil), &BootOptions{CPUs: 3})
	require.Len(t, k.CPUs, 3)
	for id, c := range k.CPUs {
		l := k.Layout.Task
		assert.Equal(t, c.Task, c.Regs().SPEL0, "sp_el0 is current")
		assert.Equal(t, c.PerCPU, c.Regs().TPIDREL1)
		assert.Equal(t, c.StackTop, c.Regs().SP)
		assert.EqualValues(t, 1<<32, load64(t, k, c.Task+uint64(l.PreemptCount)), "PREEMPT_ENABLED")
		assert.EqualValues(t, id, load32(t, k, c.Task+uint64(l.CPU)))
		assert.EqualValues(t, 100+id, load32(t, k, c.Task+uint64(l.Pid)))
		assert.Equal(t, c.Stack.Start, load64(t, k, c.Task+uint64(l.Stack)))
		assert.NotZero(t, load64(t, k, c.Task+uint64(l.StackCanary)))
		assert.Zero(t, load64(t, k, c.Task+uint64(l.TraceRecursion)))
		comm, err := k.Mem.ReadString(c.Task+uint64(l.Comm), 16)
		require.NoError(t, err)
		assert.Equal(t, []string{"callops/0", "callops/1", "callops/2"}[id], comm)
		assert.NotZero(t, load32(t, k, c.PerCPU+uint64(k.Layout.PerCPU.ContextState))&^3, "RCU is watching")
	}
	assert.Len(t, map[uint64]bool{k.CPUs[0].Task: true, k.CPUs[1].Task: true, k.CPUs[2].Task: true}, 3)
}

func TestBoot_StacksHaveGuardPages(t *testing.T) {
	k := bootStill(t, builtin(t, nil), &BootOptions{CPUs: 2})
	for _, c := range k.CPUs {
		assert.EqualValues(t, 16<<10, c.Stack.End-c.Stack.Start)
		assert.Equal(t, c.Stack.End, c.StackTop)
		for _, addr := range []uint64{c.Stack.Start - 8, c.Stack.Start - emu.PageSize, c.Stack.End, c.Stack.End + emu.PageSize - 8} {
			_, err := k.Mem.Load64(addr)
			assert.ErrorIs(t, err, errno.EFAULT, "guard at %#x", addr)
		}
		load64(t, k, c.Stack.Start)
		load64(t, k, c.Stack.End-8)
	}
}

func TestBoot_LoadsSegmentsWithTheirPermissions(t *testing.T) {
	for _, file := range workloadFiles(t) {
		img := workload(t, file)
		k := bootStill(t, img, nil)
		for _, s := range img.Segments() {
			want, err := s.Bytes()
			require.NoError(t, err)
			got := make([]byte, len(want))
			require.NoError(t, k.Mem.Read(s.Addr, got))
			assert.Equal(t, want, got, file)
			assert.Equal(t, s.Perm, k.Mem.Region(s.Addr).Perm, "%s %s", file, s.Name)
			if s.MemSize > s.FileSize() {
				var last [1]byte
				require.NoError(t, k.Mem.Read(s.End()-1, last[:]))
				assert.Zero(t, last[0], "bss")
			}
		}
	}
}

func TestPagesOf_ASharedPageGetsBothPermissions(t *testing.T) {
	const rx, rw = emu.Read | emu.Exec, emu.Read | emu.Write
	seg := func(name string, addr, size uint64, perm emu.Perm) kernelimage.Segment {
		return kernelimage.Segment{Name: name, Addr: addr, MemSize: size, Perm: perm}
	}
	for name, test := range map[string]struct {
		segments []kernelimage.Segment
		want     []pages
	}{
		"apart": {
			[]kernelimage.Segment{seg("text", 0x1000, 0x800, rx), seg("data", 0x2010, 0x10, rw)},
			[]pages{{kernelimage.Range{Start: 0x1000, End: 0x2000}, "text", rx}, {kernelimage.Range{Start: 0x2000, End: 0x3000}, "data", rw}},
		},
		"in_the_middle": {
			[]kernelimage.Segment{seg("text", 0x1000, 0x1800, rx), seg("data", 0x2900, 0x1000, rw)},
			[]pages{{kernelimage.Range{Start: 0x1000, End: 0x2000}, "text", rx}, {kernelimage.Range{Start: 0x2000, End: 0x3000}, "text+data", rx | rw}, {kernelimage.Range{Start: 0x3000, End: 0x4000}, "data", rw}},
		},
		"all_in_one": {
			[]kernelimage.Segment{seg("text", 0x1000, 0x10, rx), seg("data", 0x1900, 0x10, rw)},
			[]pages{{kernelimage.Range{Start: 0x1000, End: 0x2000}, "text+data", rx | rw}},
		},
		"same_permissions": {
			[]kernelimage.Segment{seg("a", 0x1000, 0x10, rw), seg("b", 0x1900, 0x1000, rw)},
			[]pages{{kernelimage.Range{Start: 0x1000, End: 0x2000}, "a", rw}, {kernelimage.Range{Start: 0x2000, End: 0x3000}, "b", rw}},
		},
	} {
		assert.Equal(t, test.want, pagesOf(test.segments), name)
	}
}

func TestBoot_RefusesImpossibleMachines(t *testing.T) {
	img := builtin(t, nil)
	for name, opts := range map[string]*BootOptions{
		"negative_cpus": {CPUs: -1}, "too_many_cpus": {CPUs: MaxCPUs + 1}, "too_much_heap": {HeapSize: 1 << 40},
	} {
		_, err := Boot(img, newStill, opts)
		assert.ErrorIs(t, err, errno.EINVAL, name)
	}
	top := kernelimage.New(&kernelimage.Parts{Name: "top", Layout: img.Layout(), Segments: []kernelimage.Segment{{Addr: 1<<64 - 0x2000, MemSize: 0x1000}}})
	_, err := Boot(top, newStill, nil)
	assert.ErrorIs(t, err, errno.ENOMEM)
	_, err = Boot(kernelimage.New(&kernelimage.Parts{Name: "void", Layout: img.Layout()}), newStill, nil)
	assert.ErrorIs(t, err, errno.ENOMEM)
	for _, addr := range []uint64{1 << 48, 1<<63 - 0x1000, 1<<48 - 0x1000} {
		odd := kernelimage.New(&kernelimage.Parts{Name: "odd", Layout: img.Layout(), Segments: []kernelimage.Segment{{Name: "text", Addr: addr, MemSize: 0x1000}}})
		_, err = Boot(odd, newStill, nil)
		assert.ErrorIs(t, err, errno.EINVAL)
		assert.ErrorContains(t, err, "not at 48-bit addresses")
	}
	gates := kernelimage.New(&kernelimage.Parts{Name: "gates", Layout: img.Layout(), Segments: []kernelimage.Segment{{Name: "text", Addr: emu.GateBase, MemSize: 0x1000}}})
	_, err = Boot(gates, newStill, nil)
	assert.ErrorIs(t, err, errno.EINVAL)
	assert.ErrorContains(t, err, "boot gates: map text at 0xffffa00000000000, 0x1000 bytes: overlaps the gates")
}

func TestBoot_ReportsAnEngineThatDoesNotOpen(t *testing.T) {
	_, err := Boot(builtin(t, nil), func(*emu.Memory) (emu.Engine, error) { return nil, errors.ErrUnsupported }, nil)
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	assert.ErrorContains(t, err, "boot builtin")
}

func TestClose_TwiceClosesTheEngineOnce(t *testing.T) {
	k, err := Boot(builtin(t, nil), newStill, nil)
	require.NoError(t, err)
	engine := k.Engine.(*still)
	require.NoError(t, k.Close())
	require.NoError(t, k.Close())
	assert.Equal(t, 1, engine.closed)
}

func TestCall_OfAClosedKernelSaysSo(t *testing.T) {
	k, err := Boot(builtin(t, nil), newStill, nil)
	require.NoError(t, err)
	require.NoError(t, k.Close())
	_, err = k.CallName(t.Context(), 0, nil, "gcd", 12, 18)
	assert.ErrorIs(t, err, os.ErrClosed)
	assert.Nil(t, k.Backtrace(0))
}

func TestBoot_ALinuxImageHasItsOwnPerCPUAreas(t *testing.T) {
	img, _ := linux(t, kernels.Linux612)
	k := bootStill(t, img, &BootOptions{CPUs: 2})
	linux := img.Linux()
	linked := make([]byte, linux.PerCPU.End-linux.PerCPU.Start)
	n, err := img.ReadAt(linked, linux.PerCPU.Start)
	require.NoError(t, err)
	require.Len(t, linked, n)
	for id, c := range k.CPUs {
		first := linux.PerCPU.Start + c.PerCPU
		got := make([]byte, len(linked))
		require.NoError(t, k.Mem.Read(first, got), "a variable is at its symbol's address and tpidr_el1")
		assert.Equal(t, c.PerCPU, c.Regs().TPIDREL1)
		assert.EqualValues(t, rcuWatching, load32(t, k, c.PerCPU+uint64(k.Layout.PerCPU.ContextState)))
		if n := linux.CPUNumber; n != 0 {
			assert.EqualValues(t, id, load32(t, k, c.PerCPU+n))
		}
		ring := uint64(k.Layout.PerCPU.RingBuffer) + c.PerCPU
		assert.Zero(t, load64(t, k, ring))
		assert.GreaterOrEqual(t, ring, first+uint64(len(linked)))
		offsets, err := k.Symbols.Lookup("__per_cpu_offset")
		require.NoError(t, err)
		assert.Equal(t, c.PerCPU, load64(t, k, offsets.Addr+8*uint64(id)))
	}
	assert.NotEqual(t, k.CPUs[0].PerCPU, k.CPUs[1].PerCPU)
}

func TestKernel_RefusesNothings(t *testing.T) {
	_, err := Boot(nil, newStill, nil)
	assert.ErrorIs(t, err, errno.EINVAL)
	_, err = Boot(builtin(t, nil), nil, nil)
	assert.ErrorIs(t, err, errno.EINVAL)
	k := bootStill(t, builtin(t, nil), nil)
	_, err = k.PlaceCode("m", CodeOptions{}, nil)
	assert.ErrorIs(t, err, errno.EINVAL)
	k.Subscribe(nil)()
	_, err = k.NewTask("t", 99)
	assert.ErrorIs(t, err, errno.EINVAL)
	k.FreeTask(&Task{})
	task, err := k.NewTask("t", 0)
	require.NoError(t, err)
	assert.NotZero(t, task.Addr)
}

func TestClaim_CPUsBelongToOneAtATime(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	release, err := k.Claim()
	require.NoError(t, err)
	_, err = k.Claim()
	assert.ErrorIs(t, err, errno.EBUSY)
	_, err = k.CallName(t.Context(), 0, nil, "gcd", 4, 2)
	assert.ErrorIs(t, err, errno.EBUSY)
	release()
	release, err = k.Claim()
	require.NoError(t, err)
	release()
}
