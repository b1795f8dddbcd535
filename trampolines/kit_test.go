package trampolines

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/engines"
	"callops/kernel"
	"callops/kernelimage"
)

// forEngines runs a test on every engine of this build.
func forEngines(t *testing.T, f func(t *testing.T, newEngine emu.NewEngine)) {
	t.Helper()
	for _, e := range engines.All() {
		t.Run(e.Name, func(t *testing.T) { f(t, e.New) })
	}
}

// machine is a kernel with trampolines and hand-placed sites: what package
// ftrace does is done here by plain stores.
type machine struct {
	t testing.TB
	k *kernel.Kernel
	c *Code
	l *kernelimage.Layout
	p *asm.Program // the tracees

	arena, arenaEnd uint64 // memory that alloc takes before the heap's
}

type bootOptions struct {
	Options
	profile kernelimage.Profile
	cpus    int
}

func boot(t testing.TB, newEngine emu.NewEngine, opts bootOptions) *machine {
	t.Helper()
	img, err := kernelimage.Builtin(&kernelimage.BuiltinOptions{Profile: opts.profile, NoCallOps: !opts.CallOps})
	require.NoError(t, err)
	return bootImage(t, newEngine, img, opts)
}

func bootImage(t testing.TB, newEngine emu.NewEngine, img *kernelimage.Image, opts bootOptions) *machine {
	t.Helper()
	k, err := kernel.Boot(img, newEngine, &kernel.BootOptions{CPUs: opts.cpus, HeapSize: 16 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, k.Close()) })
	c, err := Install(k, &opts.Options)
	require.NoError(t, err)
	m := &machine{t: t, k: k, c: c, l: k.Layout}
	m.p, err = k.PlaceCode("tracees", kernel.CodeOptions{Far: opts.Far}, func(base uint64) (*asm.Program, error) {
		return tracees().Assemble(base)
	})
	require.NoError(t, err)
	// Callee-saved registers, and x8, hold improbable values.
	for _, cpu := range k.CPUs {
		regs := cpu.Regs()
		for i := 8; i < 30; i++ {
			regs.X[i] = poison(i)
		}
		regs.X[29] = 0 // the end of the chain of frame records
	}
	return m
}

func bootCallOps(t testing.TB, newEngine emu.NewEngine) *machine {
	t.Helper()
	return boot(t, newEngine, bootOptions{Options: Options{CallOps: true}})
}

func poison(reg int) uint64 { return 0xbad0_0000_0000_0000 | uint64(reg)<<8 | 0x5a }

// Tracees. Each has a literal in front and a site that is disabled, as
// ftrace_init_nop leaves it.
//
//	dump       stores x0..x8, x18..x30 and sp in dump_area, returns 1
//	dump_bti   the same, with BTI C
//	other      returns 2, has no site
//	landing    where a changed return address leads: dumps x0, returns 3
//	direct     a direct trampoline: goes on at the site
const (
	dumpResult = 9
	dumpSP     = 31
	dumpSize   = 32 * 8
)

func tracees() *asm.Builder {
	b := asm.NewBuilder()
	area := b.Label("dump_area")
	for _, name := range []string{"dump", "dump_bti"} {
		b.Align(8)
		b.Emit(asm.Quad(0))
		b.Func(name)
		if name == "dump_bti" {
			b.Emit(asm.Bti(asm.BTIC))
		}
		b.Emit(asm.Mov(asm.X9, asm.LR))
		b.Here(name + " site")
		b.Emit(asm.Nop())
		b.Emit(asm.LdrLit(asm.X16, area))
		for i := range 31 {
			if i < 9 || i >= 18 {
				b.Emit(asm.Str(asm.X(i), asm.Off(asm.X16, int64(8*i))))
			}
		}
		b.Emit(
			asm.Mov(asm.X17, asm.SP),
			asm.Str(asm.X17, asm.Off(asm.X16, 8*dumpSP)),
			asm.Movz(asm.X0, 1, 0),
			asm.Ret(),
		)
		b.EndFunc()
	}
	b.Func("other")
	b.Emit(asm.Movz(asm.X0, 2, 0), asm.Ret())
	b.Func("landing")
	b.Emit(asm.LdrLit(asm.X16, area), asm.Str(asm.X0, asm.Off(asm.X16, 8*dumpResult)))
	b.Emit(asm.MovImm(asm.LR, emu.ReturnGate)...)
	b.Emit(asm.Movz(asm.X0, 3, 0), asm.Ret())
	b.Func("direct")
	b.Emit(asm.Bti(asm.BTIC), asm.Mov(asm.X10, asm.LR), asm.Mov(asm.LR, asm.X9), asm.RetReg(asm.X10))
	b.EndFunc()
	b.Align(8)
	b.Object("dump_area_pointer")
	b.Bind(area)
	b.Emit(asm.Quad(0)) // written by call
	return b
}

