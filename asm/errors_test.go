package asm

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConstructors_RefuseWhatCannotBeEncoded(t *testing.T) {
	for _, c := range []struct {
		inst Inst
		is   error
		want string
	}{
		{Add(SP, X1, X2), ErrRegister, "add: sp where number 31 is the zero register: register not allowed here"},
		{AddImm(XZR, X1, 1), ErrRegister, "add: xzr where number 31 is the stack pointer: register not allowed here"},
		{AddExt(X0, XZR, W1, UXTB, 0), ErrRegister, "add: xzr where number 31 is the stack pointer: register not allowed here"},
		{AddExt(X0, X1, X2, UXTW, 0), ErrRegister, "add: x2 has to be a 32-bit register: register not allowed here"},
		{AddExt(X0, X1, W2, UXTX, 0), ErrRegister, "add: w2 has to be a 64-bit register: register not allowed here"},
		{AddExt(X0, X1, W2, UXTW, 5), ErrImmediate, "add: shift 5 is not in [0, 4]: immediate cannot be encoded"},
		{AddExt(X0, X1, W2, Ext(8), 0), ErrImmediate, "add: Ext(8) is not an extension: immediate cannot be encoded"},
		{Add(X0, W1, X2), ErrRegister, "add: x0 and w1 differ in width: register not allowed here"},
		{Mov(X31(), X1), ErrRegister, "mov: Reg(0x80) does not exist: register not allowed here"},
		{Mov(W(-1), W1), ErrRegister, "mov: Reg(0x80) does not exist: register not allowed here"},
		{Mov(Reg(0x41), X1), ErrRegister, "mov: Reg(0x41) does not exist: register not allowed here"},
		{Add(X0, X1, X2, ROR(1)), ErrImmediate, "add: ror #1: arithmetic takes lsl, lsr or asr: immediate cannot be encoded"},
		{Add(X0, X1, X2, LSL(64)), ErrImmediate, "add: shift 64 is not in [0, 63]: immediate cannot be encoded"},
		{And(W0, W1, W2, ROR(32)), ErrImmediate, "and: shift 32 is not in [0, 31]: immediate cannot be encoded"},
		{And(W0, W1, W2, ROR(-1)), ErrImmediate, "and: shift -1 is not in [0, 31]: immediate cannot be encoded"},
		{And(W0, W1, W2, LSL(1), LSL(2)), ErrImmediate, "and: 2 shifts, one at most: immediate cannot be encoded"},
		{Cmp(SP, X1, LSR(1)), ErrImmediate, "cmp: lsr #1: with sp only lsl: immediate cannot be encoded"},
		{Cmp(SP, X1, LSL(5)), ErrImmediate, "cmp: shift 5 is not in [0, 4]: immediate cannot be encoded"},
		{AddImm(X0, X1, 0x1001), ErrImmediate, "add: 0x1001 is not 12 bits, nor 12 bits shifted by 12: immediate cannot be encoded"},
		{SubImm(X0, X1, 1<<24), ErrImmediate, "sub: 0x1000000 is not 12 bits, nor 12 bits shifted by 12: immediate cannot be encoded"},
		{AndImm(X0, X1, 0), ErrImmediate, "and: 0x0 is no 64-bit bitmask immediate: immediate cannot be encoded"},
		{AndImm(X0, X1, 5), ErrImmediate, "and: 0x5 is no 64-bit bitmask immediate: immediate cannot be encoded"},
		{OrrImm(W0, W1, 0xffffffff), ErrImmediate, "orr: 0xffffffff is no 32-bit bitmask immediate: immediate cannot be encoded"},
		{OrrImm(W0, W1, 1<<32), ErrImmediate, "orr: 0x100000000 is no 32-bit bitmask immediate: immediate cannot be encoded"},
		{BicImm(W0, W1, 1<<32|1), ErrImmediate, "bic: 0x1fffffffe is no 32-bit bitmask immediate: immediate cannot be encoded"},
		{TstImm(SP, 1), ErrRegister, "tst: sp where number 31 is the zero register: register not allowed here"},
		{Movz(X0, 1, 8), ErrImmediate, "movz: shift 8 is not a multiple of 16 below 64: immediate cannot be encoded"},
		{Movk(W0, 1, 32), ErrImmediate, "movk: shift 32 is not a multiple of 16 below 32: immediate cannot be encoded"},
		{Movn(X0, 1, -16), ErrImmediate, "movn: shift -16 is not a multiple of 16 below 64: immediate cannot be encoded"},
		{MovImm(W0, 1<<32)[0], ErrImmediate, "mov: 0x100000000 does not fit w0: immediate cannot be encoded"},
		{MovImm(SP, 1)[0], ErrRegister, "mov: sp where number 31 is the zero register: register not allowed here"},
		{LslImm(X0, X1, 64), ErrImmediate, "lsl: shift 64 is not in [0, 63]: immediate cannot be encoded"},
		{AsrImm(W0, W1, 32), ErrImmediate, "asr: shift 32 is not in [0, 31]: immediate cannot be encoded"},
		{Ubfm(W0, W1, 32, 0), ErrImmediate, "ubfm: immr 32 is not in [0, 31]: immediate cannot be encoded"},
		{Ubfx(X0, X1, 60, 5), ErrImmediate, "ubfx: width 5 is not in [1, 4]: immediate cannot be encoded"},
		{Bfi(X0, X1, 64, 1), ErrImmediate, "bfi: lsb 64 is not in [0, 63]: immediate cannot be encoded"},
		{Extr(W0, W1, W2, 32), ErrImmediate, "extr: lsb 32 is not in [0, 31]: immediate cannot be encoded"},
		{Uxtb(X0, W1), ErrRegister, "uxtb: x0 has to be a 32-bit register: register not allowed here"},
		{Sxtw(W0, W1), ErrRegister, "sxtw: w0 has to be a 64-bit register: register not allowed here"},
		{Rev32(W0, W1), ErrRegister, "rev32: w0 has to be a 64-bit register: register not allowed here"},
		{Umull(X0, X1, W2), ErrRegister, "umull: x1 has to be a 32-bit register: register not allowed here"},
		{Crc32x(W0, W1, W2), ErrRegister, "crc32x: w2 has to be a 64-bit register: register not allowed here"},
		{Cset(X0, AL), ErrImmediate, "cset: condition al cannot be inverted: immediate cannot be encoded"},
		{Csel(X0, X1, X2, Cond(16)), ErrImmediate, "csel: Cond(16) is not a condition: immediate cannot be encoded"},
		{CcmpImm(X0, 32, 0, EQ), ErrImmediate, "ccmp: immediate 32 is not in [0, 31]: immediate cannot be encoded"},
		{Ccmp(X0, X1, 16, EQ), ErrImmediate, "ccmp: nzcv 16 is not in [0, 15]: immediate cannot be encoded"},
		{Ldr(X0, Off(X1, 32768)), ErrImmediate, "ldr: offset 32768 is neither a multiple of 8 in [0, 32760] nor in [-256, 255]: immediate cannot be encoded"},
		{Ldr(X0, Off(X1, 257)), ErrImmediate, "ldr: offset 257 is neither a multiple of 8 in [0, 32760] nor in [-256, 255]: immediate cannot be encoded"},
		{Strb(W0, Off(X1, -257)), ErrImmediate, "strb: offset -257 is neither a multiple of 1 in [0, 4095] nor in [-256, 255]: immediate cannot be encoded"},
		{Ldr(X0, Pre(X1, 256)), ErrImmediate, "ldr: offset 256 is not in [-256, 255]: immediate cannot be encoded"},
		{Ldr(X1, Pre(X1, 8)), ErrRegister, "ldr: x1 is written back and transferred: register not allowed here"},
		{Ldr(X0, Base(W1)), ErrRegister, "ldr: w1 has to be a 64-bit register: register not allowed here"},
		{Ldr(X0, Base(XZR)), ErrRegister, "ldr: xzr where number 31 is the stack pointer: register not allowed here"},
		{Ldr(SP, Base(X1)), ErrRegister, "ldr: sp where number 31 is the zero register: register not allowed here"},
		{Ldr(X0, Idx(X1, X2, 2)), ErrImmediate, "ldr: index shift 2 is neither 0 nor 3: immediate cannot be encoded"},
		{Ldr(X0, Idx(X1, W2, 3)), ErrRegister, "ldr: w2 has to be a 64-bit register: register not allowed here"},
		{Ldr(X0, IdxExt(X1, W2, UXTB, 0)), ErrImmediate, "ldr: uxtb cannot extend an index: immediate cannot be encoded"},
		{Ldrb(X0, Base(X1)), ErrRegister, "ldrb: x0 has to be a 32-bit register: register not allowed here"},
		{Ldrsw(W0, Base(X1)), ErrRegister, "ldrsw: w0 has to be a 64-bit register: register not allowed here"},
		{Ldur(X0, Off(X1, 256)), ErrImmediate, "ldur: offset 256 is not in [-256, 255]: immediate cannot be encoded"},
		{Ldur(X0, Pre(X1, 8)), ErrImmediate, "ldur: [x1, #8]!: only a base and an offset: immediate cannot be encoded"},
		{Ldp(X0, X1, Off(SP, 512)), ErrImmediate, "ldp: offset 512 is not a multiple of 8 in [-512, 504]: immediate cannot be encoded"},
		{Stp(X0, X1, Off(SP, 4)), ErrImmediate, "stp: offset 4 is not a multiple of 8 in [-512, 504]: immediate cannot be encoded"},
		{Ldp(X0, X0, Base(SP)), ErrRegister, "ldp: x0 is loaded twice: register not allowed here"},
		{Ldp(X0, W1, Base(SP)), ErrRegister, "ldp: x0 and w1 differ in width: register not allowed here"},
		{Stp(X0, X1, Pre(X1, 16)), ErrRegister, "stp: x1 is written back and transferred: register not allowed here"},
		{Ldp(X0, X1, Idx(X2, X3, 0)), ErrImmediate, "ldp: [x2, x3, lsl #0]: a pair has no index: immediate cannot be encoded"},
		{Ldpsw(W0, W1, Base(X2)), ErrRegister, "ldpsw: w0 has to be a 64-bit register: register not allowed here"},
		{Stxr(X0, X1, X2), ErrRegister, "stxr: x0 has to be a 32-bit register: register not allowed here"},
		{Stxr(W1, X1, X2), ErrRegister, "stxr: status w1 is also stored: register not allowed here"},
		{Stlxr(W2, X1, X2), ErrRegister, "stlxr: status w2 is also the address: register not allowed here"},
		{Ldxp(X0, X0, X2), ErrRegister, "ldxp: x0 is loaded twice: register not allowed here"},
		{Ldarb(X0, X1), ErrRegister, "ldarb: x0 has to be a 32-bit register: register not allowed here"},
		{Ldadd(X0, W1, X2), ErrRegister, "ldadd: x0 and w1 differ in width: register not allowed here"},
		{Casp(X1, X2, X4), ErrRegister, "casp: x1 does not start a pair: register not allowed here"},
		{Br(W0), ErrRegister, "br: w0 has to be a 64-bit register: register not allowed here"},
		{Blr(SP), ErrRegister, "blr: sp where number 31 is the zero register: register not allowed here"},
		{Tbz(W0, 32, Label{}), ErrImmediate, "tbz: bit 32 is not in [0, 31]: immediate cannot be encoded"},
		{BCond(Cond(99), Label{}), ErrImmediate, "b.Cond(99): Cond(99) is not a condition: immediate cannot be encoded"},
		{Hint(128), ErrImmediate, "hint: hint 128 is not in [0, 127]: immediate cannot be encoded"},
		{Bti(4), ErrImmediate, "bti: kind 4 is not in [0, 3]: immediate cannot be encoded"},
		{Dmb(4), ErrImmediate, "dmb: option 4 names no domain and access type: immediate cannot be encoded"},
		{Dsb(17), ErrImmediate, "dsb: option 17 is not in [0, 15]: immediate cannot be encoded"},
		{Mrs(X0, 0x1234), ErrImmediate, "mrs: 0x1234 is not a system register: immediate cannot be encoded"},
		{Msr(DAIF, W0), ErrRegister, "msr: w0 has to be a 64-bit register: register not allowed here"},
	} {
		t.Run(c.want, func(t *testing.T) {
			require.EqualError(t, c.inst.Err(), c.want)
			assert.ErrorIs(t, c.inst.Err(), c.is)
			_, err := c.inst.Word()
			assert.Equal(t, c.inst.Err(), err)
		})
	}
}

