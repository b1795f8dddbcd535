package enginetest

import (
	"context"
	"math/rand"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

var countCases = []testCase{
	{"every instruction counts once", func(m *machine) {
		m.do(nil, asm.Nop(), asm.Nop(), asm.Isb(), asm.Nop())
		assert.Equal(m, uint64(5), m.cpu.Count())
	}},
	{"loops and calls", func(m *machine) {
		m.call(m.fibonacci(), 10)
		assert.Equal(m, uint64(55), m.regs.X[0])
		assert.Equal(m, uint64(3+10*6+1), m.cpu.Count())
	}},
	{"a long run of instructions", func(m *machine) {
		insts := make([]asm.Inst, 3000)
		for i := range insts {
			insts[i] = asm.AddImm(asm.X0, asm.X0, 1)
		}
		f := m.code(insts...)
		for i := range uint64(2) {
			m.call(f)
			assert.Equal(m, uint64(3000), m.regs.X[0])
			assert.Equal(m, (i+1)*3001, m.cpu.Count())
		}
	}},
	{"across pages", func(m *machine) {
		for _, before := range []uint64{1, 2, 3, 4} {
			f := m.placeAt(textBase+2*emu.PageSize-4*before, func(b *asm.Builder) {
				b.Emit(asm.Nop(), asm.Nop(), asm.Nop(), asm.Nop(), asm.Ret())
			}).Base
			start := m.cpu.Count()
			m.call(f)
			assert.Equal(m, uint64(5), m.cpu.Count()-start)
		}
	}},
	{"a budget stops at every instruction", func(m *machine) {
		f := m.fibonacci()
		m.enter(f, 5)
		want := []emu.Regs{*m.regs}
		for m.regs.PC != emu.ReturnGate {
			_, err := m.cpu.Step()
			require.NoError(m, err)
			want = append(want, *m.regs)
		}
		for budget := range uint64(len(want)) {
			start := m.cpu.Count()
			m.enter(f, 5)
			exit := m.run(budget)
			assert.Equal(m, budget, m.cpu.Count()-start)
			assert.Equal(m, want[budget], *m.regs, "after %d", budget)
			if budget < uint64(len(want))-1 {
				assert.Equal(m, emu.ExitBudget, exit.Reason)
			} else {
				assert.Equal(m, emu.ExitGate, exit.Reason, "a gate reached with the last instruction allowed")
			}
		}
	}},
	{"a step onto a gate is a step", func(m *machine) {
		m.enter(m.code())
		exit, err := m.cpu.Step()
		require.NoError(m, err)
		assert.Equal(m, emu.Exit{Reason: emu.ExitBudget, PC: emu.ReturnGate}, exit)
		exit, err = m.cpu.Step()
		require.NoError(m, err)
		assert.Equal(m, emu.Exit{Reason: emu.ExitGate, PC: emu.ReturnGate}, exit)
		assert.Equal(m, uint64(1), m.cpu.Count())
	}},
	{"a run goes on where a budget stopped it", func(m *machine) {
		f := m.fibonacci()
		for piece := uint64(1); piece < 20; piece++ {
			start := m.cpu.Count()
			m.enter(f, 10)
			for m.run(piece).Reason == emu.ExitBudget {
			}
			assert.Equal(m, uint64(55), m.regs.X[0])
			assert.Equal(m, uint64(64), m.cpu.Count()-start)
		}
	}},
	{"a fault that no budget allows is not met", func(m *machine) {
		m.enter(m.code(asm.Br(asm.X0)), 0x1000)
		assert.Equal(m, emu.Exit{Reason: emu.ExitBudget, PC: 0x1000}, m.run(1))
		assert.Equal(m, emu.ExitFault, m.run(1).Reason)
		assert.Equal(m, uint64(1), m.cpu.Count())
	}},
	{"steps and runs count the same", testRandomCounts},
	{"Recent has the last instructions, oldest first", func(m *machine) {
		f := m.place(func(b *asm.Builder) {
			over := b.Label("over")
			b.Emit(asm.Nop(), asm.B(over), asm.Nop())
			b.Bind(over)
			b.Emit(asm.Nop(), asm.Ldr(asm.X0, asm.Base(asm.SP)), asm.Ldr(asm.X0, asm.Base(asm.X1)), asm.Nop(), asm.Ret())
		}).Base
		m.enter(f)
		m.regs.SP = dataBase
		require.Equal(m, emu.ExitFault, m.run(100).Reason)
		assert.Equal(m, []uint64{f, f + 4, f + 12, f + 16}, m.cpu.Recent(10))
		assert.Equal(m, []uint64{f + 12, f + 16}, m.cpu.Recent(2))
		assert.Empty(m, m.cpu.Recent(0))
	}},
	{"Recent sees single steps", func(m *machine) {
		f := m.code(asm.Nop(), asm.Nop(), asm.Nop())
		m.enter(f)
		for range 3 {
			m.run(1)
		}
		assert.Equal(m, []uint64{f, f + 4, f + 8}, m.cpu.Recent(8))
	}},
	{"a context that ended stops at once", func(m *machine) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		m.enter(m.code(asm.Nop()))
		_, err := m.cpu.Run(ctx, 10)
		require.ErrorIs(m, err, context.Canceled)
		assert.Zero(m, m.cpu.Count())
	}},
	{"a context that ends stops a run that does not", func(m *machine) {
		f := m.place(func(b *asm.Builder) { loop := b.Here("loop"); b.Emit(asm.AddImm(asm.X0, asm.X0, 1), asm.B(loop)) }).Base
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		m.enter(f)
		start := time.Now()
		_, err := m.cpu.Run(ctx, emu.DefaultBudget)
		require.ErrorIs(m, err, context.DeadlineExceeded)
		assert.Less(m, time.Since(start), 2*time.Second)
		assert.InDelta(m, m.cpu.Count(), 2*m.regs.X[0], 1)
	}},
}