func (m *machine) addr(name string) uint64 {
	m.t.Helper()
	addr, ok := m.p.Addr(name)
	require.True(m.t, ok, name)
	return addr
}

// site is the ip of a tracee.
func (m *machine) site(tracee string) uint64 { return m.addr(tracee + " site") }

// enable patches a site to call ftrace_caller, with ops in its literal.
func (m *machine) enable(tracee string, ops uint64) {
	m.t.Helper()
	ip := m.site(tracee)
	bl, err := asm.EncodeBL(ip, m.c.Caller)
	require.NoError(m.t, err)
	m.put64((ip-12)&^7, ops)
	require.NoError(m.t, m.k.Mem.Store32(ip, bl))
	m.k.Mem.SyncText(ip, 4)
}

func (m *machine) disable(tracee string) {
	m.t.Helper()
	ip := m.site(tracee)
	require.NoError(m.t, m.k.Mem.Store32(ip, asm.NOP))
	m.k.Mem.SyncText(ip, 4)
}

func (m *machine) put64(addr, v uint64) {
	m.t.Helper()
	require.NoError(m.t, m.k.Mem.Store64(addr, v))
}

func (m *machine) put32(addr uint64, v uint32) {
	m.t.Helper()
	require.NoError(m.t, m.k.Mem.Store32(addr, v))
}

func (m *machine) get64(addr uint64) uint64 {
	m.t.Helper()
	v, err := m.k.Mem.Load64(addr)
	require.NoError(m.t, err)
	return v
}

func (m *machine) alloc(name string, size int) uint64 {
	m.t.Helper()
	if room := uint64(size+15) &^ 15; m.arenaEnd-m.arena >= room {
		m.arena += room
		require.NoError(m.t, m.k.Mem.Write(m.arena-room, make([]byte, room)))
		return m.arena - room
	}
	addr, err := m.k.Heap.Alloc(name, uint64(size))
	require.NoError(m.t, err)
	return addr
}

// call calls a tracee with x0..x7 = 100..107 and returns what it dumped, if it
// did.
func (m *machine) call(tracee string, opts *emu.CallOptions) (dump []uint64, res emu.Result, err error) {
	m.t.Helper()
	if opts == nil {
		opts = &emu.CallOptions{}
	}
	opts.Budget = 100_000 // a wrong return address makes an endless loop
	area := m.alloc("dump", dumpSize)
	m.put64(m.addr("dump_area_pointer"), area)
	res, err = m.k.Call(context.Background(), 0, opts, m.addr(tracee), 100, 101, 102, 103, 104, 105, 106, 107)
	dump, readErr := m.k.Mem.ReadWords(area, dumpSize/8)
	require.NoError(m.t, readErr)
	return dump, res, err
}

func (m *machine) mustCall(tracee string) []uint64 {
	m.t.Helper()
	dump, _, err := m.call(tracee, nil)
	require.NoError(m.t, err)
	return dump
}

// callList calls the list function as ftrace_caller would, for any ip.
func (m *machine) callList(ip uint64) {
	m.t.Helper()
	_, err := m.k.Call(context.Background(), 0, nil, m.c.ListFunc, ip, 0x1111, m.c.ListOps, 0x2222)
	require.NoError(m.t, err)
}

// goTracer makes a tracer of a Go function. It destroys every register that a
// callee may.
func (m *machine) goTracer(f func(cpu emu.CPU, ip, parent, ops, fregs uint64)) uint64 {
	m.t.Helper()
	addr, err := m.k.Gates.Add("tracer", func(cpu emu.CPU, args [8]uint64) (uint64, error) {
		f(cpu, args[0], args[1], args[2], args[3])
		regs := cpu.Regs()
		for i := range 18 {
			regs.X[i] = ^poison(i)
		}
		regs.NZCV ^= 0xf0000000
		return ^uint64(0), nil
	})
	require.NoError(m.t, err)
	return addr
}

