package gdb

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/interp"
)

const (
	textBase = 0xffff_8000_8000_0000
	dataBase = 0xffff_8000_9000_0000
	dataSize = 8 * emu.PageSize
)

// moment is all that a guest sees at one time.
type moment struct {
	regs emu.Regs
	data string
}

// traveller is a CPU with a history, whose program stores random numbers to random places.
type traveller struct {
	t    *testing.T
	cpu  *cpu
	h    *history
	mem  *emu.Memory
	data []byte
}

func newTraveller(t *testing.T) *traveller {
	t.Helper()
	mem := emu.NewMemory()
	_, err := mem.Map("text", textBase, emu.PageSize, emu.Read|emu.Exec)
	require.NoError(t, err)
	data, err := mem.Map("data", dataBase, dataSize, emu.Read|emu.Write)
	require.NoError(t, err)
	b := asm.NewBuilder()
	loop := b.Here("loop")
	b.Emit(asm.Mul(asm.X0, asm.X0, asm.X2), asm.Add(asm.X0, asm.X0, asm.X3), asm.AndImm(asm.X4, asm.X0, dataSize-8),
		asm.Add(asm.X4, asm.X4, asm.X1), asm.Str(asm.X0, asm.Off(asm.X4, 0)), asm.B(loop))
	p, err := b.Assemble(textBase)
	require.NoError(t, err)
	require.NoError(t, mem.Write(textBase, p.Code))
	e, err := interp.New(mem)
	require.NoError(t, err)
	inner, err := e.NewCPU(0)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()); assert.NoError(t, mem.Close()) })

	s := New(nil)
	thread := s.addThread("CPU 0")
	c := &cpu{Debuggable: inner.(emu.Debuggable), stub: s, thread: thread}
	thread.cpu = c.Debuggable
	*c.Regs() = emu.Regs{PC: textBase}
	copy(c.Regs().X[:], []uint64{1, dataBase, 6364136223846793005, 1442695040888963407})
	s.history = newHistory(mem, c.Debuggable)
	mem.ObserveStores((*storeObserver)(s))
	return &traveller{t, c, s.history, mem, data.Host()}
}

func (w *traveller) now() moment { return moment{*w.cpu.Regs(), string(w.data)} }

// step executes one instruction of the present.
func (w *traveller) step() {
	w.t.Helper()
	require.EqualValues(w.t, 1, w.h.enterGuest(1))
	_, err := w.cpu.Debuggable.Run(w.t.Context(), 1)
	require.NoError(w.t, err)
	w.h.leaveGuest()
}

// Wherever a CPU is in its history, it sees what it saw.
func TestHistory_EveryMomentIsAsItWas(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		w := newTraveller(t)
		before, after := map[uint64]moment{}, map[uint64]moment{} // what Go code does
		live := func(n int) {
			for range n {
				w.step()
				count := w.cpu.Count()
				before[count] = w.now()
				switch rnd.IntN(12) {
				case 0:
					require.NoError(t, w.mem.Store64(dataBase+8*rnd.Uint64N(dataSize/8), rnd.Uint64()))
				case 1:
					w.cpu.Regs().X[9] = rnd.Uint64()
				case 2:
					require.NoError(t, w.mem.Write(dataBase+rnd.Uint64N(dataSize/2), bytes.Repeat([]byte{7}, emu.PageSize+9)))
				}
				after[count] = w.now()
			}
		}
		before[0], after[0] = w.now(), w.now()
		live(100)
		for range 200 {
			switch act := []action{stepBack, stepBack, step, runBack, run}[rnd.IntN(5)]; {
			case act == runBack && rnd.IntN(10) > 0: // to the beginning, from which nothing else would be left
			case act.reverse() || w.h.past():
				w.cpu.replay(t.Context(), act)
			default:
				live(rnd.IntN(3))
			}
			count, now := w.cpu.Count(), w.now()
			if now != before[count] && now != after[count] {
				t.Fatalf("at instruction %d: neither before nor after what Go code did", count)
			}
		}
		for w.h.past() {
			w.cpu.replay(t.Context(), run)
		}
		assert.Equal(t, after[uint64(len(after)-1)], w.now(), "the present")
	}
}

func TestHistory_ForgetsTheOldest(t *testing.T) {
	w := newTraveller(t)
	w.h.limit = 40 * emu.PageSize
	moments := map[uint64]moment{}
	const steps = 1000
	for range steps {
		w.step()
		w.cpu.Regs().X[9]++ // Go code does something
		moments[w.cpu.Count()] = w.now()
		require.LessOrEqual(t, w.h.size, w.h.limit+2*emu.PageSize)
	}
	stop := w.cpu.replay(t.Context(), runBack)
	assert.Equal(t, atBegin(), stop)
	count := w.cpu.Count()
	assert.Positive(t, count)
	assert.Less(t, count, uint64(steps))
	for w.h.past() {
		w.cpu.replay(t.Context(), run)
	}
	assert.Equal(t, moments[steps], w.now())
}
