package textdiff

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/kernelimage"
)

// build is how a test kernel is linked, and what it has that another has not.
type build struct {
	text, data uint64 // where these are linked
	before     int    // instructions of another file in front of ftrace's
	swapped    bool   // variables are in another order

	message string     // what register_ftrace_function prints
	cond    asm.Cond   // on which it returns early
	calls   string     // what it calls
	reads   string     // the variable that it reads
	mask    int64      // a constant
	literal uint64     // a constant in memory
	extra   []asm.Inst // more instructions of its own
	pads    int        // NOPs in front of its loop
	alt     asm.Inst   // what is there for a CPU with the capability
	key     string     // the key of its static branch
	helper  string     // the name of a static function
	added   bool       // there is one more
	hidden  bool       // objects have no symbols
}

// usual is a kernel; the tests change parts of it.
func usual() build {
	return build{
		text: 0xffff800080010000, data: 0xffff800080200000, before: 3, message: "ftrace failed at %pS\n", cond: asm.EQ, calls: "ftrace_startup",
		reads: "ftrace_enabled", mask: 0x40, literal: 0x123456789abcdef0, alt: asm.Isb(), key: "key_a", helper: "ops_check",
	}
}

// capability is the number of the alternative's CPU capability.
const capability = 17

// image assembles and links the kernel.
func (o *build) image(t testing.TB) *kernelimage.Image {
	t.Helper()
	d := asm.NewBuilder()
	objects := func(names ...string) {
		for _, name := range names {
			d.Object(name)
			d.Emit(asm.Quad(uint64(len(name))))
		}
	}
	d.Object("first")
	d.Zero(8 * o.before)
	if o.swapped {
		objects("key_b", "key_a", "ftrace_disabled", "ftrace_enabled")
	} else {
		objects("ftrace_enabled", "ftrace_disabled", "key_a", "key_b")
	}
	d.EndFunc()
	data, err := d.Assemble(o.data)
	require.NoError(t, err)

	rodata := append(append(make([]byte, 16*o.before), o.message...), 0)
	message := o.data - 0x10000 + uint64(16*o.before)

	b := asm.NewBuilder()
	object := func(name string) asm.Label {
		addr, ok := data.Addr(name)
		require.True(t, ok, name)
		return b.Abs(name, addr)
	}
	funcs := map[string]asm.Label{}
	for _, name := range []string{"unrelated", o.helper, "ftrace_startup", "ftrace_shutdown", "register_ftrace_function", "unregister_ftrace_function", "last"} {
		funcs[name] = b.Label(name)
	}
	if funcs[o.calls] == (asm.Label{}) {
		t.Fatalf("no function %s", o.calls)
	}
	begin := func(name string) {
		b.Align(8)
		b.BindFunc(funcs[name])
	}
	begin("unrelated")
	for range o.before {
		b.Emit(asm.AddImm(asm.X0, asm.X0, 1))
	}
	b.Emit(asm.Ret())
	begin("ftrace_startup")
	b.Emit(asm.BL(funcs[o.helper]), asm.Ret())
	begin(o.helper)
	b.Emit(asm.MovImm(asm.X0, 1)...)
	b.Emit(asm.Ret())
	if o.added {
		funcs["ops_new"] = b.Label("ops_new")
		begin("ops_new")
		b.Emit(asm.Ret())
	}
	begin("ftrace_shutdown")
	b.Emit(asm.Ret())
	begin("register_ftrace_function")
	loop, out := b.Label("loop"), b.Label("out")
	enabled := object(o.reads)
	at := b.Here("static branch")
	b.Emit(asm.Nop())
	alt := b.Here("alternative")
	b.Emit(asm.Nop())
	b.Emit(asm.Adrp(asm.X19, enabled), asm.AddLo12(asm.X19, asm.X19, object("first")))
	b.Emit(asm.Adrp(asm.X1, enabled), asm.AddLo12(asm.X1, asm.X1, enabled), asm.Ldr(asm.X2, asm.Off(asm.X1, 0)))
	b.Emit(asm.Cmp(asm.X2, asm.XZR), asm.BCond(o.cond, out))
	b.Emit(o.extra...)
	for range o.pads {
		b.Emit(asm.Nop())
	}
	b.Bind(loop)
	b.Emit(asm.AndImm(asm.X3, asm.X2, uint64(o.mask)), asm.LdrLit(asm.X4, b.Literal(o.literal)), asm.Cbnz(asm.X3, loop))
	text := b.Abs("message", message)
	b.Emit(asm.Adrp(asm.X0, text), asm.AddLo12(asm.X0, asm.X0, text), asm.BL(funcs[o.calls]))
	b.Bind(out)
	b.Emit(asm.Movz(asm.X0, 0, 0), asm.Ret())
	begin("unregister_ftrace_function")
	b.Emit(asm.BL(funcs["ftrace_shutdown"]), asm.Ret())
	begin("last")
	b.Emit(asm.Ret())
	b.EndFunc()
	b.Align(8)
	replacement := b.Here("replacement")
	b.Emit(o.alt, asm.Nop())
	code, err := b.Assemble(o.text)
	require.NoError(t, err)
	addr := func(l asm.Label) uint64 {
		a, ok := code.AddrOf(l)
		require.True(t, ok)
		return a
	}

	// struct alt_instr and struct jump_entry.
	tables := o.data + uint64(len(data.Code))
	b32 := func(b []byte, addr uint64) []byte {
		return binary.LittleEndian.AppendUint32(b, uint32(addr-(tables+uint64(len(b)))))
	}
	var table []byte
	table = b32(table, addr(alt))
	table = b32(table, addr(replacement))
	table = binary.LittleEndian.AppendUint16(table, capability)
	table = append(table, 4, 4, 0, 0, 0, 0)
	key, _ := data.Addr(o.key)
	table = b32(table, addr(at))
	table = b32(table, addr(out))
	table = binary.LittleEndian.AppendUint64(table, key-(tables+uint64(len(table))))

	p := &kernelimage.Parts{
		Name: "test", Layout: &kernelimage.Layout{Bug: kernelimage.BugLayout{File: kernelimage.Absent}},
		Text: []kernelimage.Range{{Start: code.Base, End: code.Base + uint64(len(code.Code))}},
		Segments: []kernelimage.Segment{
			kernelimage.NewSegment("text", code.Base, code.Code, uint64(len(code.Code)), emu.Read|emu.Exec),
			kernelimage.NewSegment("rodata", o.data-0x10000, rodata, uint64(len(rodata)), emu.Read),
			kernelimage.NewSegment("data", o.data, append(data.Code, table...), uint64(len(data.Code)+len(table)), emu.Read|emu.Write),
		},
	}
	for _, s := range code.Symbols {
		p.Symbols = append(p.Symbols, kernelimage.Symbol{Name: s.Name, Addr: s.Addr, Func: true, Type: 'T'})
	}
	for _, s := range data.Symbols {
		if o.hidden {
			continue
		}
		p.Symbols = append(p.Symbols, kernelimage.Symbol{Name: s.Name, Addr: s.Addr, Type: 'D'})
	}
	if o.hidden {
		return kernelimage.New(p)
	}
	for i, name := range []string{"__alt_instructions", "__alt_instructions_end", "__start___jump_table", "__stop___jump_table"} {
		p.Symbols = append(p.Symbols, kernelimage.Symbol{Name: name, Addr: tables + []uint64{0, 12, 16, 32}[i], Type: 'D'})
	}
	return kernelimage.New(p)
}
