package kernelimage

// Absent is the offset of a field that the kernel's structure does not have.
const Absent = -1

// Layout holds the offset of every kernel structure's field that callops
// reads, writes or bakes into machine code, in bytes. Nothing else knows one.
type Layout struct {
	Ops     OpsLayout
	OpsHash OpsHashLayout
	Hash    HashLayout
	Entry   EntryLayout
	Regs    RegsLayout
	Task    TaskLayout
	PerCPU  PerCPULayout
	Bug     BugLayout
	Core    CoreLayout
	Slab    SlabLayout
	SRCU    SRCULayout
}

// OpsLayout is struct ftrace_ops (include/linux/ftrace.h).
type OpsLayout struct {
	Size                                 int
	Func, Next, Flags, Private           int
	SavedFunc, LocalHash, FuncHash       int
	OldHash, Trampoline, TrampolineSize  int
	List, SubopList, OpsFunc, DirectCall int
}

// OpsHashLayout is struct ftrace_ops_hash.
type OpsHashLayout struct{ Notrace, Filter int }

// HashLayout is struct ftrace_hash (kernel/trace/trace.h).
type HashLayout struct{ Size, SizeBits, Buckets, Count, Flags int }

// EntryLayout is struct ftrace_func_entry (include/linux/ftrace.h).
type EntryLayout struct{ Size, Next, Pprev, IP, Direct int }

// RegsLayout is arm64's struct ftrace_regs (arch/arm64/include/asm/ftrace.h):
// x0..x8 from X0 on, then the rest.
type RegsLayout struct{ Size, X0, DirectTramp, FP, LR, SP, PC int }

// TaskLayout is struct task_struct with thread_info at its start.
type TaskLayout struct {
	Size                          int
	Flags, PreemptCount, CPU      int // thread_info; PreemptCount is 64 bits: count, then !need_resched
	Stack, Pid, StackCanary, Comm int
	RetStack, CurrRetStack        int
	CurrRetDepth, GraphPause      int // of fgraph, as are the two above; tracing_graph_pause
	TraceOverrun                  int // calls that found the return stack full
	TraceRecursion                int
	State, Usage                  int // __state, which schedule goes by; the count of references
	RCULocked                     int // rcu_read_lock_nesting, of a preemptible kernel
}

// PerCPULayout gives offsets from the per-CPU base (tpidr_el1).
type PerCPULayout struct {
	// Start is where the section of per-CPU variables was linked, and 0 in the
	// built-in kernel. A variable's offset is its symbol's address, so
	// tpidr_el1 is a CPU's area less Start.
	Start        uint64
	Size         int
	ContextState int // context_tracking.state, or one of callops: RCU is watching while its bits from 2 up are not 0
	RingBuffer   int // callops' own function tracer: address of this CPU's ring (built-in kernel)
}

// BugLayout is struct bug_entry (include/asm-generic/bug.h). Addr and File hold
// distances from themselves, in 32 bits. File and Line are absent without
// CONFIG_DEBUG_BUGVERBOSE.
type BugLayout struct{ Size, Addr, File, Line, Flags int }

// SRCULayout is struct srcu_struct and its per-CPU struct srcu_data (include/linux/srcutree.h). Nothing of
// it is known where SDA is Absent or all are 0.
type SRCULayout struct {
	SDA    int    // the per-CPU pointer
	Lock   [2]int // counters of readers that came, by index
	Unlock [2]int // and that left
}

// CoreLayout is what the kernel's own ftrace core keeps, and what its control files
// are read through. Only BTF tells it: the zero value is one that is not known.
type CoreLayout struct {
	Page    PageLayout
	Rec     RecLayout
	Mod     ModLayout
	File    FileLayout
	Kiocb   KiocbLayout
	Array   TraceArrayLayout
	ModLoad ModLoadLayout
	Parser  ParserLayout
	IovIter int // size of struct iov_iter
	Inode   int // size of struct inode
	Ctl     CtlLayout
}

// PageLayout is struct ftrace_page (kernel/trace/ftrace.c).
type PageLayout struct{ Next, Records, Index int }

// RecLayout is struct dyn_ftrace (include/linux/ftrace.h).
type RecLayout struct{ Size, IP, Flags int }

// ModLayout is struct module (include/linux/module.h).
type ModLayout struct {
	Size, State, List, Name, Callsites, NumCallsites int

	Kallsyms                     int // absent without CONFIG_KALLSYMS
	Trampolines, InitTrampolines int // arch.ftrace_trampolines, arch.init_ftrace_trampolines, or absent

	// Of its memory: from 6.4 on Memory is an array of struct module_memory, before that
	// Core and Init are struct module_layout. Stride is the structure's size; Base, Bytes and
	// TextBytes are its fields base, size and, before 6.4, text_size.
	Memory, Core, Init             int
	Stride, Base, Bytes, TextBytes int

	Symbols ModSymbolsLayout
	Tree    ModTreeLayout
}

// TraceArrayLayout is struct trace_array (kernel/trace/trace.h).
type TraceArrayLayout struct{ Size, List, Ops, ModTrace, ModNotrace int }

// ParserLayout is struct trace_parser (kernel/trace/trace.h).
type ParserLayout struct {
	Size, Cont, Buffer, Idx, Room int
	Fail                          int // absent in some
}

