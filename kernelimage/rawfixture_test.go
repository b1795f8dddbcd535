package kernelimage

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/kernelimage/internal/imageheader"
	"callops/kernelimage/internal/kallsyms/kallsymstest"
)

// rawSpec describes a small raw Image. The zero value has what a
// 6.12 kernel has, without CALL_OPS.
type rawSpec struct {
	callOps     bool
	symbols     kallsymstest.Spec
	applied     bool // relocations hold their values in the file
	noRela      bool // and there is no table of them
	mixedRela   bool // among them are entries of other types
	noBTF       bool
	before516   bool // structures are 5.15's
	funcsOnly   bool // no symbols of objects (CONFIG_KALLSYMS_ALL is off)
	base        uint64
	zeroEntries int
	pages       uint64         // flags of the header; 0: 4K
	edit        func(b []byte) // the finished file
}

// rawImage is a finished fixture, and what should be found in it.
type rawImage struct {
	b            []byte
	base         uint64
	funcs, inits int
	perCPU       Range
	symbols      []kallsymstest.Symbol
}

const (
	fixtureFuncs = 600 // more than two markers' worth of names
	fixtureInits = 3
	stateOff     = 0x48 // of struct context_tracking in the per-CPU section, after another variable
)

type rawBuilder struct {
	spec rawSpec
	b    []byte
	rela [][2]uint64 // offset in the file, value
	syms []kallsymstest.Symbol
}

func (r *rawBuilder) at() uint64 { return uint64(len(r.b)) }

func (r *rawBuilder) align(to int) { r.b = append(r.b, make([]byte, -len(r.b)&(to-1))...) }

func (r *rawBuilder) sym(typ byte, name string) {
	r.syms = append(r.syms, kallsymstest.Symbol{Type: typ, Name: name, Off: r.at()})
}

func (r *rawBuilder) words(words ...uint32) {
	for _, w := range words {
		r.b = binary.LittleEndian.AppendUint32(r.b, w)
	}
}

// object adds a symbol that a kernel without KALLSYMS_ALL does not have.
func (r *rawBuilder) object(t byte, n string) {
	if !r.spec.funcsOnly {
		r.sym(t, n)
	}
}

// pointer adds a word that relocation fills with base+off.
func (r *rawBuilder) pointer(off uint64) {
	r.b = append(r.b, make([]byte, 8)...)
	r.fill(r.at()-8, off)
}

// fill makes the word at the given place one that relocation fills with base+off.
func (r *rawBuilder) fill(at, off uint64) {
	r.rela = append(r.rela, [2]uint64{at, off})
	v := uint64(0)
	if r.spec.applied || r.spec.noRela {
		v = r.spec.base + off
	}
	binary.LittleEndian.PutUint64(r.b[at:], v)
}

// function adds a traced function that takes the address of the byte at perCPU.
func (r *rawBuilder) function(name string, perCPU uint64) (entry uint64) {
	const ret = 0xd65f03c0
	r.align(8)
	entry = r.at()
	if r.spec.callOps {
		r.words(asm.NOP, asm.NOP)
	}
	r.sym('t', name)
	r.words(asm.NOP, asm.NOP)
	pages := uint32(perCPU>>12 - r.at()>>12)
	r.words(0x90000000|pages&3<<29|pages>>2&0x7ffff<<5, 0x91000000|uint32(perCPU&0xfff)<<10, ret)
	return entry
}

// fixture layout, in the file.
const (
	fixtureText   = 0x1000
	fixtureRodata = 0x10000 // this and what follows at 64 KiB pages
	fixtureInit   = 0x20000
	fixtureData   = 0x30000
	fixtureSize   = 0x50000
)

