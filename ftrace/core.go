package ftrace

import (
	"io"

	"callops/emu"
	"callops/kernelimage"
	"callops/trampolines"
)

// Core is what decides in ftrace: which ops are on which sites, and how sites are
// patched. [Registry] is callops' own; package guestcore runs the kernel's. The methods
// do what the Registry's methods of the same names do.
type Core interface {
	CallOps() bool
	Code() *trampolines.Code

	Records() []Record
	Count(rec Record) int
	Registered() []*Ops
	Location(ip uint64) uint64
	Match(pat string) ([]Record, error)

	NewOps(name string, fn uint64, opts *OpsOptions) (*Ops, error)
	NewDirectOps(name string) (*Ops, error)
	FreeFilter(o *Ops) error
	FreeOps(o *Ops) error
	GoTracer(name string, fn TracerFunc) (uint64, error)

	SetFilter(o *Ops, pat string, opts *FilterOptions) error
	SetNotrace(o *Ops, pat string, opts *FilterOptions) error
	SetFilterIP(o *Ops, ip uint64, opts *FilterOptions) error
	SetFilterIPs(o *Ops, ips []uint64, opts *FilterOptions) error
	Matches(o *Ops, ip uint64) bool
	Waiting(o *Ops, notrace bool) []string

	Register(o *Ops) error
	Unregister(o *Ops) error
	RegisterDirect(o *Ops, addr uint64) error
	UnregisterDirect(o *Ops, addr uint64) error
	ModifyDirect(o *Ops, addr uint64) error
	Direct(ip uint64) uint64

	Enabled() (int, error)
	SetEnabled(v int) error
	Dead() bool
	Kill()

	WriteAvailable(w io.Writer, addrs bool) error
	WriteEnabled(w io.Writer) error
	WriteTouched(w io.Writer) error

	Variables() map[string]uint64
	Validate() error
	Close() error
}

var _ Core = (*Registry)(nil)

// guestOps is an ops that only emulated memory knows.
type guestOps struct {
	mem    *emu.Memory
	layout *kernelimage.OpsLayout
}

// GuestOps is the struct ftrace_ops at addr, which a kernel's own core keeps: its func
// and flags are what is in memory, and 0 where nothing is.
func GuestOps(name string, addr uint64, mem *emu.Memory, layout *kernelimage.OpsLayout) *Ops {
	return &Ops{Name: name, addr: addr, guest: &guestOps{mem, layout}}
}

func (g *guestOps) load(addr uint64) uint64 {
	v, err := g.mem.Load64(addr)
	if err != nil {
		return 0
	}
	return v
}

// CountOf is the number of ops that a record's site has, by the profile of its kernel.
func CountOf(p kernelimage.Profile, f RecFlags) int { return profiles[p].count(f) }
