package lockstep_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/lockstep"
)

const (
	textBase = 0xffff_8000_8000_0000
	dataBase = 0xffff_8000_9000_0000
	heapBase = 0xffff_8000_a000_0000
	rounds   = 200
	perRound = 6
)

// machine has one CPU of the engine, about to run program.
type machine struct {
	*testing.T
	mem     *emu.Memory
	cpu     emu.CPU
	program *asm.Program
}

// newMachine's program adds a random number to a sum and stores that, rounds
// times: x2 counts down, x1 is the number, x3 the sum, x5 counts carries.
func newMachine(t *testing.T, newEngine emu.NewEngine) *machine {
	t.Helper()
	m := &machine{T: t, mem: emu.NewMemory()}
	for _, r := range []struct {
		name       string
		base, size uint64
		perm       emu.Perm
	}{
		{"text", textBase, emu.PageSize, emu.Read | emu.Exec},
		{"data", dataBase, emu.PageSize, emu.Read | emu.Write},
		{"heap", heapBase, 64 << 20, emu.Read | emu.Write},
	} {
		_, err := m.mem.Map(r.name, r.base, r.size, r.perm)
		require.NoError(t, err)
	}
	b := asm.NewBuilder()
	loop := b.Here("loop")
	b.Here("mul")
	b.Emit(asm.Madd(asm.X1, asm.X1, asm.X4, asm.X2))
	b.Here("adds")
	b.Emit(asm.Adds(asm.X3, asm.X3, asm.X1))
	b.Here("adc")
	b.Emit(asm.Cinc(asm.X5, asm.X5, asm.CS))
	b.Here("str")
	b.Emit(asm.Str(asm.X3, asm.Idx(asm.X0, asm.X2, 3)))
	b.Here("sub")
	b.Emit(asm.SubImm(asm.X2, asm.X2, 1), asm.Cbnz(asm.X2, loop), asm.Ret())
	var err error
	m.program, err = b.Assemble(textBase)
	require.NoError(t, err)
	require.NoError(t, m.mem.Write(textBase, m.program.Code))

	engine, err := newEngine(m.mem)
	require.NoError(t, err)
	m.cpu, err = engine.NewCPU(0)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, engine.Close())
		assert.NoError(t, m.mem.Close())
	})
	m.reset()
	return m
}

func (m *machine) reset() {
	r := emu.Regs{PC: textBase, SP: dataBase + emu.PageSize}
	copy(r.X[:], []uint64{dataBase, 3, rounds, 0, 0x5851_f42d_4c95_7f2d})
	r.X[30] = emu.ReturnGate
	*m.cpu.Regs() = r
}

func (m *machine) addr(name string) uint64 {
	m.Helper()
	addr, ok := m.program.Addr(name)
	require.True(m, ok, name)
	return addr
}

// at makes a fault that spoils the instruction in the given round.
func (m *machine) at(name string, round uint64, spoil func(*faultyCPU)) fault {
	pc := m.addr(name)
	return func(c *faultyCPU, before *emu.Regs) {
		if before.PC == pc && before.X[2] == rounds-round {
			spoil(c)
		}
	}
}

func TestDifference_IsTheInstruction(t *testing.T) {
	flip := func(c *faultyCPU) { c.Regs().X[17] ^= 1 << 40 }
	drop := func(c *faultyCPU) { _ = c.mem.Store64(c.addr, c.stored) }
	for _, c := range []struct {
		name  string
		at    string
		round uint64
		spoil func(*faultyCPU)
		regs  []string // that differ
		words int      // of memory

		// passing: what follows covers it up, so that only comparing after every
		// instruction finds it.
		passing bool
	}{
		{"first instruction", "mul", 0, flip, []string{"x17"}, 0, false},
		{"a register flipped", "adds", 123, flip, []string{"x17"}, 0, false},
		{"last round", "sub", rounds - 1, flip, []string{"x17"}, 0, false},
		{"wrong overflow", "adds", 50, func(c *faultyCPU) { c.Regs().NZCV ^= 1 << 28 }, []string{"nzcv"}, 0, true},
		{"wrong carry", "adds", 77, func(c *faultyCPU) { c.Regs().NZCV ^= 1 << 29 }, []string{"nzcv"}, 0, false},
		{"result off by one", "mul", 198, func(c *faultyCPU) { c.Regs().X[1]++ }, []string{"x1"}, 0, false},
		{"dropped store", "str", 60, drop, nil, 1, false},
		{"dropped last store", "str", rounds - 1, drop, nil, 1, false},
		{"stray store", "str", 3, func(c *faultyCPU) { _ = c.mem.Store64(heapBase+40<<20, 1) }, nil, 1, false},
		{"stray store to text", "adds", 3, func(c *faultyCPU) { _ = c.mem.Store32(textBase+64, 1) }, nil, 1, false},
		{"counted twice", "sub", 70, func(c *faultyCPU) { c.count++ }, []string{"count"}, 0, false},
		{"not counted", "adc", 1, func(c *faultyCPU) { c.count-- }, []string{"count"}, 0, false},
		{"wrong way", "sub", 40, func(c *faultyCPU) { c.Regs().PC += 4 }, []string{"pc", "exit"}, 0, false},
		{"system register", "adc", 40, func(c *faultyCPU) { c.Regs().SPEL0 = 1 }, []string{"sp_el0"}, 0, false},
		{"stack pointer", "adc", 40, func(c *faultyCPU) { c.Regs().SP -= 16 }, []string{"sp"}, 0, false},
	} {
		for name, every := range map[string]uint64{"one chunk": 0, "many chunks": 100, "every instruction": 1} {
			if c.passing != (every == 1) {
				continue
			}
			t.Run(c.name+", "+name, func(t *testing.T) {
				plan := newMachine(t, other)
				bad := faulty(other, plan.at(c.at, c.round, c.spoil))
				m := newMachine(t, lockstep.With(lockstep.Options{Every: every}, other, bad))
				_, err := m.cpu.Run(context.Background(), 1<<20)

				var d *lockstep.DifferenceError
				require.ErrorAs(t, err, &d)
				assert.Equal(t, m.addr(c.at), d.PC, "%v", d)
				assert.Equal(t, rounds-c.round, d.Before.X[2])
				assert.Equal(t, c.round*perRound+(d.PC-textBase)/4, d.Count)
				var regs []string
				for _, r := range d.Regs() {
					regs = append(regs, r.Name)
				}
				assert.Equal(t, c.regs, regs)
				assert.Len(t, d.Memory, c.words)
				assert.False(t, d.Unreproduced)
				assert.Equal(t, d.Before, *m.cpu.Regs())
				assert.Contains(t, d.Error(), d.Text)
				assert.Contains(t, d.Report(), "faulty")

				_, again := m.cpu.Step()
				assert.Equal(t, err, again, "the CPU is done for")
			})
		}
	}
}

