package difftest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/asm/effects"
	"callops/emu"
	"callops/emu/interp"
	"callops/emu/record"
)

// What package record tells of an instruction is what it did: the bytes that
// changed are those of its stores, a store holds what its register held, and a
// load what its register got.

// recordRig runs single words on an observed CPU.
type recordRig struct {
	*operandRig
	told   []record.Insn // of the last word
	redone [][]byte      // what writable memory holds before every word
}

func newRecordRig(seed uint64) (*recordRig, error) {
	o, err := newOperandRigOn(record.Of(interp.New), seed)
	if err != nil {
		return nil, err
	}
	r := &recordRig{operandRig: o}
	for _, b := range o.before {
		r.redone = append(r.redone, bytes.Clone(b))
	}
	o.cpu.(*record.CPU).Observe(func(in *record.Insn) error {
		if in.PC == wordAt {
			kept := *in
			kept.Accesses = append([]record.Access(nil), in.Accesses...)
			r.told = append(r.told, kept)
		}
		return nil
	})
	return r, nil
}

// check executes a word once.
func (r *recordRig) check(w uint32) (ran bool, err error) {
	o, ok := effects.Decode(w)
	if !ok {
		return false, nil
	}
	r.place(w, &o)
	t := r.prepare(w, &o)
	r.told = nil
	res, err := r.run(t, &t.file)
	if err != nil {
		return false, err
	}
	memory := r.snapshot()
	r.restore()
	if res.exit != emu.ExitBudget || res.unsupported {
		if len(r.told) != 0 {
			return false, errors.New("not executed, but told of")
		}
		return false, nil
	}
	if len(r.told) != 1 {
		return true, fmt.Errorf("told of %d times", len(r.told))
	}
	return true, r.compare(&r.told[0], t, &res, memory)
}

// compare compares what was told of an instruction with what it did.
func (r *recordRig) compare(in *record.Insn, t *trial, res *result, memory [][]byte) error {
	element := 0
	for _, a := range in.Accesses {
		if have := r.look(r.before, a.Addr, int(a.Size)); a.Store && a.Old != have || !a.Store && a.Value != have {
			return fmt.Errorf("%d bytes at %#x held %#x", a.Size, a.Addr, have)
		}
		check := loaded
		if a.Store {
			check = stored
			r.redo(a.Addr, a.Size, a.Value)
		}
		if err := check(in, t, res, a, element); err != nil {
			return err
		}
		if a.Store || in.Access == effects.Loads {
			element++
		}
	}
	same := true
	for i := range r.redone {
		same = same && bytes.Equal(r.redone[i], memory[i])
	}
	for _, a := range in.Accesses {
		r.redo(a.Addr, a.Size, r.look(r.before, a.Addr, int(a.Size)))
	}
	if !same {
		return errors.New("the stores do not make what memory holds")
	}
	return nil
}

// redo stores to the copy of memory, where that is writable.
func (r *recordRig) redo(addr, size, v uint64) {
	for i := range size {
		k := 0
		for _, reg := range regions {
			if reg.perm&emu.Write == 0 {
				continue
			}
			if off := addr + i - reg.base; off < reg.size {
				r.redone[k][off] = byte(v >> (8 * i))
			}
			k++
		}
	}
}

// stored: a plain store holds what its register held.
func stored(in *record.Insn, t *trial, _ *result, a record.Access, element int) error {
	if in.Access != effects.Stores || in.Size > 8 { // DC ZVA
		return nil
	}
	if v := t.file.data(in.Data[element]) & mask(a.Size); v != a.Value {
		return fmt.Errorf("stored %#x from a register that held %#x", a.Value, v)
	}
	return nil
}

// loaded: a register got what was loaded, unless it is written twice.
func loaded(in *record.Insn, t *trial, res *result, a record.Access, element int) error {
	if in.Access != effects.Loads || in.Data[element] == 31 || in.WriteBack && in.Base == in.Data[element] || in.Data[0] == in.Data[1] {
		return nil
	}
	if v := res.file[in.Data[element]] & mask(a.Size); v != a.Value {
		return fmt.Errorf("loaded %#x to a register that holds %#x", a.Value, v)
	}
	return nil
}

func mask(size uint64) uint64 {
	if size == 8 {
		return ^uint64(0)
	}
	return 1<<(8*size) - 1
}

func TestRecord_TellsWhatChanged(t *testing.T) {
	perRow := 20_000
	if testing.Short() || raceEnabled {
		perRow = 2_000
	}
	stores := 0
	for i := range interpreted {
		row := &interpreted[i]
		t.Run(row.name, func(t *testing.T) {
			r, err := newRecordRig(uint64(i))
			require.NoError(t, err)
			defer func() { require.NoError(t, r.close()) }()
			for range perRow {
				w, err := row.draw(r.source)
				require.NoError(t, err)
				_, err = r.check(w)
				require.NoError(t, err, "%#08x %s", w, asm.Disassemble(w, wordAt, nil))
				for _, in := range r.told {
					stores += len(in.Accesses)
				}
			}
		})
	}
	require.Greater(t, stores, perRow, "most rows of memory access it")
}