// fibonacci takes 3 instructions, 6 a round and a return.
func (m *machine) fibonacci() uint64 {
	return m.place(func(b *asm.Builder) {
		b.Emit(asm.Movz(asm.X1, 0, 0), asm.Movz(asm.X2, 1, 0), asm.Mov(asm.X3, asm.X0))
		loop := b.Here("loop")
		b.Emit(asm.Add(asm.X4, asm.X1, asm.X2), asm.Mov(asm.X1, asm.X2), asm.Mov(asm.X2, asm.X4))
		b.Emit(asm.Mov(asm.X0, asm.X1), asm.SubImm(asm.X3, asm.X3, 1))
		b.Emit(asm.Cbnz(asm.X3, loop), asm.Ret())
	}).Base
}

// testRandomCounts compares a run on one CPU with single steps on another:
// count, registers, memory and the recent instructions, for programs with
// branches, memory accesses and faults wherever they fall.
func testRandomCounts(m *machine) {
	rng := rand.New(rand.NewSource(1))
	stepped := m.second()
	for range 60 {
		m.next = textBase + emu.PageSize - 128 + uint64(rng.Intn(64))*4
		f := m.place(func(b *asm.Builder) { randomProgram(b, rng) }).Base
		budget := uint64(rng.Intn(400))
		zero := make([]byte, 256)

		require.NoError(m, m.mem.Write(dataBase, zero))
		m.enter(f, dataBase)
		start := m.cpu.Count()
		exit := m.run(budget)
		memory := m.bytes(dataBase, len(zero))

		require.NoError(m, m.mem.Write(dataBase, zero))
		stepped.enter(f, dataBase)
		var last emu.Exit
		for range budget {
			if last = stepped.run(1); last.Reason != emu.ExitBudget || emu.InGates(last.PC) {
				break
			}
		}
		if last.Reason == emu.ExitBudget {
			last = stepped.run(0)
		}
		require.Equal(m, stepped.cpu.Count(), m.cpu.Count())
		require.Equal(m, *stepped.regs, *m.regs)
		require.Equal(m, last, exit)
		require.Equal(m, m.bytes(dataBase, len(zero)), memory)
		n := min(int(m.cpu.Count()-start), 16)
		require.Equal(m, stepped.cpu.Recent(n), m.cpu.Recent(n))
	}
}

// randomProgram has a loop of random instructions; x0 is an address that
// wanders and may leave its region.
func randomProgram(b *asm.Builder, rng *rand.Rand) {
	b.Emit(asm.Movz(asm.X9, uint16(1+rng.Intn(8)), 0))
	loop := b.Here("loop")
	for range 1 + rng.Intn(40) {
		skip := b.Label("")
		switch rng.Intn(9) {
		case 0:
			b.Emit(asm.Ldr(asm.X1, asm.Base(asm.X0)))
		case 1:
			b.Emit(asm.Str(asm.X2, asm.Off(asm.X0, 8*int64(rng.Intn(8)))))
		case 2:
			b.Emit(asm.AddsImm(asm.X2, asm.X2, uint64(rng.Intn(100))))
		case 3:
			b.Emit(asm.BCond(asm.NE, skip), asm.AddImm(asm.X3, asm.X3, 1))
		case 4:
			b.Emit(asm.Cbz(asm.X1, skip), asm.Eor(asm.X4, asm.X4, asm.X2))
		case 5:
			b.Emit(asm.Mrs(asm.X5, asm.CNTVCT_EL0), asm.Add(asm.X6, asm.X6, asm.XZR))
		case 6:
			b.Emit(asm.Isb())
		case 7:
			b.Emit(asm.Ldp(asm.X7, asm.X8, asm.Off(asm.X0, 16)))
		case 8:
			if rng.Intn(8) == 0 {
				b.Emit(asm.SubImm(asm.X0, asm.X0, uint64(rng.Intn(2)*4096)))
			}
		}
		b.Bind(skip)
	}
	b.Emit(asm.SubImm(asm.X9, asm.X9, 1), asm.Cbnz(asm.X9, loop), asm.Ret())
}