// X31 asks for a register that X does not have.
func X31() Reg { return X(31) }

func TestWord_RefusesWhatIsNoFinishedWord(t *testing.T) {
	b := NewBuilder()
	_, err := B(b.Label("loop")).Word()
	assert.EqualError(t, err, `b: needs the address of label "loop", which Assemble resolves: bad label`)
	_, err = Quad(1).Word()
	assert.EqualError(t, err, ".quad: is 8 bytes, not a word: immediate cannot be encoded")
}

func TestAssemble_ReachEndsAtTheNamedConstants(t *testing.T) {
	const pc = uint64(0xffff800080000000)
	for _, c := range []struct {
		name        string
		f           func(Label) Inst
		reach, unit int64
	}{
		{"b", B, BranchReach, 4},
		{"bl", BL, BranchReach, 4},
		{"b.eq", func(l Label) Inst { return BCond(EQ, l) }, CondBranchReach, 4},
		{"cbz", func(l Label) Inst { return Cbz(X0, l) }, CondBranchReach, 4},
		{"tbz", func(l Label) Inst { return Tbz(X0, 1, l) }, TestBranchReach, 4},
		{"adr", func(l Label) Inst { return Adr(X0, l) }, AdrReach, 1},
		{"adrp", func(l Label) Inst { return Adrp(X0, l) }, AdrpReach, 4096},
		{"ldr", func(l Label) Inst { return LdrLit(X0, l) }, LiteralReach, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			try := func(d int64) error {
				b := NewBuilder()
				b.Emit(c.f(b.Abs("there", pc+uint64(d))))
				_, err := b.Assemble(pc)
				return err
			}
			assert.NoError(t, try(c.reach-c.unit))
			assert.NoError(t, try(-c.reach))
			for _, d := range []int64{c.reach, -c.reach - c.unit} {
				err := try(d)
				require.ErrorIs(t, err, ErrRange)
				var re *RangeError
				require.True(t, errors.As(err, &re))
				assert.Equal(t, &RangeError{c.name, pc, pc + uint64(d), -c.reach, c.reach}, re)
				assert.Contains(t, err.Error(), `asm/errors_test.go:`)
				assert.Contains(t, err.Error(), `label "there"`)
			}
		})
	}
}