type opsSpec struct {
	fn              uint64
	flags           uint64
	filter, notrace uint64 // addresses of hashes
	direct          uint64
}

func (m *machine) newOps(s opsSpec) uint64 {
	m.t.Helper()
	o := &m.l.Ops
	a := m.alloc("ops", o.Size+8)
	m.put64(a+uint64(o.Func), s.fn)
	m.put64(a+uint64(o.Flags), s.flags)
	m.put64(a+uint64(o.FuncHash), a+uint64(o.LocalHash))
	m.put64(a+uint64(o.LocalHash+m.l.OpsHash.Filter), s.filter)
	m.put64(a+uint64(o.LocalHash+m.l.OpsHash.Notrace), s.notrace)
	if s.direct != 0 {
		m.put64(a+uint64(o.DirectCall), s.direct)
	}
	return a
}

// newHash makes a hash of 1<<bits buckets; each ip is put at its bucket's head.
func (m *machine) newHash(bits int, flags uint64, ips ...uint64) uint64 {
	m.t.Helper()
	h, e := &m.l.Hash, &m.l.Entry
	addr := m.alloc("hash", h.Size)
	buckets := m.alloc("buckets", 8<<bits)
	m.put64(addr+uint64(h.SizeBits), uint64(bits))
	m.put64(addr+uint64(h.Buckets), buckets)
	m.put64(addr+uint64(h.Count), uint64(len(ips)))
	m.put64(addr+uint64(h.Flags), flags)
	for _, ip := range ips {
		entry := m.alloc("entry", e.Size)
		bucket := buckets + 8*bucketOf(ip, bits)
		m.put64(entry+uint64(e.Next), m.get64(bucket))
		m.put64(entry+uint64(e.Pprev), bucket)
		m.put64(entry+uint64(e.IP), ip)
		m.put64(bucket, entry)
	}
	return addr
}

func bucketOf(ip uint64, bits int) uint64 {
	if bits == 0 {
		return 0
	}
	const golden = 0x61C8864680B583EB // GOLDEN_RATIO_64
	return ip * golden >> (64 - bits)
}

// register makes the ops the list, newest first.
func (m *machine) register(ops ...uint64) {
	m.t.Helper()
	next := m.c.ListEnd
	for _, o := range slices.Backward(ops) {
		m.put64(o+uint64(m.l.Ops.Next), next)
		next = o
	}
	m.put64(m.c.OpsList, next)
}

// task returns words of the task that recursion protection uses.
func (m *machine) task() (preempt, recursion uint64) {
	m.t.Helper()
	task := m.k.CPUs[0].Task
	return m.get64(task + uint64(m.l.Task.PreemptCount)), m.get64(task + uint64(m.l.Task.TraceRecursion))
}

func (m *machine) setPreemptCount(v uint32) {
	m.t.Helper()
	m.put32(m.k.CPUs[0].Task+uint64(m.l.Task.PreemptCount), v)
}

const preemptEnabled = 1 << 32

// idle asserts that the task is as it was before anything was traced.
func (m *machine) requireIdle() {
	m.t.Helper()
	preempt, recursion := m.task()
	require.EqualValues(m.t, preemptEnabled, preempt, "preempt_count")
	require.Zero(m.t, recursion, "trace_recursion")
}

func (m *machine) fregs(at uint64) fregs {
	m.t.Helper()
	p := make([]byte, m.l.Regs.Size)
	require.NoError(m.t, m.k.Mem.Read(at, p))
	get := func(off int) uint64 { return binary.LittleEndian.Uint64(p[off:]) }
	var f fregs
	for i := range f.Regs {
		f.Regs[i] = get(m.l.Regs.X0 + 8*i)
	}
	f.DirectTramp, f.FP, f.LR = get(m.l.Regs.DirectTramp), get(m.l.Regs.FP), get(m.l.Regs.LR)
	f.SP, f.PC = get(m.l.Regs.SP), get(m.l.Regs.PC)
	return f
}

func hex(v uint64) string { return fmt.Sprintf("%#x", v) }
