package asm

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAssemble_NamesTheMistakeAndItsLine(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(b *Builder)
		is    error
		want  string // after the position
	}{
		{"unbound", func(b *Builder) { b.Emit(B(b.Label("out"))) }, ErrLabel, `b: label "out" is not bound: bad label`},
		{"bound twice", func(b *Builder) {
			l := b.Here("loop")
			b.Emit(Nop())
			b.Bind(l)
		}, ErrLabel, `label "loop" is bound twice, first at offset 0x0: bad label`},
		{"absolute label bound", func(b *Builder) { b.Bind(b.Abs("printk", 0x1000)) }, ErrLabel, `label "printk" is bound to address 0x1000: bad label`},
		{"zero label", func(b *Builder) { b.Emit(B(Label{})) }, ErrLabel, "zero Label: bad label"},
		{"zero label bound", func(b *Builder) { b.BindFunc(Label{}) }, ErrLabel, "zero Label: bad label"},
		{"other builder's label", func(b *Builder) { b.Emit(BL(NewBuilder().Label("far"))) }, ErrLabel, `label "far" belongs to another Builder: bad label`},
		{"symbol name twice", func(b *Builder) {
			b.Func("f")
			b.Func("f")
		}, ErrLabel, `a symbol named "f" exists: bad label`},
		{"EndFunc alone", func(b *Builder) { b.EndFunc() }, ErrLabel, "EndFunc without an open symbol: bad label"},
		{"bad operand", func(b *Builder) { b.Emit(Nop(), AddImm(X0, X1, 0x1001)) }, ErrImmediate, "add: 0x1001 is not 12 bits, nor 12 bits shifted by 12: immediate cannot be encoded"},
		{"code after odd data", func(b *Builder) {
			b.Bytes([]byte{1})
			b.Emit(Nop())
		}, ErrMisaligned, "nop at offset 0x1: misaligned"},
		{"branch to odd address", func(b *Builder) { b.Emit(B(b.Abs("odd", 0x1002))) }, ErrMisaligned, `label "odd": b from 0x1000 to 0x1002: misaligned`},
		{"scaled offset", func(b *Builder) { b.Emit(LdrLo12(X0, X1, b.Abs("v", 0x1004))) }, ErrMisaligned, `label "v": ldr of 0x1004: offset is scaled by 8: misaligned`},
		{"alignment", func(b *Builder) { b.Align(3) }, ErrMisaligned, "alignment 3 is not a power of two up to 1 MiB: misaligned"},
		{"base", func(b *Builder) { b.Align(8192) }, ErrMisaligned, "base 0x1000: program is aligned to 8192: misaligned"},
		{"zeros", func(b *Builder) { b.Zero(-1) }, ErrImmediate, "-1 zero bytes: not in [0, 268435456]: immediate cannot be encoded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBuilder()
			c.build(b)
			p, err := b.Assemble(0x1000)
			require.ErrorIs(t, err, c.is)
			assert.Nil(t, p)
			assert.Regexp(t, `^asm/builder_test\.go:\d+: `, err.Error())
			assert.Equal(t, c.want, afterPosition(err.Error()))
		})
	}
}

func afterPosition(s string) string {
	for i := 0; i+1 < len(s); i++ {
		if s[i] == ':' && s[i+1] == ' ' {
			return s[i+2:]
		}
	}
	return s
}

func TestBuilder_KeepsTheFirstError(t *testing.T) {
	b := NewBuilder()
	b.Emit(Br(W0))
	b.Emit(Blr(W1))
	_, err := b.Assemble(0)
	assert.ErrorContains(t, err, "br: w0")
}

func TestAssemble_SymbolsHaveKindAndSize(t *testing.T) {
	b := NewBuilder()
	later := b.Label("later")
	b.Func("first")
	b.Emit(BL(later), Ret())
	b.BindFunc(later)
	b.Emit(Ret())
	b.EndFunc()
	b.Align(16)
	b.Object("table")
	b.Emit(QuadAddr(later), Quad(2))
	b.Object("bytes")
	b.Bytes([]byte{1, 2, 3})
	p, err := b.Assemble(0x1000)
	require.NoError(t, err)
	assert.Equal(t, []Symbol{
		{"first", 0x1000, 8, Func}, {"later", 0x1008, 4, Func},
		{"table", 0x1010, 16, Object}, {"bytes", 0x1020, 3, Object},
	}, p.Symbols)
	assert.Equal(t, uint64(0x1008), binary.LittleEndian.Uint64(p.Code[0x10:]))
	assert.Equal(t, NOP, wordAt(p, 3), "code is padded with nop")
	assert.Len(t, p.Code, 0x23)
	assert.Equal(t, "func", Func.String())
	assert.Equal(t, "object", Object.String())
}