func TestEncodeBranch_ReachesBothEdges(t *testing.T) {
	const pc = uint64(0xffff800080000000)
	for name, f := range map[string]func(pc, target uint64) (uint32, error){"b": EncodeB, "bl": EncodeBL} {
		for _, d := range distances(BranchReach, 4) {
			w, err := f(pc, pc+uint64(d))
			require.NoError(t, err)
			target, link, ok := DecodeBranch(pc, w)
			require.True(t, ok)
			require.Equal(t, pc+uint64(d), target)
			require.Equal(t, name == "bl", link)
		}
		_, err := f(pc, pc+BranchReach)
		require.EqualError(t, err, name+" from 0xffff800080000000 to 0xffff800088000000: distance +0x8000000 is not in [-0x8000000, +0x8000000): out of range")
		_, err = f(pc, pc-BranchReach-4)
		require.EqualError(t, err, name+" from 0xffff800080000000 to 0xffff800077fffffc: distance -0x8000004 is not in [-0x8000000, +0x8000000): out of range")
		_, err = f(pc, pc+2)
		require.ErrorIs(t, err, ErrMisaligned)
		require.EqualError(t, err, name+" from 0xffff800080000000 to 0xffff800080000002: misaligned")
		_, err = f(pc+1, pc)
		require.ErrorIs(t, err, ErrMisaligned)
	}
}