// ModLoadLayout is struct ftrace_mod_load (kernel/trace/ftrace.c): what a filter is to get of a
// module.
type ModLoadLayout struct{ Size, List, Func, Module int }

// ModSymbolsLayout is struct mod_kallsyms.
type ModSymbolsLayout struct{ Size, Symtab, NumSymtab, Strtab, Typetab int }

// ModTreeLayout is struct mod_tree_root (kernel/module/internal.h); absent without
// CONFIG_MODULES_TREE_LOOKUP.
type ModTreeLayout struct{ AddrMin, AddrMax int }

// FileLayout is struct file (include/linux/fs.h), with flags that say whether it was opened
// for reading.
type FileLayout struct{ Size, Mode, Flags, PrivateData int }

// KiocbLayout is struct kiocb (include/linux/fs.h).
type KiocbLayout struct{ Size, Filp, Pos int }

// CtlLayout is struct ctl_table (include/linux/sysctl.h).
type CtlLayout struct{ Size, Data, MaxLen, Mode int }

// SlabLayout is what allocators take and keep. Nothing of it is known where
// Cache.Size is 0: the image is no kernel's, or has no BTF.
type SlabLayout struct {
	Cache CacheLayout
	Args  CacheArgsLayout
	Flags AllocFlags
	Sizes ObjectSizes
	Page  StructPageLayout

	OldFlags bool // SLAB_* as they were before they became the bits of an enum, in 6.9
}

// CacheLayout is struct kmem_cache (mm/slab.h).
type CacheLayout struct{ Size, Flags, ObjSize, ObjectSize, Inuse, Align, RefCount, Ctor, Name int }

// CacheArgsLayout is struct kmem_cache_args (include/linux/slab.h), absent before 6.12.
type CacheArgsLayout struct{ Align, Ctor int }

// StructPageLayout is struct page (include/linux/mm_types.h).
type StructPageLayout struct{ Size, RefCount, MapCount int }

// AllocFlags are the registers that hold the gfp_t of functions which take more or
// less in front of it, by version and configuration (CONFIG_SLAB_BUCKETS); Absent
// where the kernel has no such function.
type AllocFlags struct{ KmallocNode, KmallocNodeTrack, KvmallocNode, Kvrealloc int }

// ObjectSizes are the sizes of the structures that caches made at boot hold, in
// bytes; 0 where the kernel does not have one.
type ObjectSizes struct {
	XANode, MapleNode               int
	EventField, EventFile           int
	Task, Files, FS, Cred, VMA, Pid int
}

// layout612 is Linux 6.12 arm64 with CALL_OPS, DIRECT_CALLS and no lock
// debugging, as Debian's cloud flavour has it (read from its BTF).
var layout612 = Layout{
	Ops: OpsLayout{
		Size: 216, Func: 0, Next: 8, Flags: 16, Private: 24, SavedFunc: 32, LocalHash: 40, FuncHash: 88,
		OldHash: 96, Trampoline: 144, TrampolineSize: 152, List: 160, SubopList: 176, OpsFunc: 192, DirectCall: 208,
	},
	OpsHash: OpsHashLayout{Notrace: 0, Filter: 8},
	Hash:    HashLayout{Size: 48, SizeBits: 0, Buckets: 8, Count: 16, Flags: 24},
	Entry:   EntryLayout{Size: 32, Next: 0, Pprev: 8, IP: 16, Direct: 24},
	Regs:    RegsLayout{Size: 112, X0: 0, DirectTramp: 72, FP: 80, LR: 88, SP: 96, PC: 104},
	Task: TaskLayout{
		Size: 4736, Flags: 0, PreemptCount: 8, CPU: 16, Stack: 32, Pid: 1376, StackCanary: 1384, Comm: 1920,
		RetStack: 2808, CurrRetStack: 2800, CurrRetDepth: 2804, GraphPause: 2828, TraceOverrun: 2824, TraceRecursion: 2832,
		State: Absent, Usage: Absent, RCULocked: Absent,
	},
	PerCPU: PerCPULayout{Size: 4096, ContextState: 8, RingBuffer: 32},
	Bug:    BugLayout{Size: 12, Addr: 0, File: 4, Line: 8, Flags: 10},
}

// layoutBefore612 is struct ftrace_ops as it was when CALL_OPS was posted, and
// before: no subops, no direct_call.
var layoutBefore612 = func() Layout {
	l := layout612
	l.Ops.Size, l.Ops.OpsFunc, l.Ops.SubopList, l.Ops.DirectCall = 184, 176, Absent, Absent
	return l
}()

// Profile names the kernel whose ftrace an image follows.
type Profile string

// The profiles that callops knows.
const (
	Profile73  Profile = "7.3"
	Profile612 Profile = "6.12" // the default
	ProfileV3  Profile = "v3"   // CALL_OPS as posted in January 2023
	Profile61  Profile = "6.1"  // before it
)

// layouts are the built-in kernel's, by profile.
var layouts = map[Profile]*Layout{
	Profile73:  &layout612,
	Profile612: &layout612,
	ProfileV3:  &layoutBefore612,
	Profile61:  &layoutBefore612,
}
