package effects

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	. "callops/asm"
)

// setX is a set of general registers.
func setX(numbers ...uint8) (s RegSet) {
	for _, n := range numbers {
		s |= SetOf(n)
	}
	return s
}

// operandsOf decodes what a constructor made.
func operandsOf(t *testing.T, i Inst) (uint32, Operands) {
	t.Helper()
	w, err := i.Word()
	require.NoError(t, err)
	o, ok := Decode(w)
	require.True(t, ok, Disassemble(w, 0, nil))
	return w, o
}

func TestDecode_Registers(t *testing.T) {
	for _, c := range []struct {
		inst                Inst
		reads, writes, addr RegSet
	}{
		{Add(X0, X1, X2), setX(1, 2), setX(0), 0},
		{Adds(XZR, X1, X2), setX(1, 2), SetFlags, 0},
		{AddImm(SP, SP, 16), SetSP, SetSP, 0},
		{SubsImm(X3, SP, 16), SetSP, setX(3) | SetFlags, 0},
		{Orr(X9, XZR, X30), setX(30), setX(9), 0},
		{OrrImm(SP, X1, 1), setX(1), SetSP, 0},
		{AndsImm(XZR, X1, 1), setX(1), SetFlags, 0},
		{Movz(X1, 1, 0), 0, setX(1), 0},
		{Movk(X1, 1, 16), setX(1), setX(1), 0},
		{Ubfx(X1, X2, 3, 4), setX(2), setX(1), 0},
		{Bfi(X1, X2, 3, 4), setX(1, 2), setX(1), 0},
		{Csel(X1, X2, X3, EQ), setX(2, 3) | SetFlags, setX(1), 0},
		{Csel(X1, X2, X3, AL), setX(2, 3), setX(1), 0},
		{CcmpImm(X1, 5, 0, NE), setX(1) | SetFlags, SetFlags, 0},
		{Ccmp(X1, X2, 0, NE), setX(1, 2) | SetFlags, SetFlags, 0},
		{Adc(X1, X2, X3), setX(2, 3) | SetFlags, setX(1), 0},
		{Madd(X1, X2, X3, X4), setX(2, 3, 4), setX(1), 0},
		{Umulh(X1, X2, X3), setX(2, 3), setX(1), 0},
		{Udiv(X1, X2, X3), setX(2, 3), setX(1), 0},

		{Blr(X8), setX(8), setX(30), setX(8)},
		{Br(X16), setX(16), 0, setX(16)},
		{Ret(), setX(30), 0, setX(30)},

		{Nop(), 0, 0, 0},
		{Bti(BTIC), 0, 0, 0},
		{Paciasp(), setX(30) | SetSP, setX(30), 0},
		{Autiasp(), setX(30) | SetSP, setX(30), 0},
		{Mrs(X0, SP_EL0), SetSystem, setX(0), 0},
		{Msr(TPIDR_EL1, X0), setX(0), SetSystem, 0},
		{Mrs(X0, NZCV), SetFlags, setX(0), 0},

		{Ldr(X0, Off(X1, 8)), setX(1), setX(0), setX(1)},
		{Ldr(X0, Post(X1, 8)), setX(1), setX(0, 1), setX(1)},
		{Str(X0, Pre(SP, -16)), setX(0) | SetSP, SetSP, SetSP},
		{Str(XZR, Off(X1, 0)), setX(1), 0, setX(1)},
		{Ldrb(W0, IdxExt(X1, W2, SXTW, 0)), setX(1, 2), setX(0), setX(1, 2)},
		{Stp(X29, X30, Pre(SP, -32)), setX(29, 30) | SetSP, SetSP, SetSP},
		{Ldp(X29, X30, Post(SP, 32)), SetSP, setX(29, 30) | SetSP, SetSP},
		{Ldxr(X0, X1), setX(1), setX(0), setX(1)},
		{Stxr(W2, X0, X1), setX(0, 1), setX(2), setX(1)},
		{Stlxp(W2, X0, X3, X1), setX(0, 1, 3), setX(2), setX(1)},
		{Cas(X0, X1, X2), setX(0, 1, 2), setX(0), setX(2)},
		{Ldadd(X0, X1, X2), setX(0, 2), setX(1), setX(2)},
		{Stadd(X0, X2), setX(0, 2), 0, setX(2)},
		{Swp(X0, X1, SP), setX(0) | SetSP, setX(1), SetSP},
	} {
		w, o := operandsOf(t, c.inst)
		text := Disassemble(w, 0, nil)
		assert.Equal(t, c.reads, o.Reads, "reads of %s", text)
		assert.Equal(t, c.writes, o.Writes, "writes of %s", text)
		assert.Equal(t, c.addr, o.Addr, "address of %s", text)
	}
}