func TestProgram_FindsAddresses(t *testing.T) {
	b := NewBuilder()
	b.Func("f")
	b.Emit(Nop())
	inner := b.Here("inner")
	b.Emit(Nop())
	b.Here("twice")
	b.Here("twice")
	b.Abs("out", 0x77)
	open := b.Label("open")
	p, err := b.Assemble(0x4000)
	require.NoError(t, err)
	for name, want := range map[string]uint64{"f": 0x4000, "inner": 0x4004, "out": 0x77} {
		got, ok := p.Addr(name)
		assert.True(t, ok, name)
		assert.Equal(t, want, got, name)
	}
	for _, name := range []string{"twice", "open", "none"} {
		_, ok := p.Addr(name)
		assert.False(t, ok, name)
	}
	got, ok := p.AddrOf(inner)
	assert.True(t, ok)
	assert.Equal(t, uint64(0x4004), got)
	for _, l := range []Label{open, {}, NewBuilder().Here("x")} {
		_, ok := p.AddrOf(l)
		assert.False(t, ok)
	}
}

func TestLiteral_IsPooledAndAligned(t *testing.T) {
	b := NewBuilder()
	one := b.Literal(1)
	assert.Equal(t, one, b.Literal(1), "equal values share")
	b.Emit(LdrLit(X0, one), LdrLit(X1, b.Literal(2)), Nop())
	p, err := b.Assemble(0x1000)
	require.NoError(t, err)
	first, _ := p.AddrOf(one)
	assert.Equal(t, uint64(0x1010), first, "after the code, aligned")
	assert.Equal(t, uint64(1), binary.LittleEndian.Uint64(p.Code[0x10:]))
	assert.Equal(t, uint64(2), binary.LittleEndian.Uint64(p.Code[0x18:]))
}

func TestAssemble_AgainAtAnotherBase(t *testing.T) {
	b := NewBuilder()
	b.Func("f")
	b.Emit(LdrLit(X0, b.Literal(9)))
	b.Emit(QuadAddr(b.Here("data")))
	p, err := b.Assemble(0x1000)
	require.NoError(t, err)
	q, err := b.Assemble(0x2000)
	require.NoError(t, err)
	assert.Equal(t, uint64(0x1004), binary.LittleEndian.Uint64(p.Code[4:]))
	assert.Equal(t, uint64(0x2004), binary.LittleEndian.Uint64(q.Code[4:]))
	assert.Len(t, q.Code, len(p.Code))
}

func TestAlign_PadsByWhatItIsIn(t *testing.T) {
	b := NewBuilder()
	b.Func("f")
	b.Bytes([]byte{1})
	b.Align(16)
	b.Object("o")
	b.Bytes([]byte{2})
	b.Align(8)
	p, err := b.Assemble(0)
	require.NoError(t, err)
	assert.Equal(t, []byte{1, 0, 0, 0, 0x1f, 0x20, 3, 0xd5, 0x1f, 0x20, 3, 0xd5, 0x1f, 0x20, 3, 0xd5, 2, 0, 0, 0, 0, 0, 0, 0}, p.Code)
}

func TestListing_ShowsEveryKindOfItem(t *testing.T) {
	b := NewBuilder()
	ext := b.Abs("printk", 0xffff800080001000)
	b.Func("f")
	loop := b.Here("loop")
	b.Emit(Cbz(X0, loop), BL(ext), B(b.Abs("", 0xffff800080000004)), Word32(0x12345678))
	b.Object("data")
	b.Emit(QuadAddr(ext))
	b.Bytes([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	b.Zero(3)
	b.Here("end")
	p, err := b.Assemble(0xffff800080000000)
	require.NoError(t, err)
	assert.Equal(t, `ffff800080000000 <f>:
ffff800080000000 <loop>:
ffff800080000000:	b4000000	cbz x0, ffff800080000000 <f>
ffff800080000004:	940003ff	bl ffff800080001000 <printk>
ffff800080000008:	17ffffff	b ffff800080000004 <f+0x4>
ffff80008000000c:	12345678	.word 0x12345678

ffff800080000010 <data>:
ffff800080000010:	ffff800080001000	.quad 0xffff800080001000 <printk>
ffff800080000018:		.byte 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08
ffff800080000020:		.byte 0x09
ffff800080000021:		.zero 3
ffff800080000024 <end>:
`, p.Listing())
}
