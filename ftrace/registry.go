package ftrace

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/trampolines"
)

// Options configure ftrace; the zero value is Linux as it is, with
// CALL_OPS where the image's sites have literals.
type Options struct {
	// Scheme is how a traced call finds its ops. EINVAL for Sets and List where
	// sites have no literals.
	Scheme Scheme

	// SetLimit is how many sets there may be at a time, under Sets;
	// DefaultSetLimit when 0. Sites that find no room go by the list.
	SetLimit int

	// FixCallOps decides whether a site may call its last ops directly from
	// that ops, and not, as Linux does, from the one that left. Sets does so anyway.
	FixCallOps bool

	// FixRegs clears a record's REGS when the last ops that wants it leaves, also
	// by a change of its filter. Linux leaves that to the patching of the site,
	// which does not happen while ftrace is switched off, and asks an ops whose
	// filter changes by what it wanted before.
	FixRegs bool

	// FixMod leaves a filter that stands for no function as it is when the module
	// that it waits for comes and has no function for it. Linux makes it stand for
	// every function.
	FixMod bool

	// PlainOps does as Linux does for ops that belong to no trace array, which are those that no :mod:
	// filter was set for: the sites of a module that goes stay in their filters, and among direct
	// calls.
	PlainOps bool

	// ImageCode uses the trampolines, list function and ops that the image has
	// itself, instead of callops' own.
	ImageCode bool

	// Code replaces callops' own trampolines; it must be
	// for CALL_OPS exactly where the sites are.
	Code *trampolines.Code

	// Sites are the call sites of the kernel that ftrace is told of, by their IP; nil: all.
	Sites []uint64

	// Direct is the design of direct calls. Code, where it is given, has to be of the same. Under
	// Sets it is DirectOps.
	Direct trampolines.Direct

	// Memory and Grace stand in for the live machine, under a checker. Without
	// Grace, grace periods end at once: no CPU may then run on a goroutine
	// beside the one that unregisters an ops or changes a filter.
	Memory Memory
	Grace  GracePeriods

	// Printk gets each line of the kernel's log, one at a time; nil drops them.
	// It must not use the Registry.
	Printk func(line string)

	// FailAlloc is asked before each allocation that Linux makes in an operation, in
	// Linux's order; true has it fail, as the kernel's fault injection does. The kernel's
	// own allocations for ops, modules and control files are not among them. nil: none
	// fails.
	FailAlloc func(what string) bool

	// Fault builds the core with a defect. Each is one of CALL_OPS: without it,
	// EINVAL.
	Fault Fault
}

// Registry is the ftrace of one kernel: its records, its registered ops and
// the code they are called by.
type Registry struct {
	k          *kernel.Kernel
	layout     *kernelimage.Layout
	code       *trampolines.Code
	prof       profile
	callOps    bool
	scheme     Scheme
	sets       *siteSets // nil but under Sets
	fixCallOps bool
	fixRegs    bool
	fixMod     bool
	plainOps   bool
	grace      GracePeriods
	readers    *oneTask // grace, where it is our own
	emptyHash  *hash    // EMPTY_HASH

	unsubscribe func() // from the kernel's events
	fault       Fault
	failAlloc   func(what string) bool

	consoleMu sync.Mutex // innermost: guards what follows
	console   func(string)

	// all holds every live *Ops by address. It is not under mu: a Go tracer is
	// told its ops while an operation that holds mu waits for the tracer.
	all sync.Map

	// disabled is ftrace_disabled: dead. It is not under mu: what a traced call
	// runs into can be the end of ftrace while an operation that holds mu waits
	// for that call.
	disabled atomic.Bool

	mu        sync.Mutex // ftrace_lock: guards what follows
	mem       kmem
	groups    []*group          // ftrace_pages_start: the kernel's records, then each module's
	list      []*Ops            // ftrace_ops_list, newest first
	direct    *hash             // direct_functions
	directOps *Ops              // DirectOps; nil before its first use
	minis     map[uint64]uint64 // the mini-ops of addresses, with trampolines.DirectMini
	unused    []uint64          // what a grace period that could not end was to free
	tmpOps    *Ops              // tmp_ops of modify_ftrace_direct; nil before its first use
	removed   *Ops              // removed_ops: whose sites are being patched after it left
	enabled   int               // ftrace_enabled; see on
	startUp   int               // ftrace_start_up
	bug       *BugError         // what killed it
	graph     graph             // fgraph

	traceFunc  uint64 // ftrace_trace_function: what the shared trampoline should call; see wantedFunc
	setTraceOp uint64 // set_function_trace_op: and with which ops
	savedFunc  uint64 // saved_ftrace_func: the selection last acted upon
	calledFunc uint64 // what the trampoline calls

	logged map[string]bool // the functions that have logged what they log once
}