// A fault that depends on how often the engine has run is found as long as the
// chunk is the CPU's first, and told as what it is otherwise.
func TestDifference_AtTheNthInstruction(t *testing.T) {
	const nth = 456
	bad := faulty(other, func(c *faultyCPU, _ *emu.Regs) {
		if c.count == nth+1 {
			c.Regs().X[9] = 1
		}
	})
	for _, c := range []struct {
		every        uint64
		unreproduced bool
	}{{0, false}, {100, true}} {
		m := newMachine(t, lockstep.With(lockstep.Options{Every: c.every}, other, bad))
		_, err := m.cpu.Run(context.Background(), 1<<20)
		var d *lockstep.DifferenceError
		require.ErrorAs(t, err, &d)
		assert.Equal(t, c.unreproduced, d.Unreproduced)
		if c.unreproduced {
			assert.Equal(t, nth/c.every*c.every, d.Count)
			assert.Contains(t, d.Error(), "somewhere after")
		} else {
			assert.Equal(t, uint64(nth), d.Count)
		}
		assert.Equal(t, []lockstep.RegDiff{{Name: "x9", A: "0x0", B: "0x1"}}, d.Regs())
	}
}

func TestDifference_OfExits(t *testing.T) {
	bad := func(mem *emu.Memory) (emu.Engine, error) {
		e, err := reference(mem)
		return &exitEngine{e}, err
	}
	m := newMachine(t, lockstep.Of(reference, bad))
	m.cpu.Regs().X[0] = 0x1000
	_, err := m.cpu.Run(context.Background(), 1<<20)
	var d *lockstep.DifferenceError
	require.ErrorAs(t, err, &d)
	assert.Equal(t, m.addr("str"), d.PC)
	require.Len(t, d.Regs(), 1)
	assert.Equal(t, "exit", d.Regs()[0].Name)
}

// exitEngine says that what is not mapped is not permitted.
type exitEngine struct{ emu.Engine }

type exitCPU struct{ emu.CPU }

func (e *exitEngine) NewCPU(id int) (emu.CPU, error) {
	c, err := e.Engine.NewCPU(id)
	return &exitCPU{c}, err
}

func (c *exitCPU) Run(ctx context.Context, budget uint64) (emu.Exit, error) {
	exit, err := c.CPU.Run(ctx, budget)
	if exit.Fault != nil {
		exit.Fault.Kind = emu.Denied
	}
	return exit, err
}

func TestSameExit_SizeMayBeUnknown(t *testing.T) {
	exit := func(f emu.Fault) emu.Exit { return emu.Exit{Reason: emu.ExitFault, PC: 4, Fault: &f} }
	a := emu.Fault{Addr: 8, Size: 8, PC: 4}
	b := a
	b.Size = 0
	assert.True(t, lockstep.SameExit(exit(a), exit(b)))
	assert.True(t, lockstep.SameExit(exit(b), exit(a)))
	b.Size = 4
	assert.False(t, lockstep.SameExit(exit(a), exit(b)))
	b = a
	b.Addr++
	assert.False(t, lockstep.SameExit(exit(a), exit(b)))
	assert.False(t, lockstep.SameExit(exit(a), emu.Exit{Reason: emu.ExitFault, PC: 4}))
}

// What the host stores while guest code runs is kept, and what guest code
// stores beside it too.
func TestPublish_KeepsWhatOthersStore(t *testing.T) {
	m := newMachine(t, lockstep.With(lockstep.Options{Every: 50}, reference, reference))
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		for v := uint64(1); ; v++ {
			select {
			case <-stop:
				done <- v - 1
				return
			default:
				_ = m.mem.Store64(dataBase, v)
			}
		}
	}()
	exit, err := m.cpu.Run(context.Background(), 1<<20)
	close(stop)
	last := <-done
	require.NoError(t, err)
	assert.Equal(t, emu.ExitGate, exit.Reason)
	got, err := m.mem.Load64(dataBase)
	require.NoError(t, err)
	assert.Equal(t, last, got)
	sum, err := m.mem.Load64(dataBase + 8)
	require.NoError(t, err)
	assert.Equal(t, m.cpu.Regs().X[3], sum)
}
