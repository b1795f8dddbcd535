package refs_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "callops/asm"
	"callops/asm/refs"
)

const base = 0xffff800080001000

// of assembles a function and returns its uses, with PCs from 0.
func of(t *testing.T, emit func(b *Builder)) []refs.Ref {
	t.Helper()
	b := NewBuilder()
	b.Func("f")
	emit(b)
	b.EndFunc()
	p, err := b.Assemble(base)
	require.NoError(t, err)
	code := p.Code
	found := refs.Of(func(pc uint64) (uint32, bool) {
		if pc-base >= uint64(len(code)) {
			return 0, false
		}
		return binary.LittleEndian.Uint32(code[pc-base:]), true
	}, base, base+1<<20)
	for i := range found {
		found[i].PC -= base
	}
	return found
}

// page is where the variables are.
const page = 0x12345000

func at(rd Reg) []Inst { return []Inst{Movz(rd, page>>16, 16), AddImm(rd, rd, page&0xf000)} }

func TestOf_FollowsConstants(t *testing.T) {
	for name, c := range map[string]struct {
		code []Inst
		want []refs.Ref
	}{
		"a load at an offset": {
			append(at(X0), Ldr(X1, Off(X0, 40))),
			[]refs.Ref{{PC: 8, Addr: page + 40, Size: 8}},
		},
		"a store of a constant, by a copy": {
			append(at(X0), Mov(X3, X0), Movz(W1, 1, 0), Str(W1, Off(X3, 4))),
			[]refs.Ref{{PC: 16, Kind: refs.Store, Addr: page + 4, Size: 4, Value: 1, Known: true}},
		},
		"a pair, of which one is zero": {
			append(at(X0), Stp(X1, XZR, Off(X0, 16))),
			[]refs.Ref{
				{PC: 8, Kind: refs.Store, Addr: page + 16, Size: 8},
				{PC: 8, Kind: refs.Store, Addr: page + 24, Size: 8, Known: true},
			},
		},
		"a comparison": {
			append(at(X3), Subs(XZR, X0, X3)),
			[]refs.Ref{{PC: 8, Kind: refs.Compare, Addr: page}},
		},
		"an atomic one": {
			append(at(X3), Ldadd(X1, X2, X3)),
			[]refs.Ref{{PC: 8, Kind: refs.Store, Addr: page, Size: 8}},
		},
		"a base that was overwritten":   {append(at(X0), Ldr(X0, Off(X1, 0)), Ldr(X1, Off(X0, 0))), nil},
		"a base that is SP":             {[]Inst{Ldr(X1, Off(SP, 16))}, nil},
		"what is put on the stack":      {append(at(X0), Str(X0, Off(SP, 8))), nil},
		"a base that a call may change": {append(at(X0), Blr(X9), Ldr(X1, Off(X0, 0))), nil},
		"a base that a call preserves": {
			append(at(X19), Blr(X9), Ldr(X1, Off(X19, 0))),
			[]refs.Ref{{PC: 12, Addr: page, Size: 8}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, of(t, func(b *Builder) { b.Emit(c.code...) }))
		})
	}
}

func TestOf_IsConstantOnAllPaths(t *testing.T) {
	join := func(other ...Inst) []refs.Ref {
		return of(t, func(b *Builder) {
			odd := b.Label("odd")
			b.Emit(at(X19)...)
			b.Emit(Tbz(X0, 0, odd))
			b.Emit(other...)
			b.Bind(odd)
			b.Emit(Ldr(X1, Off(X19, 8)), Ret())
		})
	}
	assert.Equal(t, []refs.Ref{{PC: 12, Addr: page + 8, Size: 8}}, join())
	assert.Equal(t, []refs.Ref{{PC: 16, Addr: page + 8, Size: 8}}, join(Nop()))
	assert.Equal(t, []refs.Ref{{PC: 20, Addr: page + 8, Size: 8}}, join(at(X19)...), "the same again")
	assert.Empty(t, join(AddImm(X19, X19, 8)))
}

func TestOf_FollowsALoopUntilNothingChanges(t *testing.T) {
	assert.Equal(t, []refs.Ref{{PC: 8, Addr: page, Size: 8}}, of(t, func(b *Builder) {
		again := b.Label("again")
		b.Emit(at(X0)...)
		b.Emit(Ldr(X1, Off(X0, 0)), Mov(X2, X0))
		b.Bind(again)
		b.Emit(Ldr(X3, Off(X2, 0)), AddImm(X2, X2, 8), Cbnz(X3, again), Ret())
	}), "the second base is another one each time")
}

func TestOf_CodeThatNoPathLeadsToKnowsNothing(t *testing.T) {
	assert.Equal(t, []refs.Ref{{PC: 24, Addr: page, Size: 8}}, of(t, func(b *Builder) {
		b.Emit(at(X0)...)
		b.Emit(Ret(), Ldr(X1, Off(X0, 0)))
		b.Emit(at(X0)...)
		b.Emit(Ldr(X1, Off(X0, 0)), Ret())
	}))
}

func FuzzOf(f *testing.F) {
	f.Add([]byte{0x20, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x40, 0xf9, 0xff, 0xff, 0xff, 0x54})
	f.Fuzz(func(t *testing.T, code []byte) {
		word := func(pc uint64) (uint32, bool) {
			if pc-base+4 > uint64(len(code)) {
				return 0, false
			}
			return binary.LittleEndian.Uint32(code[pc-base:]), true
		}
		for _, r := range refs.Of(word, base, base+uint64(len(code))) {
			w, ok := word(r.PC)
			require.True(t, ok)
			require.False(t, r.Kind == refs.Compare && IsNop(w))
		}
	})
}
