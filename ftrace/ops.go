package ftrace

import (
	"errors"
	"fmt"
	"sync/atomic"

	"callops/internal/errno"
	"callops/kernelimage"
)

// hashes is struct ftrace_ops_hash.
type hashes struct{ notrace, filter *hash }

// match is hash_contains_ip.
func (h *hashes) match(ip uint64) bool {
	return (h.filter.empty() || h.filter.has(ip)) && !h.notrace.has(ip)
}

// ShareCommand is the argument of ops_func when an IPMODIFY ops and a DIRECT ops
// meet at a site (enum ftrace_ops_cmd).
type ShareCommand uint8

// Commands of Ops.Share.
const (
	EnableShareSelf  ShareCommand = iota // this DIRECT ops joins a site with an IPMODIFY ops
	EnableSharePeer                      // an IPMODIFY ops joins a site of this DIRECT ops
	DisableSharePeer                     // and leaves it
)

// Ops is struct ftrace_ops: a tracer and the sites it wants. It exists in
// emulated memory; the fields here mirror what was written there.
type Ops struct {
	Name string

	// Share decides whether a DIRECT ops can share its sites with an IPMODIFY
	// ops (ops_func). nil refuses. It must not use the Registry, which is locked.
	Share func(op *Ops, cmd ShareCommand) error

	addr       uint64
	fn         atomic.Uint64 // atomic, as is flags, for readers without the lock
	flags      atomic.Uint64
	savedFunc  uint64
	hash       hashes // local_hash
	oldHash    hashes
	waiting    [2][]modFilter // by filterKind, the oldest first (mod_trace, mod_notrace)
	trampoline uint64
	directCall uint64
	core       bool // lies in the kernel's own data: not DYNAMIC
	freed      bool
	commands   bool // its filters were given commands: in Linux it belongs to a trace array

	guest *guestOps // nil: a Registry keeps it
}

// Addr is the address of the struct.
func (o *Ops) Addr() uint64 { return o.addr }

// Func is the tracer's address.
func (o *Ops) Func() uint64 {
	if o.guest != nil {
		return o.guest.load(o.addr + uint64(o.guest.layout.Func))
	}
	return o.fn.Load()
}

// Flags are the ops' current flags.
func (o *Ops) Flags() OpsFlag {
	if o.guest != nil {
		return OpsFlag(o.guest.load(o.addr + uint64(o.guest.layout.Flags)))
	}
	return OpsFlag(o.flags.Load())
}

func (o *Ops) String() string { return o.Name }

// OpsOptions select the kind of ops that NewOps makes; nil is one without flags.
type OpsOptions struct {
	Flags OpsFlag // those of the caller's group
	Extra int     // bytes after the struct, zeroed, for the tracer's own use

	// Static places the ops in the kernel's own data, like global_ops: it
	// never becomes DYNAMIC and can't be freed. Unregister therefore does not
	// wait: when it returns, a CPU may still be about to call the ops' func,
	// or be in it.
	Static bool
}

// NewOps makes an ops: zeroed, with fn as its tracer (an address in the kernel,
// or what GoTracer gave). EINVAL for a func of 0, flags that are the core's own
// and a negative Extra, ENOMEM where the heap has no room.
func (r *Registry) NewOps(name string, fn uint64, opts *OpsOptions) (*Ops, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if opts == nil {
		opts = &OpsOptions{}
	}
	if err := opts.Check(name, fn); err != nil {
		return nil, err
	}
	return r.newOps(name, fn, opts)
}

// Check refuses what NewOps of any core refuses: EINVAL.
func (opts *OpsOptions) Check(name string, fn uint64) error {
	switch bad := opts.Flags &^ opsCallerFlags; {
	case fn == 0:
		return fmt.Errorf("ops %s: func is 0: %w", name, errno.EINVAL)
	case bad != 0:
		return fmt.Errorf("ops %s: flags %#x are not the caller's to set: %w", name, uint64(bad), errno.EINVAL)
	case opts.Extra < 0:
		return fmt.Errorf("ops %s: %d bytes after it: %w", name, opts.Extra, errno.EINVAL)
	}
	return nil
}

func (r *Registry) newOps(name string, fn uint64, opts *OpsOptions) (*Ops, error) {
	what := "ops " + name
	if opts.Static {
		what = name
	}
	addr, err := r.mem.Alloc(what, uint64(r.layout.Ops.Size)+uint64(opts.Extra))
	if err != nil {
		return nil, err
	}
	o := &Ops{Name: name, addr: addr, core: opts.Static}
	r.setFunc(o, fn)
	r.setFlags(o, opts.Flags)
	if err := r.mem.take(); err != nil {
		return nil, errors.Join(err, r.mem.Free(addr))
	}
	r.all.Store(addr, o)
	return o, nil
}

