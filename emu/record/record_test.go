package record_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "callops/asm"
	"callops/emu"
	"callops/emu/enginetest"
	"callops/emu/interp"
	"callops/emu/record"
)

// Where the tests' code and data are.
const (
	code = 0x10000
	data = 0x20000
)

// rig is a CPU on a few instructions.
type rig struct {
	mem *emu.Memory
	cpu *record.CPU
}

func newRig(t *testing.T, program ...Inst) *rig {
	t.Helper()
	mem := emu.NewMemory()
	_, err := mem.Map("code", code, emu.PageSize, emu.Read|emu.Write|emu.Exec)
	require.NoError(t, err)
	_, err = mem.Map("data", data, emu.PageSize, emu.Read|emu.Write)
	require.NoError(t, err)
	e, err := record.Of(interp.New)(mem)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, errors.Join(e.Close(), mem.Close())) })
	c, err := e.NewCPU(0)
	require.NoError(t, err)
	for i, in := range program {
		w, err := in.Word()
		require.NoError(t, err)
		require.NoError(t, mem.Store32(code+4*uint64(i), w))
	}
	r := &rig{mem, c.(*record.CPU)}
	regs := c.Regs()
	for i := range regs.X {
		regs.X[i] = 0x1111_1111_1111_1111 * uint64(i&15)
	}
	regs.X[0], regs.SP, regs.PC = data, data+0x800, code
	return r
}

// run executes n instructions, and returns what each did.
func (r *rig) run(t *testing.T, n uint64) (all []record.Insn) {
	t.Helper()
	r.cpu.Observe(func(in *record.Insn) error {
		kept := *in
		kept.Accesses = append([]record.Access(nil), in.Accesses...)
		all = append(all, kept)
		return nil
	})
	exit, err := r.cpu.Run(t.Context(), n)
	require.NoError(t, err)
	require.Equal(t, emu.ExitBudget, exit.Reason, "%v", exit)
	require.Len(t, all, int(n))
	return all
}

func TestObserve_TellsEachAccess(t *testing.T) {
	const (
		one  = 0x1111_1111_1111_1111
		two  = 0x2222_2222_2222_2222
		held = 0x8877_6655_4433_2211 // what memory holds
	)
	load := func(addr, size, v uint64) record.Access { return record.Access{Addr: addr, Size: size, Value: v} }
	store := func(addr, size, v, old uint64) record.Access {
		return record.Access{Addr: addr, Size: size, Store: true, Value: v, Old: old}
	}
	for _, tt := range []struct {
		name string
		in   []Inst // the last one counts
		want []record.Access
	}{
		{"ldr", []Inst{Ldr(X1, Off(X0, 8))}, []record.Access{load(data+8, 8, held)}},
		{"ldrsb", []Inst{Ldrsb(X1, Off(X0, 15))}, []record.Access{load(data+15, 1, 0x88)}},
		{"ldr, write-back", []Inst{Ldr(X1, Post(X0, 8))}, []record.Access{load(data, 8, held)}},
		{"ldp to its base", []Inst{Ldp(X0, X1, Off(X0, 0))}, []record.Access{load(data, 8, held), load(data+8, 8, held)}},
		{"str", []Inst{Str(X1, Off(X0, 0))}, []record.Access{store(data, 8, one, held)}},
		{"strb", []Inst{Strb(W1, Off(X0, 3))}, []record.Access{store(data+3, 1, 0x11, 0x44)}},
		{"strh, misaligned", []Inst{Strh(W1, Off(X0, 2)), Sturh(W2, Off(X0, 1))}, []record.Access{store(data+1, 2, 0x2222, 0x1122)}},
		{"stp, pre-indexed", []Inst{Stp(X1, X2, Pre(X0, 16))}, []record.Access{store(data+16, 8, one, held), store(data+24, 8, two, held)}},
		{"str xzr", []Inst{Str(XZR, Off(X0, 0))}, []record.Access{store(data, 8, 0, held)}},
		{"stlr", []Inst{Stlr(X1, X0)}, []record.Access{store(data, 8, one, held)}},
		{"dc zva", []Inst{DcZva(X0)}, []record.Access{
			store(data, 8, 0, held), store(data+8, 8, 0, held), store(data+16, 8, 0, held), store(data+24, 8, 0, held),
			store(data+32, 8, 0, held), store(data+40, 8, 0, held), store(data+48, 8, 0, held), store(data+56, 8, 0, held),
		}},
		{"ldadd", []Inst{Ldadd(W1, W2, X0)}, []record.Access{load(data, 4, 0x44332211), store(data, 4, 0x55443322, 0x44332211)}},
		{"cas that fails", []Inst{Cas(X1, X2, X0)}, []record.Access{load(data, 8, held)}},
		{"cas", []Inst{Ldr(X1, Off(X0, 0)), Cas(X1, X2, X0)}, []record.Access{load(data, 8, held), store(data, 8, two, held)}},
		{"cas of a halfword", []Inst{Ldr(X1, Off(X0, 0)), Word32(0x48a17c02)}, []record.Access{
			load(data, 2, 0x2211), store(data, 2, 0x2222, 0x2211),
		}},
		{"casp, one of two", []Inst{Ldr(X2, Off(X0, 0)), Casp(X2, X4, X0)}, []record.Access{load(data, 8, held), load(data+8, 8, held)}},
		{"stxr without a mark", []Inst{Stxr(W3, X1, X0)}, nil},
		{"stxr", []Inst{Ldxr(X4, X0), Stxr(W3, X1, X0)}, []record.Access{store(data, 8, one, held)}},
		{"prefetch", []Inst{Word32(0xf9800000)}, nil},
		{"dmb", []Inst{Dmb(ISH)}, nil},
		{"add", []Inst{Add(X1, X1, X2)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.in...)
			for a := uint64(data); a < data+64; a += 8 {
				require.NoError(t, r.mem.Store64(a, held))
			}
			all := r.run(t, uint64(len(tt.in)))
			assert.Equal(t, tt.want, all[len(all)-1].Accesses)
		})
	}
}

