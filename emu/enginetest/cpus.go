package enginetest

import (
	"sync"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
)

var cpuCases = []testCase{
	{"two CPUs take turns on one memory", func(m *machine) {
		other := m.second()
		f := m.code(asm.Ldr(asm.X1, asm.Base(asm.X0)), asm.Add(asm.X1, asm.X1, asm.X1), asm.AddImm(asm.X1, asm.X1, 1), asm.Str(asm.X1, asm.Base(asm.X0)))
		for i := range 10 {
			c := m
			if i%2 == 1 {
				c = other
			}
			c.call(f, dataBase)
		}
		assert.Equal(m, uint64(1<<10-1), m.load64(dataBase))
		assert.Equal(m, uint64(25), m.cpu.Count())
		assert.Equal(m, uint64(25), other.cpu.Count())
		assert.Equal(m, []int{0, 1}, []int{m.cpu.ID(), other.cpu.ID()})
	}},
	{"registers are each CPU's own", func(m *machine) {
		other := m.second()
		f := m.code(asm.AddImm(asm.X0, asm.X0, 1), asm.Msr(asm.TPIDR_EL1, asm.X0))
		m.call(f, 10)
		other.call(f, 20)
		assert.Equal(m, []uint64{11, 21}, []uint64{m.regs.TPIDREL1, other.regs.TPIDREL1})
	}},
	{"a patch is seen by every CPU", func(m *machine) {
		other := m.second()
		f := m.code(asm.Nop())
		for i := range uint16(3) {
			m.patch(f, asm.Movz(asm.X0, i, 0))
			for _, c := range []*machine{m, other} {
				c.call(f)
				assert.Equal(m, uint64(i), c.regs.X[0])
			}
		}
	}},
	{"interleaved steps", func(m *machine) {
		other := m.second()
		f := m.code(asm.Ldr(asm.X1, asm.Base(asm.X0)), asm.AddImm(asm.X1, asm.X1, 1), asm.Str(asm.X1, asm.Base(asm.X0)))
		m.enter(f, dataBase)
		other.enter(f, dataBase)
		for m.run(1).Reason == emu.ExitBudget {
			other.run(1)
		}
		assert.Equal(m, uint64(1), m.load64(dataBase), "an update is lost, as it must be")
	}},
	{"CPUs run on threads of their own", func(m *machine) {
		other := m.second()
		f := m.fibonacci()
		var wg sync.WaitGroup
		for i, c := range []*machine{m, other} {
			wg.Go(func() {
				for range 50 {
					c.enter(f, uint64(20+i))
					exit, err := c.cpu.Run(c.Context(), 1<<20)
					assert.NoError(m, err)
					assert.Equal(m, emu.ExitGate, exit.Reason)
				}
			})
		}
		wg.Wait()
		assert.Equal(m, []uint64{6765, 10946}, []uint64{m.regs.X[0], other.regs.X[0]})
	}},
	{"closing twice is no error", func(m *machine) {
		require.NoError(m, m.engine.Close())
		require.NoError(m, m.engine.Close())
		_, err := m.cpu.Step()
		require.Error(m, err)
		_, err = m.engine.NewCPU(5)
		require.Error(m, err)
	}},
	{"the engine has a name", func(m *machine) { assert.NotEmpty(m, m.engine.Name()) }},
}

// second is the same machine with another CPU.
func (m *machine) second() *machine {
	m.Helper()
	cpu, err := m.engine.NewCPU(1)
	require.NoError(m, err)
	other := *m
	other.cpu, other.regs = cpu, cpu.Regs()
	return &other
}
