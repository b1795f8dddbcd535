package record_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "callops/asm"
	"callops/emu/record"
)

// play runs a program with x0 at data and x9 at text, and returns its effects.
func play(t *testing.T, private func(uint64) bool, program ...Inst) (got []record.Effect) {
	t.Helper()
	r := newRig(t, program...)
	r.cpu.Regs().X[9] = text
	tape := record.NewTape(r.mem, func(e record.Effect) { got = append(got, e) })
	tape.Private, tape.Text = private, func(addr uint64) bool { return addr < data }
	r.cpu.Observe(tape.Insn)
	_, err := r.cpu.Run(t.Context(), uint64(len(program)))
	require.NoError(t, err)
	return got
}

// text is instructions that the programs here change.
const text = code + 0x800

func TestTape_Effects(t *testing.T) {
	const one = 0x1111_1111_1111_1111
	type effect = record.Effect
	for _, tt := range []struct {
		name    string
		program []Inst
		want    []effect // PC and Insns left out
	}{
		{"store, and what orders it", []Inst{Str(X1, Off(X0, 0)), Dmb(ISHST), Stlr(X1, X0), Dsb(ISH)}, []effect{
			{Kind: record.Store, Addr: data, Size: 8, Value: one}, {Kind: record.Order},
			{Kind: record.Release, Addr: data, Size: 8, Value: one, Old: one}, {Kind: record.Complete},
		}},
		{"barriers that order no stores", []Inst{Str(X1, Off(X0, 0)), Dmb(ISHLD), Dmb(NSH), Dsb(NSHST), Dsb(LD), Isb()}, []effect{
			{Kind: record.Store, Addr: data, Size: 8, Value: one},
		}},
		{"barriers that have nothing left to do", []Inst{Str(X1, Off(X0, 0)), Dmb(SY), Dmb(ISHST), Dsb(ST), Dmb(ISH), Dsb(SY)}, []effect{
			{Kind: record.Store, Addr: data, Size: 8, Value: one}, {Kind: record.Order}, {Kind: record.Complete},
		}},
		{"a byte is stored as a word", []Inst{Strb(W1, Off(X0, 5))}, []effect{{Kind: record.Store, Addr: data + 4, Size: 4, Value: 0x1100}}},
		{"a pair is two", []Inst{Stp(X1, X1, Off(X0, 0))}, []effect{
			{Kind: record.Store, Addr: data, Size: 8, Value: one}, {Kind: record.Store, Addr: data + 8, Size: 8, Value: one},
		}},
		{"misaligned: in parts", []Inst{Stur(X1, Off(X0, 4)), Sturh(W1, Off(X0, 15))}, []effect{
			{Kind: record.Store, Addr: data + 4, Size: 4, Value: 0x1111_1111, Whole: 1},
			{Kind: record.Store, Addr: data + 8, Size: 4, Value: 0x1111_1111, Whole: 1},
			{Kind: record.Store, Addr: data + 12, Size: 4, Value: 0x1100_0000, Whole: 2},
			{Kind: record.Store, Addr: data + 16, Size: 4, Value: 0x11, Whole: 2},
		}},
		{"read-modify-writes", []Inst{Ldadd(X1, X2, X0), Ldaddl(X1, X2, X0), Ldaddal(X1, X2, X0)}, []effect{
			{Kind: record.Store, Addr: data, Size: 8, Value: one}, {Kind: record.Release, Addr: data, Size: 8, Value: 2 * one, Old: one},
			{Kind: record.Release, Addr: data, Size: 8, Value: 3 * one, Old: 2 * one}, {Kind: record.Order},
		}},
		{"a compare and swap that fails orders nothing", []Inst{Str(X1, Off(X0, 0)), Casal(X2, X1, X0)}, []effect{
			{Kind: record.Store, Addr: data, Size: 8, Value: one},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := play(t, nil, tt.program...)
			for i := range got {
				got[i].PC, got[i].Insns = 0, 0
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestTape_CountsWhatGoesAlong(t *testing.T) {
	got := play(t, func(addr uint64) bool { return addr >= data+0x800 },
		Nop(), Str(X1, Off(SP, 0)), Ldr(X2, Off(X0, 0)), Str(X1, Off(X0, 0)), Nop(), Dsb(ISH))
	require.Len(t, got, 2)
	assert.Equal(t, record.Effect{Kind: record.Store, PC: code + 12, Addr: data, Size: 8, Value: 0x1111_1111_1111_1111, Insns: 4}, got[0])
	assert.Equal(t, record.Effect{Kind: record.Complete, PC: code + 20, Insns: 2}, got[1])
}

// Text is clean after DC CVAU, DSB, IC IVAU, DSB, in this order and on its own lines.
func TestTape_CleansText(t *testing.T) {
	patch := Str(W1, Off(X9, 0))
	far := AddImm(X9, X9, 64) // the next line
	for _, tt := range []struct {
		name    string
		program []Inst
		clean   bool
	}{
		{"all of it", []Inst{patch, DcCvau(X9), Dsb(ISH), IcIvau(X9), Dsb(ISH)}, true},
		{"with what is not needed", []Inst{patch, Dsb(ISH), IcIvau(X9), DcCvau(X9), Dmb(ISH), Dsb(SY), IcIvau(X9), Isb(), Dsb(ISH)}, true},
		{"not cleaned", []Inst{patch, Dsb(ISH), IcIvau(X9), Dsb(ISH)}, false},
		{"not invalidated", []Inst{patch, DcCvau(X9), Dsb(ISH), Dsb(ISH)}, false},
		{"invalidated before it is clean", []Inst{patch, DcCvau(X9), IcIvau(X9), Dsb(ISH), Dsb(ISH)}, false},
		{"a DMB between", []Inst{patch, DcCvau(X9), Dmb(ISH), IcIvau(X9), Dsb(ISH)}, false},
		{"a DSB of stores alone", []Inst{patch, DcCvau(X9), Dsb(ISHST), IcIvau(X9), Dsb(ISH)}, false},
		{"no DSB at the end", []Inst{patch, DcCvau(X9), Dsb(ISH), IcIvau(X9), Isb()}, false},
		{"a line too far", []Inst{patch, far, DcCvau(X9), Dsb(ISH), IcIvau(X9), Dsb(ISH)}, false},
		{"stored to again", []Inst{patch, DcCvau(X9), Dsb(ISH), patch, IcIvau(X9), Dsb(ISH)}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cleaned []record.Effect
			for _, e := range play(t, nil, tt.program...) {
				if e.Kind == record.Clean {
					cleaned = append(cleaned, e)
				}
			}
			if !tt.clean {
				assert.Empty(t, cleaned)
				return
			}
			require.Len(t, cleaned, 1)
			assert.Equal(t, uint64(text), cleaned[0].Addr)
			assert.Equal(t, uint64(4), cleaned[0].Size)
		})
	}
}

func TestTape_Cleaned(t *testing.T) {
	r := newRig(t, Nop())
	var got []record.Effect
	tape := record.NewTape(r.mem, func(e record.Effect) { got = append(got, e) })
	tape.Text = func(uint64) bool { return true }
	require.NoError(t, tape.Stored(code, text, 4, 5))
	tape.Cleaned(code, text+4, 4)
	tape.Cleaned(code, text, 4)
	tape.Cleaned(code, text, 4)
	require.Len(t, got, 3)
	assert.Equal(t, record.Complete, got[1].Kind, "another word")
	assert.Equal(t, record.Effect{Kind: record.Clean, PC: code, Addr: text, Size: 4}, got[2])
}

// What the host stores in a CPU's place is as if it had stored it.
func TestTape_Stored(t *testing.T) {
	r := newRig(t, Nop())
	var got []record.Effect
	tape := record.NewTape(r.mem, func(e record.Effect) { got = append(got, e) })
	require.NoError(t, r.mem.Store32(data+4, 7))
	require.NoError(t, tape.Stored(code, data+4, 4, 5))
	assert.Equal(t, []record.Effect{{Kind: record.Store, PC: code, Addr: data + 4, Size: 4, Value: 7, Old: 5}}, got)
	assert.Error(t, tape.Stored(code, 0x5000, 4, 0), "nothing is mapped there")
}