func TestObserve_TellsMaintenance(t *testing.T) {
	r := newRig(t, DcCvau(X0), IcIvau(X0), IcIallu())
	all := r.run(t, 3)
	assert.Equal(t, uint64(data), all[0].Maintained)
	assert.Equal(t, uint64(data), all[1].Maintained)
	assert.Zero(t, all[2].Maintained)
}

// Whatever is executed is known to the observer: the rest of enginetest, observed.
func TestEngine_KeepsTheContract(t *testing.T) {
	t.Run("observed by nothing", func(t *testing.T) { enginetest.Run(t, record.Of(interp.New)) })
	t.Run("observed", func(t *testing.T) {
		enginetest.Run(t, func(mem *emu.Memory) (emu.Engine, error) {
			e, err := record.Of(interp.New)(mem)
			return observing{e}, err
		})
	})
}

// observing is an engine that observes each of its CPUs.
type observing struct{ emu.Engine }

func (e observing) NewCPU(id int) (emu.CPU, error) {
	c, err := e.Engine.NewCPU(id)
	if err == nil {
		c.(*record.CPU).Observe(func(*record.Insn) error { return nil })
	}
	return c, err
}

func TestObserve_EndsAndFails(t *testing.T) {
	r := newRig(t, Nop(), Nop(), Nop(), Nop())
	seen := 0
	r.cpu.Observe(func(*record.Insn) error {
		if seen++; seen == 2 {
			r.cpu.Observe(nil)
		}
		return nil
	})
	exit, err := r.cpu.Run(t.Context(), 3)
	require.NoError(t, err)
	assert.Equal(t, uint64(code+12), exit.PC)
	assert.Equal(t, 2, seen)

	broken := errors.New("broken")
	r.cpu.Observe(func(*record.Insn) error { return broken })
	_, err = r.cpu.Run(t.Context(), 1)
	require.ErrorIs(t, err, broken)
	assert.Equal(t, uint64(code+16), r.cpu.Regs().PC, "it was executed")
}

func TestObserve_EndsWithItsContext(t *testing.T) {
	r := newRig(t, Word32(0x14000000)) // b .

	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	r.cpu.Observe(func(*record.Insn) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	})
	_, err := r.cpu.Run(ctx, 1<<40)
	require.ErrorIs(t, err, context.Canceled)
}

func TestObserve_OperandsThatAreNotKnown(t *testing.T) {
	const ldraa = 0xf8200400 // ldraa x0, [x0]
	r := newRig(t, Nop())
	require.NoError(t, r.mem.Store32(code, ldraa))
	r.cpu.Observe(func(*record.Insn) error { return nil })
	_, err := r.cpu.Step()
	var unknown *record.UnknownError
	require.ErrorAs(t, err, &unknown)
	assert.Equal(t, uint64(code), unknown.PC)
}