// transferred is what an access is, apart from its address.
type transferred struct {
	access Access
	size   uint8
	data   []uint8
	source []uint8
	flags  string
}

func (o *Operands) transferred() transferred {
	f := transferred{access: o.Access, size: o.Size}
	for i := range o.Count {
		f.data = append(f.data, o.Data[i])
		if o.Access == LoadsAndStores {
			f.source = append(f.source, o.Source[i])
		}
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{
		{o.Acquire, "acquire "}, {o.AcquirePC, "pc "}, {o.Release, "release "}, {o.Exclusive, "exclusive "},
		{o.Unprivileged, "unprivileged "}, {o.Literal, "literal "}, {o.Signed, "signed "}, {o.Narrow, "narrow "},
		{o.WriteBack, "writeback "}, {o.PostIndex, "post "},
	} {
		if flag.set {
			f.flags += flag.name
		}
	}
	return f
}

func TestDecode_Accesses(t *testing.T) {
	const pc = 0x10000
	regs := func(n uint8) uint64 { return 0x1000*uint64(n) + 0x8000_0000 }
	for _, c := range []struct {
		word uint32
		text string
		addr uint64
		want transferred
	}{
		{0xf9400420, "ldr x0, [x1, #8]", 0x8000_1008, transferred{Loads, 8, []uint8{0}, nil, ""}},
		{0xf8408420, "ldr x0, [x1], #8", 0x8000_1000, transferred{Loads, 8, []uint8{0}, nil, "writeback post "}},
		{0xf81f0fe0, "str x0, [sp, #-16]!", 0x8001_eff0, transferred{Stores, 8, []uint8{0}, nil, "writeback "}},
		{0xb8a2d820, "ldrsw x0, [x1, w2, sxtw #2]", 0xfffffffe_8000_9000, transferred{Loads, 4, []uint8{0}, nil, "signed "}},
		{0x39c00420, "ldrsb w0, [x1, #1]", 0x8000_1001, transferred{Loads, 1, []uint8{0}, nil, "signed narrow "}},
		{0x58000040, "ldr x0, 0x10008", pc + 8, transferred{Loads, 8, []uint8{0}, nil, "literal "}},
		{0xa8c17bfd, "ldp x29, x30, [sp], #16", 0x8001_f000, transferred{Loads, 8, []uint8{29, 30}, nil, "writeback post "}},
		{0x69410420, "ldpsw x0, x1, [x1, #8]", 0x8000_1008, transferred{Loads, 4, []uint8{0, 1}, nil, "signed "}},
		{0xc85ffc20, "ldaxr x0, [x1]", 0x8000_1000, transferred{Loads, 8, []uint8{0}, nil, "acquire exclusive "}},
		{0x8802fc20, "stlxr w2, w0, [x1]", 0x8000_1000, transferred{Stores, 4, []uint8{0}, nil, "release exclusive "}},
		{0xc8dffc20, "ldar x0, [x1]", 0x8000_1000, transferred{Loads, 8, []uint8{0}, nil, "acquire "}},
		{0x089ffc3f, "stlrb wzr, [x1]", 0x8000_1000, transferred{Stores, 1, []uint8{31}, nil, "release "}},
		{0xf8bfc020, "ldapr x0, [x1]", 0x8000_1000, transferred{Loads, 8, []uint8{0}, nil, "acquire pc "}},
		{0xc8e0fc41, "casal x0, x1, [x2]", 0x8000_2000, transferred{LoadsAndStores, 8, []uint8{0}, []uint8{1}, "acquire release "}},
		{0x48207c82, "casp x0, x1, x2, x3, [x4]", 0x8000_4000, transferred{LoadsAndStores, 8, []uint8{0, 1}, []uint8{2, 3}, ""}},
		{0xb8a00041, "ldadda w0, w1, [x2]", 0x8000_2000, transferred{LoadsAndStores, 4, []uint8{1}, []uint8{0}, "acquire "}},
		{0xb8a0005f, "ldadda w0, wzr, [x2]", 0x8000_2000, transferred{LoadsAndStores, 4, []uint8{31}, []uint8{0}, ""}},
		{0xf8408820, "ldtr x0, [x1, #8]", 0x8000_1008, transferred{Loads, 8, []uint8{0}, nil, "unprivileged "}},
		{0xf9800420, "prfm pldl1keep, [x1, #8]", 0x8000_1008, transferred{}},
		{0xd50b7b21, "dc cvau, x1", 0x8000_1000, transferred{}},
		{0xd50b7421, "dc zva, x1", 0x8000_1000, transferred{Stores, 64, []uint8{31}, nil, ""}},
	} {
		o, ok := Decode(c.word)
		require.True(t, ok, c.text)
		assert.Equal(t, c.want, o.transferred(), c.text)
		assert.Equal(t, c.addr, o.Address(pc, regs), c.text)
	}
}

func TestDecode_Control(t *testing.T) {
	type control struct {
		Barrier, Waits, Context, Branch, Call, Exception bool
		Domain                                           uint8
	}
	for _, c := range []struct {
		word uint32
		text string
		want control
	}{
		{0xd5033bbf, "dmb ish", control{Barrier: true, Domain: 11}},
		{0xd5033abf, "dmb ishst", control{Barrier: true, Domain: 10}},
		{0xd5033f9f, "dsb sy", control{Barrier: true, Waits: true, Domain: 15}},
		{0xd503309f, "ssbb", control{}},
		{0xd5033fdf, "isb", control{Context: true}},
		{0xd69f03e0, "eret", control{Context: true, Branch: true}},
		{0x14000000, "b .", control{Branch: true}},
		{0x94000000, "bl .", control{Branch: true, Call: true}},
		{0x54000001, "b.ne .", control{Branch: true}},
		{0xb4000000, "cbz x0, .", control{Branch: true}},
		{0xd63f0100, "blr x8", control{Branch: true, Call: true}},
		{0xd4200000, "brk #0", control{Exception: true}},
		{0xd503201f, "nop", control{}},
	} {
		o, ok := Decode(c.word)
		require.True(t, ok, c.text)
		assert.Equal(t, c.want, control{o.Barrier, o.Waits, o.Context, o.Branch, o.Call, o.Exception, o.Domain}, c.text)
	}
}

func TestDecode_LeavesUnknownWordsAlone(t *testing.T) {
	for _, c := range []struct {
		word uint32
		text string
	}{
		{0x00000000, "udf #0"},
		{0x1e602820, "fadd d0, d1, d0"},
		{0x3dc00020, "ldr q0, [x1]"},
		{0xf8200420, "ldraa x0, [x1]"},
		{0x0b2017e0, "an extended register shifted by 5"},
		{0x12407c00, "a bitmask of all ones"},
		{0xffffffff, "unallocated"},
	} {
		o, ok := Decode(c.word)
		assert.False(t, ok, c.text)
		assert.Zero(t, o.Reads|o.Writes|o.Addr, c.text)
	}
}

func TestClasses_DoNotOverlap(t *testing.T) {
	for i, a := range classes {
		assert.Equal(t, a.value, a.value&a.mask, "class %d", i)
		for j, b := range classes[:i] {
			assert.NotZero(t, (a.value^b.value)&a.mask&b.mask, "classes %d and %d", i, j)
		}
	}
}

// Whatever a constructor makes has operands.
func TestDecode_KnowsWhatIsEncoded(t *testing.T) {
	for _, file := range goldens(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			hex, text, isInsn := strings.Cut(strings.TrimSpace(line), "\t")
			if !isInsn {
				continue // a comment
			}
			w, err := strconv.ParseUint(hex, 16, 32)
			require.NoError(t, err)
			_, ok := Decode(uint32(w))
			assert.True(t, ok, "%s %s", hex, text)
		}
	}
}

