package kernelimage

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"callops/internal/errno"
	"callops/internal/text"
	"callops/kernelimage/internal/btfsection"

	"github.com/cilium/ebpf/btf"
)

// btfTypes looks up structures in a kernel's BTF.
type btfTypes struct {
	spec    *btf.Spec
	count   int      // of types, with those of the base
	assumed []string // structures taken from arm64's known ones
	missing []string // what there has to be and is not
}

// maxBTFTypes bounds the types of a section and its base. The reader recurses
// from a type to those that it is made of, with 2 KiB of stack each, and a stack
// of more than 512 MiB would end callops.
const maxBTFTypes = 240_000 // Debian's 6.12 has 111,807

// readBTF reads a BTF section.
func readBTF(section []byte) (*btfTypes, error) { return readSplitBTF(section, nil) }

// readSplitBTF reads a BTF section whose types build on those of base, unless
// that is nil. A damaged one must not bring callops down, whatever the reader
// makes of it.
func readSplitBTF(section []byte, base *btfTypes) (t *btfTypes, err error) {
	defer func() {
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("damaged: %s: %w", text.Printable(fmt.Sprint(p)), errno.ENOEXEC)
		}
	}()
	count, ok := btfsection.CountTypes(section)
	if !ok {
		return nil, fmt.Errorf("no little-endian BTF section of version 1: %w", errno.ENOEXEC)
	}
	t = &btfTypes{count: count}
	var on *btf.Spec
	if base != nil {
		on = base.spec
		t.count += base.count
	}
	if t.count > maxBTFTypes {
		return nil, fmt.Errorf("%d types, at most %d are read: %w", t.count, maxBTFTypes, errno.ENOEXEC)
	}
	if t.spec, err = btf.LoadSplitSpecFromReader(bytes.NewReader(section), on); err != nil {
		return nil, fmt.Errorf("%s: %w", text.Printable(err.Error()), errno.ENOEXEC)
	}
	return t, nil
}

// variables is the section of per-CPU variables; nil where BTF has none, as
// that which pahole made before 1.18.
func (t *btfTypes) variables() *btf.Datasec {
	var sec *btf.Datasec
	if t.spec == nil || t.spec.TypeByName(perCPUSectionName, &sec) != nil {
		return nil
	}
	return sec
}

// perCPUVars returns the offsets of the per-CPU variables in their section, and
// its size; nil where BTF has no such section.
func (t *btfTypes) perCPUVars() (offsets []uint32, size uint64) {
	sec := t.variables()
	if sec == nil {
		return nil, 0
	}
	for _, v := range sec.Vars {
		offsets = append(offsets, v.Offset)
	}
	return offsets, uint64(sec.Size)
}

// perCPUVar returns the offset of a per-CPU variable in their section.
func (t *btfTypes) perCPUVar(name string) (int, bool) {
	if sec := t.variables(); sec != nil {
		for _, v := range sec.Vars {
			if v.Type.TypeName() == name {
				return int(v.Offset), true
			}
		}
	}
	return 0, false
}

const perCPUSectionName = ".data..percpu"

// maxNesting bounds structures in structures, and maxMembers how many fields
// are looked at in all: damaged structures hold themselves, and often.
const (
	maxNesting = 16
	maxMembers = 1 << 16
)

// member returns the offset of a field in bytes; path names it from the outside
// in, with dots. Anonymous structures and unions need no name.
func member(typ btf.Type, path string) (int, bool) {
	left := maxMembers
	return memberIn(typ, path, 0, &left)
}

func memberIn(typ btf.Type, path string, depth int, left *int) (int, bool) {
	if depth > maxNesting {
		return 0, false
	}
	var members []btf.Member
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	default:
		return 0, false
	}
	first, rest, more := strings.Cut(path, ".")
	for _, m := range members {
		if *left--; *left < 0 {
			break
		}
		off := int(m.Offset / 8)
		switch {
		case m.Name == first && !more:
			return off, true
		case m.Name == first:
			inner, ok := memberIn(m.Type, rest, depth+1, left)
			return off + inner, ok
		case m.Name == "":
			if inner, ok := memberIn(m.Type, path, depth+1, left); ok {
				return off + inner, true
			}
		}
	}
	return 0, false
}