func TestDecodeBranchReg_TellsThemFromOthers(t *testing.T) {
	for r := X0; r <= LR; r++ {
		for want, inst := range map[RegBranch]Inst{
			{Reg: int(r - X0)}:               Br(r),
			{Reg: int(r - X0), Link: true}:   Blr(r),
			{Reg: int(r - X0), Return: true}: RetReg(r),
		} {
			got, ok := DecodeBranchReg(word(t, inst))
			assert.True(t, ok)
			assert.Equal(t, want, got)
		}
	}
	for _, w := range []uint32{0, NOP, MovX9LR, opBL, 0xd69f03e0 /* eret */, 0xd71f0801 /* braa */} {
		_, ok := DecodeBranchReg(w)
		assert.False(t, ok, "%#x", w)
	}
}

func TestDecodeBrk_HasItsImmediate(t *testing.T) {
	for _, imm := range []uint16{0, 1, 0x800, 0xffff} {
		got, ok := DecodeBrk(word(t, Brk(imm)))
		assert.True(t, ok)
		assert.Equal(t, imm, got)
	}
	for _, inst := range []Inst{Hlt(1), Svc(1), Nop()} {
		_, ok := DecodeBrk(word(t, inst))
		assert.False(t, ok)
	}
}

func TestPredicates_TellWordsApart(t *testing.T) {
	b, err := EncodeB(0, 4)
	require.NoError(t, err)
	bl, err := EncodeBL(0, 4)
	require.NoError(t, err)
	assert.True(t, IsB(b))
	assert.False(t, IsB(bl))
	assert.True(t, IsBL(bl))
	assert.False(t, IsBL(b))
	assert.True(t, IsNop(NOP))
	assert.False(t, IsNop(MovX9LR))
	assert.Equal(t, MovX9LR, word(t, Mov(X9, LR)))
	for k := BTINone; k <= BTIJC; k++ {
		assert.True(t, IsBTI(word(t, Bti(k))))
	}
	assert.False(t, IsBTI(NOP))
	assert.False(t, IsBTI(word(t, Paciasp())))
	_, _, ok := DecodeBranch(0, NOP)
	assert.False(t, ok)
}