// goldens are the instructions of package asm's constructors.
func goldens(t *testing.T) (files []string) {
	t.Helper()
	all, err := filepath.Glob("../testdata/a64/*.golden")
	require.NoError(t, err)
	for _, file := range all {
		switch filepath.Base(file) {
		case "data.golden", "decode.golden": // no instructions; what no constructor makes
		default:
			files = append(files, file)
		}
	}
	require.NotEmpty(t, files)
	return files
}

func FuzzDecode(f *testing.F) {
	for _, c := range classes {
		f.Add(c.value)
		f.Add(c.value | ^c.mask)
	}
	f.Fuzz(func(t *testing.T, w uint32) {
		o, ok := Decode(w)
		if !ok {
			var none Operands
			none.none()
			assert.Equal(t, none, o)
			return
		}
		consistent(t, &o)
		if t.Failed() {
			t.Logf("%08x %s: %+v", w, Disassemble(w, 0, nil), o)
		}
	})
}

// consistent checks what holds of all operands.
func consistent(t *testing.T, o *Operands) {
	t.Helper()
	const all = SetSystem<<1 - 1
	assert.True(t, all.Has(o.Reads|o.Writes), "unknown registers")
	assert.True(t, o.Reads.Has(o.Addr), "the address is not read")
	o.Address(0, func(n uint8) uint64 {
		assert.True(t, o.Addr.Has(setSP(n)), "the address needs %d", n)
		return 0
	})

	access := o.Access != NoAccess
	assert.Equal(t, access, o.Count != 0)
	assert.Equal(t, access, o.Size != 0)
	assert.False(t, access && (o.Branch || o.Exception || o.Barrier || o.Context))
	for i := range o.Count {
		data := SetOf(o.Data[i])
		assert.True(t, o.Access == Stores || o.Writes.Has(data), "loaded, but not written")
		assert.True(t, o.Access != Stores || o.Reads.Has(data), "stored, but not read")
		assert.True(t, o.Access != LoadsAndStores || o.Reads.Has(SetOf(o.Source[i])), "stored, but not read")
	}
	assert.True(t, !o.WriteBack || o.Writes.Has(setSP(o.Base)))
	assert.True(t, !o.PostIndex || o.WriteBack)
	assert.Equal(t, o.Exclusive && o.Access == Stores, o.Status != NoReg)
	assert.True(t, o.Status == NoReg || o.Writes.Has(SetOf(o.Status)))
	assert.True(t, !o.AcquirePC || o.Acquire)
	assert.True(t, !o.Acquire || o.Access == Loads || o.Access == LoadsAndStores)
	assert.True(t, !o.Release || o.Access == Stores || o.Access == LoadsAndStores)
	assert.True(t, !o.Call || o.Branch && o.Writes.Has(SetOf(30)))
	assert.True(t, !o.Waits || o.Barrier)
}

func TestDecode_CacheMaintenance(t *testing.T) {
	for _, c := range []struct {
		word uint32
		want CacheOp
	}{
		{0xd50b7b21, CleanData}, {0xd50b7a21, CleanData}, {0xd50b7c21, CleanData}, {0xd50b7d21, CleanData}, {0xd50b7e21, CleanData},
		{0xd50b7521, InvalidateText}, {0xd508711f, InvalidateAllText},
		{0xd508751f, NoCacheOp}, // IC IALLU, of its own CPU
		{0xd5087621, NoCacheOp}, // DC IVAC, which cleans nothing
		{0xd50b7421, NoCacheOp}, // DC ZVA
		{0xd508871f, NoCacheOp}, // TLBI
		{0xd503201f, NoCacheOp},
	} {
		o, ok := Decode(c.word)
		require.True(t, ok)
		assert.Equal(t, c.want, o.Cache, Disassemble(c.word, 0, nil))
	}
}