// structure finds a structure; nil where there is none, which is noted.
func (t *btfTypes) structure(name string) *btf.Struct {
	var s *btf.Struct
	if err := t.spec.TypeByName(name, &s); err != nil {
		t.missing = append(t.missing, "struct "+name)
		return nil
	}
	return s
}

// need returns the offset of a field that there has to be.
func (t *btfTypes) need(s *btf.Struct, path string) int {
	off := t.find(s, path)
	if s != nil && off == Absent {
		t.missing = append(t.missing, s.Name+"."+path)
	}
	return off
}

// needOne returns the offset of the first of the fields that is there, by what it
// is called in some version; the first is the latest's.
func (t *btfTypes) needOne(s *btf.Struct, paths ...string) int {
	for _, path := range paths {
		if off := t.find(s, path); off != Absent {
			return off
		}
	}
	return t.need(s, paths[0])
}

// find returns the offset of a field, or Absent.
func (t *btfTypes) find(s *btf.Struct, path string) int {
	if s == nil {
		return Absent
	}
	off, ok := member(s, path)
	if !ok {
		return Absent
	}
	return off
}

func sizeOf(s *btf.Struct) int {
	if s == nil {
		return 0
	}
	return int(s.Size)
}

// layout makes a Layout. PerCPU.ContextState is that of the field in its
// structure; the rest of PerCPU is left out.
func (t *btfTypes) layout() (l *Layout, err error) {
	defer func() {
		if p := recover(); p != nil {
			l, err = nil, fmt.Errorf("damaged: %s: %w", text.Printable(fmt.Sprint(p)), errno.ENOEXEC)
		}
	}()
	ops, hash, entry := t.structure("ftrace_ops"), t.structure("ftrace_hash"), t.structure("ftrace_func_entry")
	opsHash, task := t.structure("ftrace_ops_hash"), t.structure("task_struct")
	l = &Layout{
		Ops: OpsLayout{
			Size: sizeOf(ops),
			Func: t.need(ops, "func"), Next: t.need(ops, "next"), Flags: t.need(ops, "flags"), Private: t.need(ops, "private"),
			SavedFunc: t.need(ops, "saved_func"), LocalHash: t.need(ops, "local_hash"), FuncHash: t.need(ops, "func_hash"),
			OldHash: t.need(ops, "old_hash"), Trampoline: t.need(ops, "trampoline"), TrampolineSize: t.need(ops, "trampoline_size"),
			List: t.find(ops, "list"), SubopList: t.find(ops, "subop_list"), OpsFunc: t.find(ops, "ops_func"),
			DirectCall: t.find(ops, "direct_call"),
		},
		OpsHash: OpsHashLayout{Notrace: t.need(opsHash, "notrace_hash"), Filter: t.need(opsHash, "filter_hash")},
		Hash: HashLayout{
			Size: sizeOf(hash), SizeBits: t.need(hash, "size_bits"), Buckets: t.need(hash, "buckets"),
			Count: t.need(hash, "count"), Flags: t.need(hash, "flags"),
		},
		Entry: EntryLayout{
			Size: sizeOf(entry), Next: t.need(entry, "hlist.next"), Pprev: t.need(entry, "hlist.pprev"),
			IP: t.need(entry, "ip"), Direct: t.find(entry, "direct"),
		},
		Task: TaskLayout{
			Size:  sizeOf(task),
			Flags: t.need(task, "thread_info.flags"), PreemptCount: t.need(task, "thread_info.preempt_count"), CPU: t.needOne(task, "thread_info.cpu", "cpu"), // the latter until 5.15
			Stack: t.need(task, "stack"), Pid: t.need(task, "pid"), StackCanary: t.find(task, "stack_canary"), Comm: t.need(task, "comm"),
			RetStack: t.find(task, "ret_stack"), CurrRetStack: t.find(task, "curr_ret_stack"), CurrRetDepth: t.find(task, "curr_ret_depth"),
			GraphPause: t.find(task, "tracing_graph_pause"), TraceOverrun: t.find(task, "trace_overrun"), TraceRecursion: t.find(task, "trace_recursion"),
			State: t.find(task, "__state"), Usage: t.find(task, "usage"), RCULocked: t.find(task, "rcu_read_lock_nesting"),
		},
		Regs:   t.regs(),
		Bug:    t.bug(),
		Slab:   t.slab(),
		PerCPU: PerCPULayout{ContextState: Absent, RingBuffer: Absent},
		Core:   t.core(),
		SRCU:   t.srcu(),
	}
	var ct *btf.Struct
	if t.spec.TypeByName("context_tracking", &ct) == nil {
		l.PerCPU.ContextState = t.contextState(ct)
	}
	if len(t.missing) > 0 {
		return nil, fmt.Errorf("has no %s: %w", strings.Join(t.missing, ", "), errno.ENOENT)
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	return l, nil
}

// contextState is the offset of what says that RCU is watching a CPU. Before 6.0 the
// field of that name is an enum, and reports whether the CPU is in user mode.
func (t *btfTypes) contextState(ct *btf.Struct) int {
	for _, m := range ct.Members {
		if _, isEnum := btf.UnderlyingType(m.Type).(*btf.Enum); m.Name == "state" && isEnum {
			return Absent
		}
	}
	return t.find(ct, "state")
}

// regs is arm64's ftrace_regs. Where it is opaque, or all of pt_regs, as before
// 6.2, it is the known one, which callops' own trampolines build.
func (t *btfTypes) regs() RegsLayout {
	for _, name := range []string{"__arch_ftrace_regs", "ftrace_regs"} {
		var s *btf.Struct
		if t.spec.TypeByName(name, &s) != nil || t.find(s, "fp") == Absent || t.find(s, "pc") == Absent {
			continue
		}
		return RegsLayout{
			Size: sizeOf(s), X0: t.need(s, "regs"), DirectTramp: t.find(s, "direct_tramp"),
			FP: t.need(s, "fp"), LR: t.need(s, "lr"), SP: t.need(s, "sp"), PC: t.need(s, "pc"),
		}
	}
	t.assumed = append(t.assumed, "struct ftrace_regs")
	return layout612.Regs
}

// bug is struct bug_entry, which a kernel without CONFIG_GENERIC_BUG does not have.
func (t *btfTypes) bug() BugLayout {
	var s *btf.Struct
	if t.spec.TypeByName("bug_entry", &s) != nil || t.find(s, "bug_addr_disp") == Absent || t.find(s, "flags") == Absent {
		return layout612.Bug
	}
	return BugLayout{
		Size: sizeOf(s), Addr: t.find(s, "bug_addr_disp"), File: t.find(s, "file_disp"),
		Line: t.find(s, "line"), Flags: t.find(s, "flags"),
	}
}

// srcu is where the readers of an srcu_struct are counted; zero where that is not known.
func (t *btfTypes) srcu() SRCULayout {
	ssp, data, ctr := t.optional("srcu_struct"), t.optional("srcu_data"), t.optional("srcu_ctr")
	l := SRCULayout{SDA: t.find(ssp, "sda")}
	if ctrs := t.find(data, "srcu_ctrs"); ctrs != Absent && ctr != nil { // from 6.15 on
		for i := range 2 {
			at := ctrs + i*sizeOf(ctr)
			l.Lock[i], l.Unlock[i] = at+t.find(ctr, "srcu_locks"), at+t.find(ctr, "srcu_unlocks")
		}
	} else {
		for i := range 2 {
			l.Lock[i], l.Unlock[i] = t.find(data, "srcu_lock_count")+8*i, t.find(data, "srcu_unlock_count")+8*i
		}
	}
	for _, off := range []int{l.Lock[0], l.Unlock[0]} {
		if l.SDA < 0 || off < 0 || l.SDA > sizeOf(ssp)-8 || off > sizeOf(data)-16 {
			return SRCULayout{SDA: Absent}
		}
	}
	return l
}

// core is what the kernel's own ftrace core keeps; zero where a structure or a field of
// it is not there.
func (t *btfTypes) core() CoreLayout {
	var l CoreLayout
	for _, f := range []struct {
		structure string
		size      *int
		fields    map[string]*int
	}{
		{"ftrace_page", nil, map[string]*int{"next": &l.Page.Next, "records": &l.Page.Records, "index": &l.Page.Index}},
		{"dyn_ftrace", &l.Rec.Size, map[string]*int{"ip": &l.Rec.IP, "flags": &l.Rec.Flags}},
		{"module", &l.Mod.Size, map[string]*int{
			"state": &l.Mod.State, "list": &l.Mod.List, "name": &l.Mod.Name,
			"ftrace_callsites": &l.Mod.Callsites, "num_ftrace_callsites": &l.Mod.NumCallsites,
		}},
		{"file", &l.File.Size, map[string]*int{"f_mode": &l.File.Mode, "f_flags": &l.File.Flags, "private_data": &l.File.PrivateData}},
		{"kiocb", &l.Kiocb.Size, map[string]*int{"ki_filp": &l.Kiocb.Filp, "ki_pos": &l.Kiocb.Pos}},
		{"trace_array", &l.Array.Size, map[string]*int{
			"list": &l.Array.List, "ops": &l.Array.Ops, "mod_trace": &l.Array.ModTrace, "mod_notrace": &l.Array.ModNotrace,
		}},
		{"ftrace_mod_load", &l.ModLoad.Size, map[string]*int{"list": &l.ModLoad.List, "func": &l.ModLoad.Func, "module": &l.ModLoad.Module}},
		{"trace_parser", &l.Parser.Size, map[string]*int{
			"cont": &l.Parser.Cont, "buffer": &l.Parser.Buffer, "idx": &l.Parser.Idx, "size": &l.Parser.Room,
		}},
		{"iov_iter", &l.IovIter, nil},
		{"inode", &l.Inode, nil},
		{"ctl_table", &l.Ctl.Size, map[string]*int{"data": &l.Ctl.Data, "maxlen": &l.Ctl.MaxLen, "mode": &l.Ctl.Mode}},
	} {
		var s *btf.Struct
		if t.spec.TypeByName(f.structure, &s) != nil || s.Size > mostCoreStruct {
			return CoreLayout{}
		}
		if f.size != nil {
			*f.size = int(s.Size)
		}
		for path, off := range f.fields {
			room := 8
			if f.structure == "trace_parser" && (path == "idx" || path == "size") { // the last ones
				room = 4
			}
			if *off = t.find(s, path); *off == Absent || *off < 0 || *off > int(s.Size)-room {
				return CoreLayout{}
			}
		}
	}
	var parser *btf.Struct
	if t.spec.TypeByName("trace_parser", &parser) == nil {
		l.Parser.Fail = t.find(parser, "fail")
	}
	if !t.module(&l.Mod) {
		return CoreLayout{}
	}
	return l
}

// module is the rest of struct module, and what it refers to. It reports whether its memory is
// laid out in a known way.
func (t *btfTypes) module(l *ModLayout) bool {
	named := func(name string) *btf.Struct {
		var s *btf.Struct
		if t.spec.TypeByName(name, &s) != nil || s.Size > mostCoreStruct {
			return nil
		}
		return s
	}
	// field is an offset that leaves room for a doubleword.
	field := func(s *btf.Struct, path string) int {
		off := t.find(s, path)
		if s == nil || off < 0 || off > int(s.Size)-8 {
			return Absent
		}
		return off
	}
	mod, syms, tree := named("module"), named("mod_kallsyms"), named("mod_tree_root")
	l.Kallsyms = field(mod, "kallsyms")
	l.Trampolines, l.InitTrampolines = field(mod, "arch.ftrace_trampolines"), field(mod, "arch.init_ftrace_trampolines")
	l.Memory, l.Core, l.Init = field(mod, "mem"), field(mod, "core_layout"), field(mod, "init_layout")
	l.Symbols = ModSymbolsLayout{
		Size: sizeOf(syms), Symtab: field(syms, "symtab"), NumSymtab: t.find(syms, "num_symtab"),
		Strtab: field(syms, "strtab"), Typetab: field(syms, "typetab"),
	}
	if n := l.Symbols.NumSymtab; l.Symbols.Symtab == Absent || l.Symbols.Strtab == Absent || n < 0 || n > l.Symbols.Size-4 {
		l.Kallsyms = Absent
	}
	l.Tree = ModTreeLayout{AddrMin: field(tree, "addr_min"), AddrMax: field(tree, "addr_max")}
	part := named("module_memory")
	if l.Memory == Absent {
		part = named("module_layout")
	}
	l.Stride, l.Base, l.Bytes = sizeOf(part), field(part, "base"), t.find(part, "size")
	l.TextBytes = t.find(part, "text_size")
	fits := func(off, n int) bool { return off != Absent && mod != nil && off+n*l.Stride <= int(mod.Size) }
	return l.Base != Absent && l.Bytes != Absent && l.Bytes <= l.Stride-4 && l.TextBytes <= l.Stride-4 &&
		(fits(l.Memory, moduleMemories) || fits(l.Core, 1) && fits(l.Init, 1))
}

// moduleMemories is MOD_MEM_NUM_TYPES (enum mod_mem_type, include/linux/module.h).
const moduleMemories = 7

// mostCoreStruct bounds the structures of [CoreLayout].
const mostCoreStruct = 1 << 16

// check bounds what a damaged BTF may say: offsets lie within their
// structures, and sizes are those of structures.
func (l *Layout) check() error {
	const mostStruct = 1 << 16
	in := func(name string, size int, offs ...int) error {
		if size <= 0 || size > mostStruct {
			return fmt.Errorf("struct %s has %d bytes: %w", name, size, errno.ENOEXEC)
		}
		for _, o := range offs {
			if o != Absent && (o < 0 || o > size-4 || o%4 != 0) {
				return fmt.Errorf("struct %s of %d bytes has a field at %d: %w", name, size, o, errno.ENOEXEC)
			}
		}
		return nil
	}
	o, h, e, t, b := &l.Ops, &l.Hash, &l.Entry, &l.Task, &l.Bug
	for _, o := range []int{b.Line, b.Flags} { // 16 bits each
		if o != Absent && (o < 0 || o > b.Size-2 || o%2 != 0) {
			return fmt.Errorf("struct bug_entry of %d bytes has a field at %d: %w", b.Size, o, errno.ENOEXEC)
		}
	}
	return cmp.Or(
		in("bug_entry", b.Size, b.Addr, b.File),
		in("ftrace_ops", o.Size, o.Func, o.Next, o.Flags, o.Private, o.SavedFunc, o.LocalHash, o.FuncHash, o.OldHash,
			o.Trampoline, o.TrampolineSize, o.List, o.SubopList, o.OpsFunc, o.DirectCall),
		in("ftrace_hash", h.Size, h.SizeBits, h.Buckets, h.Count, h.Flags),
		in("ftrace_func_entry", e.Size, e.Next, e.Pprev, e.IP, e.Direct),
		in("task_struct", t.Size, t.Flags, t.PreemptCount, t.CPU, t.Stack, t.Pid, t.StackCanary, t.Comm, t.RetStack, t.CurrRetStack,
			t.CurrRetDepth, t.GraphPause, t.TraceOverrun, t.TraceRecursion, t.State, t.Usage, t.RCULocked),
	)
}