func buildRaw(tb testing.TB, spec rawSpec) rawImage {
	tb.Helper()
	if spec.base == 0 {
		spec.base = 0xffff_8000_8000_0000
	}
	r := &rawBuilder{spec: spec, b: make([]byte, fixtureText)}
	r.syms = append(r.syms, kallsymstest.Symbol{Type: 'T', Name: "_text"})
	if spec.funcsOnly {
		r.syms = nil
	}
	copy(r.b, "MZ")
	binary.LittleEndian.PutUint64(r.b[imageheader.ImageSizeAt:], fixtureSize+0x2000)
	binary.LittleEndian.PutUint64(r.b[imageheader.FlagsAt:], cmp.Or(spec.pages, imageheader.Pages4K))
	copy(r.b[imageheader.MagicAt:], imageheader.Magic)

	r.sym('T', "_stext")
	var entries []uint64
	for i := range fixtureFuncs {
		entries = append(entries, r.function(fmt.Sprintf("function_%d", i), fixtureData+uint64(i%2)*stateOff))
	}
	require.Less(tb, len(r.b), fixtureRodata)
	r.b = append(r.b, make([]byte, fixtureRodata-len(r.b))...)
	r.sym('D', "_etext")

	init := &rawBuilder{spec: spec, b: make([]byte, fixtureInit)}
	init.sym('T', "_sinittext")
	for i := range fixtureInits {
		entries = append(entries, init.function(fmt.Sprintf("init_%d", i), fixtureData))
	}
	init.sym('T', "_einittext")

	// The symbol table comes before what it names, so its contents are known first.
	data := &rawBuilder{spec: spec, b: make([]byte, fixtureData)}
	data.object('D', "__per_cpu_start")
	data.object('D', "other_variable")
	data.b = append(data.b, make([]byte, stateOff)...)
	data.object('D', "context_tracking")
	data.b = append(data.b, make([]byte, 0x40)...)
	data.object('D', "__per_cpu_end")
	data.b = append(data.b, make([]byte, 8)...)
	data.object('d', "__start_mcount_loc")
	data.b = append(data.b, make([]byte, 8*spec.zeroEntries)...)
	for _, e := range entries {
		data.pointer(e)
	}
	data.object('d', "__stop_mcount_loc")

	if !spec.noBTF {
		r.object('D', "__start_BTF")
		r.b = append(r.b, btfOf(tb, spec.before516)...)
		r.object('D', "__stop_BTF")
	}
	r.align(8)
	r.object('D', "linux_banner")
	r.b = append(r.b, "Linux version 6.99 (fixture)\n\x00"...)
	syms := append(append(r.syms, init.syms...), data.syms...)
	r.align(8)
	var words []kallsymstest.Pointer
	r.b, words = kallsymstest.Append(r.b, spec.base, spec.symbols, syms)
	for _, w := range words {
		r.fill(w.At, w.Off)
	}
	require.Less(tb, len(r.b), fixtureInit)
	r.b = append(r.b, make([]byte, fixtureInit-len(r.b))...)
	r.b = append(r.b, init.b[fixtureInit:]...)
	r.b = append(r.b, make([]byte, fixtureData-len(r.b))...)
	r.b = append(r.b, data.b[fixtureData:]...)

	if !spec.noRela {
		r.align(8)
		for i, e := range append(r.rela, data.rela...) {
			if spec.mixedRela && i%200 == 10 {
				for _, w := range []uint64{0, 0, 0, spec.base + fixtureData, 5<<32 | uint64(elf.R_AARCH64_ABS64), 1} {
					r.b = binary.LittleEndian.AppendUint64(r.b, w)
				}
			}
			for _, w := range []uint64{spec.base + e[0], uint64(elf.R_AARCH64_RELATIVE), spec.base + e[1]} {
				r.b = binary.LittleEndian.AppendUint64(r.b, w)
			}
		}
	}
	require.Less(tb, len(r.b), fixtureSize)
	r.b = append(r.b, make([]byte, fixtureSize-len(r.b))...)
	if spec.edit != nil {
		spec.edit(r.b)
	}
	return rawImage{
		b: r.b, base: spec.base, funcs: fixtureFuncs, inits: fixtureInits, symbols: syms,
		perCPU: Range{spec.base + fixtureData, spec.base + fixtureData + stateOff + 0x40},
	}
}

// fixtureBTF describes structures as small as they may be.
func fixtureBTF(tb testing.TB) []byte { return btfOf(tb, false) }

func btfOf(tb testing.TB, before516 bool) []byte {
	tb.Helper()
	word := &btf.Int{Name: "unsigned long", Size: 8}
	structure := func(name string, fields ...any) *btf.Struct {
		s := &btf.Struct{Name: name}
		for i := 0; i < len(fields); i += 2 {
			typ, size := fields[i+1].(btf.Type), uint32(8)
			if in, ok := typ.(*btf.Struct); ok {
				size = in.Size
			}
			s.Members = append(s.Members, btf.Member{Name: fields[i].(string), Type: typ, Offset: btf.Bits(8 * s.Size)})
			s.Size += size
		}
		return s
	}
	words := func(name string, fields ...string) *btf.Struct {
		var list []any
		for _, f := range fields {
			list = append(list, f, word)
		}
		return structure(name, list...)
	}
	opsHash := words("ftrace_ops_hash", "notrace_hash", "filter_hash")
	node := words("hlist_node", "next", "pprev")
	thread := structure("thread_info", "flags", word, "", words("", "preempt_count"), "cpu", word)
	tracking := words("context_tracking", "state")
	task := []any{"thread_info", thread}
	if before516 {
		task = []any{"thread_info", words("thread_info", "flags", "preempt_count"), "cpu", word}
		tracking = structure("context_tracking", "active", word, "state", &btf.Enum{Name: "ctx_state", Size: 4})
	}
	for _, name := range []string{"stack", "pid", "stack_canary", "comm", "comm_end", "trace_recursion"} {
		task = append(task, name, word)
	}
	section := &btf.Datasec{Name: perCPUSectionName, Size: stateOff + 0x40, Vars: []btf.VarSecinfo{
		{Type: &btf.Var{Name: "other_variable", Type: word}, Offset: 0, Size: 8},
		{Type: &btf.Var{Name: "context_tracking", Type: tracking}, Offset: stateOff, Size: 8},
	}}
	builder, err := btf.NewBuilder([]btf.Type{
		structure("ftrace_ops", "func", word, "next", word, "flags", word, "private", word, "saved_func", word, "local_hash", opsHash,
			"func_hash", word, "old_hash", opsHash, "trampoline", word, "trampoline_size", word, "subop_list", word, "direct_call", word),
		words("ftrace_hash", "size_bits", "buckets", "count", "flags"),
		structure("ftrace_func_entry", "hlist", node, "ip", word, "direct", word),
		structure("task_struct", task...),
		section,
	}, nil)
	require.NoError(tb, err)
	b, err := builder.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	require.NoError(tb, err)
	return b
}