// New builds ftrace on a booted kernel: it places the trampolines and prepares
// every call site (MOV X9, X30 and, with CALL_OPS, the literal), those of the
// modules that are loaded too. Sites of modules that are loaded or unloaded later,
// and of init text that is freed, follow by themselves. EINVAL where the
// trampolines are out of a site's reach, or its words are not what a compiler
// puts there; a *BugError then names the site. EBUSY where the kernel has an ftrace
// already, which stays as it is.
func New(k *kernel.Kernel, opts *Options) (*Registry, error) {
	if k == nil {
		return nil, fmt.Errorf("ftrace: no kernel: %w", errno.EINVAL)
	}
	if opts == nil {
		opts = &Options{}
	}
	prof, ok := profiles[k.Image.Profile()]
	if !ok {
		return nil, fmt.Errorf("ftrace: profile %q is unknown: %w", k.Image.Profile(), errno.EINVAL)
	}
	r := &Registry{
		k: k, layout: k.Layout, prof: prof,
		callOps:    k.Image.CallOps() && prof.callOps && opts.Scheme != Global,
		scheme:     opts.Scheme,
		fixCallOps: opts.FixCallOps || opts.Scheme == Sets,
		fixRegs:    opts.FixRegs,
		fixMod:     opts.FixMod,
		plainOps:   opts.PlainOps,
		code:       opts.Code,
		grace:      opts.Grace,
		console:    opts.Printk,
		fault:      opts.Fault,
		failAlloc:  opts.FailAlloc,
		mem:        kmem{Memory: opts.Memory},
		enabled:    1,
		logged:     make(map[string]bool),
		minis:      make(map[uint64]uint64),
	}
	if r.mem.Memory == nil {
		r.mem.Memory = LiveMemory(k)
	}
	if r.grace == nil {
		r.readers = &oneTask{}
		r.grace = r.readers
	}
	if err := errors.Join(r.fault.check(r.callOps), r.scheme.check(r.callOps)); err != nil {
		return nil, fmt.Errorf("ftrace: %w", err)
	}
	if r.scheme == Sets {
		r.sets = newSiteSets(opts.SetLimit)
	}
	core := newGroup(nil, chosen(k.Sites(), opts.Sites))
	if err := r.checkUnused(core); err != nil {
		return nil, fmt.Errorf("ftrace: %w", err)
	}
	if r.code == nil {
		install := trampolines.Install
		if opts.ImageCode {
			install = trampolines.FromImage
		}
		code, err := install(k, &trampolines.Options{CallOps: r.callOps, Direct: opts.Direct, Warn: r.noFunc})
		if err != nil {
			return nil, fmt.Errorf("ftrace: %w", err)
		}
		r.code = code
	}
	if callOps := r.code.CallSlot == 0; callOps != r.callOps {
		return nil, fmt.Errorf("ftrace: sites with CALL_OPS %v, trampolines with CALL_OPS %v: %w", r.callOps, callOps, errno.EINVAL)
	}
	if r.code.Direct != opts.Direct {
		return nil, fmt.Errorf("ftrace: direct calls %s, trampolines with direct calls %s: %w", opts.Direct, r.code.Direct, errno.EINVAL)
	}
	if r.scheme == Sets && opts.Direct != trampolines.DirectOps {
		return nil, fmt.Errorf("ftrace: sets of ops, and direct calls %s: %w", opts.Direct, errno.EINVAL)
	}
	r.layout = r.code.Layout
	r.emptyHash = newHash(0)
	r.emptyHash.addr = r.code.EmptyHash
	r.traceFunc, r.savedFunc, r.calledFunc = r.code.Stub, r.code.Stub, r.code.Stub
	r.setTraceOp = r.code.ListEnd
	r.groups = []*group{core}
	if err := r.checkReach(core); err != nil {
		return nil, fmt.Errorf("ftrace: %w", err)
	}
	if err := r.initSites(core); err != nil {
		return nil, fmt.Errorf("ftrace: %w", err)
	}
	for _, m := range k.Modules() {
		if err := r.moduleComing(m); err != nil {
			return nil, fmt.Errorf("ftrace: %w", err)
		}
	}
	r.unsubscribe = k.Subscribe(r.notified)
	return r, nil
}

