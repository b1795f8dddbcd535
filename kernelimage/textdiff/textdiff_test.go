package textdiff

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/kernelimage"
)

func compare(t *testing.T, before, after build) *Diff {
	t.Helper()
	d, err := Compare(t.Context(), before.image(t), after.image(t))
	require.NoError(t, err)
	return d
}

func TestCompare_LinkingAnewIsNoDifference(t *testing.T) {
	for name, relink := range map[string]func(*build){
		"the same":                      func(*build) {},
		"at another address":            func(b *build) { b.text, b.data = 0xffff800081230000, 0xffff800089999000 },
		"other code in front":           func(b *build) { b.before = 40 },
		"variables in another order":    func(b *build) { b.swapped = true },
		"the loop is aligned otherwise": func(b *build) { b.pads = 1 },
		"all of it": func(b *build) {
			b.text, b.data, b.before, b.swapped, b.pads = 0xffff800081000000, 0xffff800082345000, 100, true, 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			after := usual()
			relink(&after)
			d := compare(t, usual(), after)
			assert.Empty(t, d.Changes)
			assert.Equal(t, 5, d.Functions, "not what is unrelated")
			assert.Equal(t, d.Functions, d.Same)
		})
	}
}

func TestCompare_TellsWhatChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*build)
		lines  []string // "-" or "+", then the text
	}{
		"a condition": {func(b *build) { b.cond = asm.NE }, []string{"-b.eq +0x3c", "+b.ne +0x3c"}},
		"a call":      {func(b *build) { b.calls = "ftrace_shutdown" }, []string{"-bl ftrace_startup", "+bl ftrace_shutdown"}},
		"a constant":  {func(b *build) { b.mask = 0x80 }, []string{"-and x3, x2, #0x40", "+and x3, x2, #0x80"}},
		"a variable": {func(b *build) { b.reads = "ftrace_disabled" }, []string{
			"-add x1, x1, :lo12:ftrace_enabled", "-ldr x2, [x1] // :lo12:ftrace_enabled",
			"+add x1, x1, :lo12:ftrace_disabled", "+ldr x2, [x1] // :lo12:ftrace_disabled",
		}},
		"a string":             {func(b *build) { b.message = "other\n" }, []string{`-add x0, x0, :lo12:"ftrace failed at %pS\n"`, `+add x0, x0, :lo12:"other\n"`}},
		"an instruction more":  {func(b *build) { b.extra = []asm.Inst{asm.Isb()} }, []string{"+isb"}},
		"a NOP more":           {func(b *build) { b.extra = []asm.Inst{asm.Nop(), asm.Isb()} }, []string{"+nop", "+isb"}},
		"the key of a branch":  {func(b *build) { b.key = "key_b" }, []string{"-nop // static branch on key_a to +0x3c", "+nop // static branch on key_b to +0x3c"}},
		"an alternative":       {func(b *build) { b.alt = asm.Yield() }, []string{"-alternative for CPU capability 17: isb", "+alternative for CPU capability 17: yield"}},
		"a literal in memory":  {func(b *build) { b.literal = 1 }, []string{"-ldr x4, 0x123456789abcdef0", "+ldr x4, 0x1"}},
		"linked elsewhere too": {func(b *build) { b.cond, b.before, b.text = asm.LT, 50, 0xffff800080020000 }, []string{"-b.eq +0x3c", "+b.lt +0x3c"}},
	} {
		t.Run(name, func(t *testing.T) {
			after := usual()
			c.change(&after)
			d := compare(t, usual(), after)
			require.Len(t, d.Changes, 1)
			f := &d.Changes[0]
			assert.Equal(t, "register_ftrace_function", f.Name)
			assert.Equal(t, "kernel/trace/ftrace.c", f.File)
			assert.Equal(t, Changed, f.State)
			var lines []string
			for _, l := range f.Lines {
				if l.Op != Both {
					lines = append(lines, string(l.Op)+l.Text)
				}
			}
			assert.Equal(t, c.lines, lines)
			assert.Equal(t, 4, d.Same)
		})
	}
}

func TestCompare_TellsOfNewAndGoneFunctions(t *testing.T) {
	with := usual()
	with.added = true
	d := compare(t, usual(), with)
	require.Len(t, d.Changes, 1)
	assert.Equal(t, Function{
		Name: "ops_new", File: "kernel/trace/ftrace.c", State: New, NewSize: 4, Lines: []Line{{Op: NewOnly, Old: -1, Text: "ret"}},
	}, d.Changes[0])
	d = compare(t, with, usual())
	require.Len(t, d.Changes, 1)
	assert.Equal(t, Function{Name: "ops_new", File: "kernel/trace/ftrace.c", State: Gone, OldSize: 4, Lines: []Line{}}, d.Changes[0])
}

// Without CONFIG_KALLSYMS_ALL nothing names variables.
func TestCompare_WithoutNamesOfObjects(t *testing.T) {
	before, after := usual(), usual()
	before.hidden, after.hidden = true, true
	after.before, after.data = 40, 0xffff800089999000
	assert.Empty(t, compare(t, before, after).Changes, "linked anew")
	after.cond = asm.NE
	assert.Len(t, compare(t, before, after).Changes, 1)
}

// What a compiler makes of a function may be called otherwise.
func TestCompare_KnowsAFunctionByWhatItWasMadeOf(t *testing.T) {
	after := usual()
	after.helper = "ops_check.constprop.0"
	d := compare(t, usual(), after)
	assert.Empty(t, slices.DeleteFunc(d.Changes, func(f Function) bool { return f.Name == "ftrace_startup" }), "all but its caller")
}

func TestCompare_WithoutTypesSaysSo(t *testing.T) {
	d := compare(t, usual(), usual())
	assert.Contains(t, d.Untyped, "there is none")
	assert.Empty(t, d.Structures)
}

// ld --fix-cortex-a53-843419 makes ADR of ADRP where that is at the end of a page.
func TestCompare_ADRThatALinkerMadeOfADRPIsNoDifference(t *testing.T) {
	near := usual()
	near.data = 0xffff800080080000
	img := near.image(t)
	p := img.Parts()
	code, err := p.Segments[0].Bytes()
	require.NoError(t, err)
	rewritten := 0
	for off := 0; off+4 <= len(code); off += 4 {
		pc := p.Segments[0].Addr + uint64(off)
		rd, page, isPage, _ := asm.DecodeAdr(pc, binary.LittleEndian.Uint32(code[off:]))
		if !isPage {
			continue
		}
		b := asm.NewBuilder()
		b.Emit(asm.Adr(rd, b.Abs("page", page)))
		adr, err := b.Assemble(pc)
		require.NoError(t, err)
		copy(code[off:], adr.Code)
		rewritten++
	}
	require.Positive(t, rewritten)
	p.Segments[0] = kernelimage.NewSegment("text", p.Segments[0].Addr, code, uint64(len(code)), p.Segments[0].Perm)
	before := usual()
	d, err := Compare(t.Context(), before.image(t), kernelimage.New(p))
	require.NoError(t, err)
	assert.Empty(t, d.Changes)
}