// FreeOps frees the ops' memory (kfree). Like kfree it does not check
// whether it is still in use: any use afterwards faults on poison. Freeing
// twice is EINVAL.
func (r *Registry) FreeOps(o *Ops) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.usable(o); err != nil {
		return err
	}
	if o.core {
		return fmt.Errorf("free of %s, which is the kernel's own: %w", o.Name, errno.EINVAL)
	}
	if err := r.mem.Free(o.addr); err != nil {
		return err
	}
	o.freed = true
	r.all.Delete(o.addr)
	return nil
}

// usable refuses an ops that is nil, freed or another registry's.
func (r *Registry) usable(o *Ops) error {
	switch {
	case o == nil:
		return fmt.Errorf("no ops: %w", errno.EINVAL)
	case o.freed:
		return fmt.Errorf("ops %s was freed: %w", o.Name, errno.EINVAL)
	case r.opsAt(o.addr) != o:
		return fmt.Errorf("ops %s belongs to another registry: %w", o.Name, errno.EINVAL)
	}
	return nil
}

func (o *Ops) is(f OpsFlag) bool { return o.Flags()&f != 0 }

func (r *Registry) setFlags(o *Ops, f OpsFlag) {
	o.flags.Store(uint64(f))
	r.mem.set64(o.addr+uint64(r.layout.Ops.Flags), uint64(f))
}

func (r *Registry) addFlags(o *Ops, f OpsFlag)  { r.setFlags(o, o.Flags()|f) }
func (r *Registry) dropFlags(o *Ops, f OpsFlag) { r.setFlags(o, o.Flags()&^f) }

func (r *Registry) setFunc(o *Ops, fn uint64) {
	o.fn.Store(fn)
	r.mem.set64(o.addr+uint64(r.layout.Ops.Func), fn)
}

func (r *Registry) setSavedFunc(o *Ops, fn uint64) {
	o.savedFunc = fn
	r.mem.set64(o.addr+uint64(r.layout.Ops.SavedFunc), fn)
}

func (r *Registry) setTrampoline(o *Ops, addr uint64) {
	o.trampoline = addr
	r.mem.set64(o.addr+uint64(r.layout.Ops.Trampoline), addr)
}

func (r *Registry) setDirectCall(o *Ops, addr uint64) {
	o.directCall = addr
	r.mem.set64(o.addr+uint64(r.layout.Ops.DirectCall), addr)
}

func (r *Registry) setOldHash(o *Ops, h hashes) {
	o.oldHash = h
	at := o.addr + uint64(r.layout.Ops.OldHash)
	r.mem.set64(at+uint64(r.layout.OpsHash.Filter), r.hashAddr(h.filter))
	r.mem.set64(at+uint64(r.layout.OpsHash.Notrace), r.hashAddr(h.notrace))
}

// hashSlot is the address of the ops' pointer to its filter or notrace hash.
func (r *Registry) hashSlot(o *Ops, kind filterKind) uint64 {
	at := o.addr + uint64(r.layout.Ops.LocalHash)
	if kind == notraceHash {
		return at + uint64(r.layout.OpsHash.Notrace)
	}
	return at + uint64(r.layout.OpsHash.Filter)
}

// hashAddr is what a pointer to h holds.
func (r *Registry) hashAddr(h *hash) uint64 {
	if h == nil {
		return 0
	}
	return h.addr
}

// initOps is ftrace_ops_init.
func (r *Registry) initOps(o *Ops) {
	if o.is(OpsInitialized) {
		return
	}
	l := &r.layout.Ops
	if l.SubopList != kernelimage.Absent {
		// INIT_LIST_HEAD: an empty list points to itself.
		r.mem.set64(o.addr+uint64(l.SubopList), o.addr+uint64(l.SubopList))
		r.mem.set64(o.addr+uint64(l.SubopList)+8, o.addr+uint64(l.SubopList))
	}
	r.mem.set64(o.addr+uint64(l.FuncHash), o.addr+uint64(l.LocalHash))
	flags := o.Flags() | OpsInitialized
	o.flags.Store(uint64(flags))
	r.mem.publish(o.addr+uint64(l.Flags), uint64(flags))
}