// chosen returns the sites whose IP is among ips; all where that is nil.
func chosen(sites []kernelimage.Site, ips []uint64) []kernelimage.Site {
	if ips == nil {
		return sites
	}
	wanted := make(map[uint64]bool, len(ips))
	for _, ip := range ips {
		wanted[ip] = true
	}
	return slices.DeleteFunc(slices.Clone(sites), func(s kernelimage.Site) bool { return !wanted[s.IP] })
}

// noFunc is what the list function finds when an ops lost its func. It takes no
// lock that an operation keeps.
func (r *Registry) noFunc(op uint64) {
	r.warn("op=%#x %s has no func", op, r.sym(op))
}

// CallOps reports whether sites call through their own ops.
func (r *Registry) CallOps() bool { return r.callOps }

// Code is what ftrace consists of in the kernel's memory.
func (r *Registry) Code() *trampolines.Code { return r.code }

// Records returns a copy of the records: the kernel's in ip order, then each
// module's.
func (r *Registry) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Record
	for _, g := range r.groups {
		all = append(all, g.records...)
	}
	return all
}

// Count is the number of ops that a record's site has.
func (r *Registry) Count(rec Record) int { return r.prof.count(rec.Flags) }

// Registered returns the listed ops, newest first.
func (r *Registry) Registered() []*Ops {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// Location is ftrace_location: the call site at ip, or of the function that
// begins at ip; 0 where there is none.
func (r *Registry) Location(ip uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.location(ip)
}

func (r *Registry) location(ip uint64) uint64 {
	if rec := r.firstRecord(ip, ip); rec != nil {
		return rec.IP
	}
	sym, off, ok := r.k.Symbols.At(ip)
	if !ok || off != 0 || sym.Size == 0 {
		return 0
	}
	if rec := r.firstRecord(ip, ip+sym.Size-1); rec != nil {
		return rec.IP
	}
	return 0
}

// firstRecord is lookup_rec: a record covers its whole word.
func (r *Registry) firstRecord(start, end uint64) *Record {
	for _, g := range r.groups {
		i := sort.Search(len(g.records), func(i int) bool { return g.records[i].IP+insnSize > start })
		if i < len(g.records) && g.records[i].IP <= end {
			return &g.records[i]
		}
	}
	return nil
}

// opsAt returns the live ops that lies at addr, or nil.
func (r *Registry) opsAt(addr uint64) *Ops {
	o, ok := r.all.Load(addr)
	if !ok {
		return nil
	}
	return o.(*Ops)
}

// Close unregisters every ops, and unsubscribes from module events. The kernel stays
// with the trampolines in it.
func (r *Registry) Close() error {
	var errs []error
	for _, o := range r.Registered() {
		errs = append(errs, r.Unregister(o))
	}
	r.unsubscribe()
	return errors.Join(errs...)
}

// sym formats an address as the kernel's %pS.
func (r *Registry) sym(addr uint64) string { return r.k.Symbols.Format(addr) }

// symName is sym for disassembly: nothing where the address has no symbol.
func (r *Registry) symName(addr uint64) string {
	if _, _, ok := r.k.Symbols.At(addr); !ok {
		return ""
	}
	return r.sym(addr)
}
