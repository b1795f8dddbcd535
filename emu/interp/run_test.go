package interp

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

func words(insts ...asm.Inst) []uint32 {
	b := asm.NewBuilder()
	b.Emit(insts...)
	p, err := b.Assemble(agreeText)
	if err != nil {
		panic(err) // the test's own code
	}
	var w []uint32
	for i := 0; i < len(p.Code); i += 4 {
		w = append(w, uint32(p.Code[i])|uint32(p.Code[i+1])<<8|uint32(p.Code[i+2])<<16|uint32(p.Code[i+3])<<24)
	}
	return w
}

const (
	brSelf = 0x14000000 // b .
	ret    = 0xd65f03c0
	nop    = 0xd503201f
)

func TestRun_DoesNotAllocate(t *testing.T) {
	c := newTestCPU(t)
	loop := words(
		asm.Stp(asm.X2, asm.X3, asm.Pre(asm.SP, -16)), asm.AddImm(asm.X2, asm.X2, 1), asm.Mrs(asm.X4, asm.CNTVCT_EL0),
		asm.Ldadd(asm.X2, asm.X5, asm.X1), asm.Ldp(asm.X2, asm.X3, asm.Post(asm.SP, 16)), asm.CmpImm(asm.X2, 5),
	)
	loop = append(loop, 0x17ffffff-uint32(len(loop))+1)
	c.put(t, agreeText, loop...)
	regs := c.Regs()
	*regs = emu.Regs{PC: agreeText, SP: agreeData + 0x800}
	regs.X[1] = agreeData
	run := func(budget uint64) {
		exit, err := c.Run(context.Background(), budget)
		if err != nil || exit.Reason != emu.ExitBudget {
			t.Error(exit, err)
		}
	}
	run(100)
	assert.Zero(t, testing.AllocsPerRun(10, func() { run(10007) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { run(1) }))
}

func TestRun_EndsWithItsContext(t *testing.T) {
	c := newTestCPU(t)
	c.put(t, agreeText, nop, brSelf-1&0x03ffffff|brSelf)
	*c.Regs() = emu.Regs{PC: agreeText}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	start := time.Now()
	exit, err := c.Run(ctx, 1<<62)
	require.ErrorIs(t, err, context.Canceled)
	assert.Less(t, time.Since(start), 5*time.Second)
	assert.Equal(t, c.Regs().PC, exit.PC)
}

// A loop that never leaves its page has to see what another goroutine patches.
func TestTextChanged_StopsARunningLoop(t *testing.T) {
	c := newTestCPU(t)
	c.put(t, agreeText, nop, brSelf-1&0x03ffffff|brSelf)
	*c.Regs() = emu.Regs{PC: agreeText}
	c.Regs().X[30] = emu.ReturnGate
	done := make(chan emu.Exit)
	go func() {
		exit, err := c.Run(context.Background(), 1<<62)
		assert.NoError(t, err)
		done <- exit
	}()
	require.NoError(t, c.mem.Store32(agreeText+4, ret))
	c.mem.SyncText(agreeText+4, 4)
	assert.Equal(t, emu.ExitGate, (<-done).Reason)
}

// What was joined to a pair, and what begins in the middle of a run, must go
// with a word that changes.
func TestTextChanged_InsideARun(t *testing.T) {
	c := newTestCPU(t)
	run := func() uint64 {
		*c.Regs() = emu.Regs{PC: agreeText}
		c.Regs().X[30] = emu.ReturnGate
		exit, err := c.Run(context.Background(), 100)
		require.NoError(t, err)
		require.Equal(t, emu.ExitGate, exit.Reason)
		return c.Regs().X[0]
	}
	code := []uint32{0xd2800020, 0xf2a00020, 0x91000400, 0x91000400, ret} // mov x0, #0x10001; add; add
	c.put(t, agreeText, code...)
	assert.EqualValues(t, 0x10003, run())
	c.put(t, agreeText+4, nop) // the second of a pair
	assert.EqualValues(t, 3, run())
	c.put(t, agreeText+8, ret) // a branch where there was none
	assert.EqualValues(t, 1, run())
	c.put(t, agreeText, 0xd2800060)
	assert.EqualValues(t, 3, run())
	c.put(t, agreeText, code...)
	assert.EqualValues(t, 0x10003, run())
}

// A run that goes on in the next page, and a pair that would.
func TestTextChanged_AcrossPages(t *testing.T) {
	c := newTestCPU(t)
	const edge = agreeText + emu.PageSize
	run := func() uint64 {
		*c.Regs() = emu.Regs{PC: edge - 8}
		c.Regs().X[30] = emu.ReturnGate
		start := c.Count()
		exit, err := c.Run(context.Background(), 100)
		require.NoError(t, err)
		require.Equal(t, emu.ExitGate, exit.Reason)
		require.EqualValues(t, 4, c.Count()-start)
		require.Equal(t, []uint64{edge - 8, edge - 4, edge, edge + 4}, c.Recent(4))
		return c.Regs().X[0]
	}
	c.put(t, edge-8, nop, 0xd2800020, 0xf2a00020, ret)
	assert.EqualValues(t, 0x10001, run())
	c.put(t, edge, 0xf2a00040)
	assert.EqualValues(t, 0x20001, run())
	c.put(t, edge-4, 0xd2800060)
	assert.EqualValues(t, 0x20003, run())
}

// Guest code rewrites the instruction after the store, which is on the same
// page and of the same run.
func TestStore_ToTheRunBeingExecuted(t *testing.T) {
	mem := emu.NewMemory()
	_, err := mem.Map("jit", agreeText, emu.PageSize, emu.Read|emu.Write|emu.Exec)
	require.NoError(t, err)
	e, err := New(mem)
	require.NoError(t, err)
	cpu, err := e.NewCPU(0)
	require.NoError(t, err)
	c := &testCPU{CPU: cpu.(*CPU), mem: mem}
	for range 3 {
		c.put(t, agreeText, 0xb9000822, nop, 0xd2800020, ret) // str w2, [x1, #8]; nop; mov x0, #1
		*c.Regs() = emu.Regs{PC: agreeText}
		c.Regs().X[1], c.Regs().X[2], c.Regs().X[30] = agreeText, 0xd2800040, emu.ReturnGate
		start := c.Count()
		exit, err := c.Run(context.Background(), 100)
		require.NoError(t, err)
		assert.Equal(t, emu.ExitGate, exit.Reason)
		assert.EqualValues(t, 2, c.Regs().X[0])
		assert.EqualValues(t, 4, c.Count()-start)
	}
	require.NoError(t, e.Close())
	require.NoError(t, mem.Close())
}

func TestTextChanged_ManyAreCheap(t *testing.T) {
	c := newTestCPU(t)
	best := time.Hour
	for range 5 {
		start := time.Now()
		for i := range uint64(50000) {
			c.TextChanged(agreeText+i*512, 8)
		}
		c.syncText()
		best = min(best, time.Since(start))
	}
	assert.Less(t, best, 10*time.Millisecond*raceFactor)
}

// Calls from two goroutines, released at one instant.
func hammer(t *testing.T, e emu.Engine, code []uint32, mem *emu.Memory, regs func(cpu int) emu.Regs, check func(cpu int, regs *emu.Regs)) {
	t.Helper()
	cpu0 := &testCPU{mem: mem}
	cpu0.put(t, agreeText, code...)
	var wg sync.WaitGroup
	release := make(chan struct{})
	for i := range 2 {
		cpu, err := e.NewCPU(i)
		require.NoError(t, err)
		*cpu.Regs() = regs(i)
		wg.Go(func() {
			<-release
			exit, err := cpu.Run(context.Background(), 1<<40)
			assert.NoError(t, err)
			assert.Equal(t, emu.ExitGate, exit.Reason, exit)
			check(i, cpu.Regs())
		})
	}
	close(release)
	wg.Wait()
	runtime.KeepAlive(cpu0)
}

const hammered = 20000

// Each CPU adds hammered times; nothing gets lost.
func TestHammer_Atomics(t *testing.T) {
	for name, code := range map[string][]uint32{
		// loop: ...; sub x0, x0, #1; cbnz x0, loop; ret
		"ldadd":      {0xf8220023, 0xd1000400, 0xb5ffffc0, ret},
		"ldaddb":     {0x38220023, 0xd1000400, 0xb5ffffc0, ret},
		"ldxr, stxr": {0xc85f7c23, 0x8b020063, 0xc8047c23, 0x35ffffa4, 0xd1000400, 0xb5ffff60, ret},
		"ldxp, stxp": {0xc87f1823, 0x8b020063, 0xc8251823, 0x35ffffa5, 0xd1000400, 0xb5ffff60, ret},
		"ldxrh":      {0x485f7c23, 0x8b020063, 0x48047c23, 0x35ffffa4, 0xd1000400, 0xb5ffff60, ret},
		// ldr x3, [x1]; mov x5, x3; add x4, x3, x2; casal x3, x4, [x1]; cmp x3, x5; b.ne
		"cas": {0xf9400023, 0xaa0303e5, 0x8b020064, 0xc8e3fc24, 0xeb05007f, 0x54ffff61, 0xd1000400, 0xb5ffff20, ret},
		// Plain additions in a spinlock of one byte. add x6, x1, #64; mov w4, #1; lock: swpab w4, w5, [x6]; cbnz w5, lock; ...; stlrb wzr, [x6]
		"swpab": {0x91010026, 0x52800024, 0x38a480c5, 0x35ffffe5, 0xf9400023, 0x8b020063, 0xf9000023, 0x089ffcdf, 0xd1000400, 0xb5ffff20, ret},
		// lock: mov w5, wzr; casab w5, w4, [x6]; cbnz w5, lock
		"casab": {0x91010026, 0x52800024, 0x2a1f03e5, 0x08e57cc4, 0x35ffffc5, 0xf9400023, 0x8b020063, 0xf9000023, 0x089ffcdf, 0xd1000400, 0xb5ffff00, ret},
	} {
		t.Run(name, func(t *testing.T) {
			c := newTestCPU(t)
			hammer(t, c.engine, code, c.mem, func(int) emu.Regs {
				r := emu.Regs{PC: agreeText}
				r.X[0], r.X[1], r.X[2], r.X[30] = hammered, agreeData, 1, emu.ReturnGate
				return r
			}, func(int, *emu.Regs) {})
			have, err := c.mem.Load64(agreeData)
			require.NoError(t, err)
			mask := map[string]uint64{"ldaddb": 0xff, "ldxrh": 0xffff}[name]
			if mask == 0 {
				mask = ^uint64(0)
			}
			assert.EqualValues(t, 2*hammered&mask, have)
		})
	}
}

// A CPU that has announced itself and sees no other one is alone, if the load waits for the store
// before a DMB: of its plain additions none is lost.
func TestHammer_Dmb(t *testing.T) {
	c := newTestCPU(t)
	mine, theirs := asm.Base(asm.X8), asm.Base(asm.X9)
	b := asm.NewBuilder()
	busy := b.Label("busy")
	loop := b.Here("loop")
	b.Emit(asm.Str(asm.X12, mine), asm.Dmb(asm.ISH), asm.Ldr(asm.X3, theirs), asm.Cbnz(asm.X3, busy))
	b.Emit(asm.Dmb(asm.ISHLD), asm.Ldr(asm.X3, asm.Base(asm.X1)), asm.AddImm(asm.X3, asm.X3, 1), asm.Str(asm.X3, asm.Base(asm.X1)),
		asm.AddImm(asm.X7, asm.X7, 1), asm.Dmb(asm.ISH))
	b.Bind(busy)
	b.Emit(asm.Str(asm.XZR, mine), asm.SubImm(asm.X0, asm.X0, 1), asm.Cbnz(asm.X0, loop), asm.Ret())
	p, err := b.Assemble(agreeText)
	require.NoError(t, err)
	var words []uint32
	for code := p.Code; len(code) != 0; code = code[4:] {
		words = append(words, binary.LittleEndian.Uint32(code))
	}
	var alone atomic.Uint64
	hammer(t, c.engine, words, c.mem, func(cpu int) emu.Regs {
		r := emu.Regs{PC: agreeText}
		r.X[0], r.X[1], r.X[12], r.X[30] = 50*hammered, agreeData, 1, emu.ReturnGate
		r.X[8], r.X[9] = agreeData+1024+256*uint64(cpu), agreeData+1024+256*uint64(1-cpu)
		return r
	}, func(_ int, r *emu.Regs) { alone.Add(r.X[7]) })
	have, err := c.mem.Load64(agreeData)
	require.NoError(t, err)
	assert.Equal(t, alone.Load(), have)
}

// One CPU stores literals whose halves are equal, the other loads them: neither
// plain accesses nor pairs of them are ever torn. The accesses race, and the
// race detector has to be silent about guest memory.
func TestHammer_LiteralIsNeverTorn(t *testing.T) {
	c := newTestCPU(t)
	code := []uint32{
		0xb5000122,                         // cbnz x2, load
		0x9b087c64, 0xf9000024, 0x91000463, // store: mul x4, x3, x8; str x4, [x1]; add x3, x3, #1
		nop, nop, 0xd1000400, 0xb5ffff40, ret, // sub x0, x0, #1; cbnz x0, store
		0xf9400023, 0xd360fc64, 0x2a0303e5, // load: ldr x3, [x1]; lsr x4, x3, #32; mov w5, w3
		0xcb050084, 0xaa0400c6, // sub x4, x4, x5; orr x6, x6, x4
		0xd1000400, 0xb5ffff40, ret, // sub x0, x0, #1; cbnz x0, load
	}
	hammer(t, c.engine, code, c.mem, func(cpu int) emu.Regs {
		r := emu.Regs{PC: agreeText}
		r.X[0], r.X[1], r.X[2], r.X[8], r.X[30] = hammered, agreeData, uint64(cpu), 1<<32+1, emu.ReturnGate
		return r
	}, func(cpu int, r *emu.Regs) {
		if cpu == 1 {
			assert.Zero(t, r.X[6], "halves that differ")
		}
	})
}

// Message passing: what is stored before an STLR is seen after an LDAR that sees
// that.
func TestHammer_ReleaseAcquire(t *testing.T) {
	c := newTestCPU(t)
	code := []uint32{
		0xb5000122,                            // cbnz x2, reader
		0x91000463,                            // writer: add x3, x3, #1
		0xf9010023,                            // str x3, [x1, #512]
		0xc89ffc23,                            // stlr x3, [x1]
		0xd1000400, 0xb5ffff80, ret, nop, nop, // sub, cbnz writer
		0xc8dffc23, // reader: ldar x3, [x1]
		0xf9410024, // ldr x4, [x1, #512]
		0xeb03009f, // cmp x4, x3
		0x9a8624c6, // csinc x6, x6, x6, hs
		0xd1000400, 0xb5ffff60, ret,
	}
	hammer(t, c.engine, code, c.mem, func(cpu int) emu.Regs {
		r := emu.Regs{PC: agreeText}
		r.X[0], r.X[1], r.X[2], r.X[30] = hammered, agreeData, uint64(cpu), emu.ReturnGate
		return r
	}, func(cpu int, r *emu.Regs) {
		if cpu == 1 {
			assert.Zero(t, r.X[6], "seen the flag but not the data")
		}
	})
}

// CPUs execute while their text is patched between NOP and BL.
func TestHammer_Patching(t *testing.T) {
	c := newTestCPU(t)
	const site = agreeText + 4
	// loop: sub x0, x0, #1; nop or b +4; cbnz x0, loop; ret
	var patched sync.WaitGroup
	stop := make(chan struct{})
	patched.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			w := []uint32{nop, 0x14000001}[i&1]
			assert.NoError(t, c.mem.Store32(site, w))
			c.mem.SyncText(site, 4)
		}
	})
	hammer(t, c.engine, []uint32{0xd1000400, nop, 0xb5ffffc0, ret}, c.mem, func(int) emu.Regs {
		r := emu.Regs{PC: agreeText}
		r.X[0], r.X[30] = 10*hammered, emu.ReturnGate
		return r
	}, func(_ int, r *emu.Regs) { assert.Zero(t, r.X[0]) })
	close(stop)
	patched.Wait()
}
