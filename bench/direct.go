package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"callops/asm"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
	"callops/machine"
	"callops/trampolines"
)

// DirectConfig describes a comparison of the designs of direct calls; Designs and Engine have to
// be set.
type DirectConfig struct {
	Image   *kernelimage.Image // nil: the built-in kernel, and for changes one made up of many sites
	Engine  Engine
	Designs []DirectDesign

	Tracers []int // ops beside the direct call; nil: 0, 1, 2, 10
	Sites   []int // how many sites changes are made to; nil: 1, 1000, 40000
	Calls   int   // a row, 0: 10

	// Progress is called with the number of designs done.
	Progress func(done, total int)
}

// DirectDesign is one to measure.
type DirectDesign struct {
	trampolines.Direct

	// NoLiterals is a kernel that has no literals in front of its functions, as with kCFI.
	NoLiterals bool

	// Own is the image's own ftrace_caller and list function; Direct is DirectOps then.
	Own bool
}

func (d DirectDesign) String() string {
	switch {
	case d.Own:
		return "Linux's own"
	case d.NoLiterals:
		return d.Direct.String() + ", no literals"
	}
	return d.Direct.String()
}

// DirectDesigns are all that run on an image, nil for the built-in kernel.
func DirectDesigns(img *kernelimage.Image) []DirectDesign {
	var all []DirectDesign
	if img != nil && img.IsLinux() && hasCallOps(img) {
		all = append(all, DirectDesign{Own: true})
	}
	for _, d := range trampolines.Directs() {
		if img == nil || hasCallOps(img) {
			all = append(all, DirectDesign{Direct: d})
		}
	}
	return append(all, DirectDesign{Direct: trampolines.DirectHash, NoLiterals: true})
}

// DirectResult is what RunDirect measured. Its JSON form is stable.
type DirectResult struct {
	Kernel  string         `json:"kernel"` // "" is the built-in one
	Calls   []DirectRow    `json:"calls"`
	Among   []DirectAmong  `json:"among"`
	Changes []DirectChange `json:"changes"`
}

// DirectRow is the price of a call of a function that has a direct call, in instructions over
// one that has not. The direct call's code returns to the function: BTI C, two moves and RET.
type DirectRow struct {
	Design  string `json:"design"`
	InRange bool   `json:"in_range"` // of the site's BL
	Tracers int    `json:"tracers"`  // ops_func_nop, beside it

	Overhead   int `json:"overhead"`
	Trampoline int `json:"trampoline"` // of these ftrace_caller's
}

// DirectAmong is the price of a call out of range, in instructions, where so many sites have a
// direct call: the mean over 64 of them.
type DirectAmong struct {
	Design   string  `json:"design"`
	Sites    int     `json:"sites"`
	Overhead float64 `json:"overhead"`
}

var (
	directTracers = []int{0, 1, 2, 10}
	directSites   = []int{1, 1000, 40000}
)

const directCalls = 10

// RunDirect compares designs of direct calls.
func RunDirect(ctx context.Context, cfg *DirectConfig) (*DirectResult, error) {
	c := *cfg
	if c.Tracers == nil {
		c.Tracers = directTracers
	}
	if c.Sites == nil {
		c.Sites = directSites
	}
	if c.Calls == 0 {
		c.Calls = directCalls
	}
	if len(c.Designs) == 0 || c.Engine.New == nil {
		return nil, fmt.Errorf("bench: no design of direct calls, or no engine to measure with: %w", errno.EINVAL)
	}
	res := &DirectResult{}
	if c.Image != nil {
		res.Kernel = c.Image.Name()
	}
	for i, d := range c.Designs {
		rows, err := c.calls(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("bench: direct calls, %s: %w", d, err)
		}
		for _, n := range c.Sites {
			if d.Own || d.Direct == trampolines.DirectJump {
				break // its sites are the image's, or each needs code of its own
			}
			among, err := c.among(ctx, d, n)
			if err != nil {
				return nil, fmt.Errorf("bench: direct calls, %s, %d sites: %w", d, n, err)
			}
			res.Among = append(res.Among, among)
		}
		changes, err := c.changes(ctx, d)
		if err != nil {
			return nil, fmt.Errorf("bench: changes of direct calls, %s: %w", d, err)
		}
		res.Calls, res.Changes = append(res.Calls, rows...), append(res.Changes, changes...)
		if c.Progress != nil {
			c.Progress(i+1, len(c.Designs))
		}
	}
	return res, nil
}

// scheme is what the design's kernel has.
func (d *DirectDesign) scheme() ftrace.Scheme {
	if d.NoLiterals {
		return ftrace.Global
	}
	return ftrace.CallOps
}

// calls measures the calls of one design.
func (c *DirectConfig) calls(ctx context.Context, d DirectDesign) (rows []DirectRow, err error) {
	cfg, err := (&Config{
		Image: c.Image, Engines: []Engine{c.Engine}, Schemes: []ftrace.Scheme{d.scheme()}, Calls: c.Calls, Direct: d.Direct, ImageTrampolines: d.Own,
	}).withDefaults()
	if err != nil {
		return nil, err
	}
	r, err := newRig(ctx, cfg, c.Engine, d.scheme())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	base, err := r.run(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, inRange := range []bool{true, false} {
		target, err := placeDirect(r.k, inRange, d.Direct, r.tracee.IP+4)
		if err != nil {
			return nil, err
		}
		for _, tracers := range c.Tracers {
			m, err := r.direct(ctx, d, target, tracers)
			if err != nil {
				return nil, err
			}
			rows = append(rows, DirectRow{
				Design: d.String(), InRange: inRange, Tracers: tracers,
				Overhead: int(m.insns-base.insns) / c.Calls, Trampoline: m.trampoline,
			})
		}
	}
	return rows, nil
}

// direct measures calls with a direct call and tracers on the tracee.
func (r *rig) direct(ctx context.Context, d DirectDesign, target uint64, tracers int) (m measured, err error) {
	calls := []ftrace.DirectCall{{IP: r.tracee.IP, Addr: target}}
	attached, err := attachDirect(r.ftrace.(*ftrace.Registry), d.Direct, calls)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, attached.detach()) }()
	ops, err := r.register(ctx, "beside", r.tracee, tracers, r.tracer)
	defer func() { err = errors.Join(err, r.release(ops)) }()
	if err != nil {
		return m, err
	}
	return r.run(ctx, nil)
}

// placeDirect places code for a direct call that does nothing, as ftrace_stub_direct_tramp. Where
// the site jumps, it goes on at resume.
func placeDirect(k *kernel.Kernel, inRange bool, design trampolines.Direct, resume uint64) (uint64, error) {
	name := "direct_out_of_range"
	if inRange {
		name = "direct_in_range"
	}
	p, err := k.PlaceCode(loopModule, kernel.CodeOptions{Far: !inRange}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func(name)
		b.Emit(asm.Bti(asm.BTIC))
		switch {
		case design != trampolines.DirectJump:
			b.Emit(
				asm.Mov(asm.X10, asm.LR),
				asm.Mov(asm.LR, asm.X9),
				asm.RetReg(asm.X10),
			)
		case inRange:
			b.Emit(asm.B(b.Abs("resume", resume)))
		default:
			b.Emit(asm.MovImm(asm.X10, resume)...)
			b.Emit(asm.RetReg(asm.X10)) // BR would need BTI J there
		}
		b.EndFunc()
		return b.Assemble(base)
	})
	if err != nil {
		return 0, err
	}
	addr, _ := p.Addr(name)
	return addr, nil
}

// attached are sites with direct calls.
type attached struct {
	r      *ftrace.Registry
	design trampolines.Direct
	ops    []directOps
}

// directOps is an ops and what its sites call. With DirectOps that is one address.
type directOps struct {
	*ftrace.Ops
	calls []ftrace.DirectCall
}

// attachDirect has sites call their addresses: by one ops, or with DirectOps by one for each
// address.
func attachDirect(r *ftrace.Registry, design trampolines.Direct, calls []ftrace.DirectCall) (*attached, error) {
	a := &attached{r: r, design: design}
	if design.OneOps() {
		o, err := r.DirectOps()
		if err != nil {
			return nil, err
		}
		a.ops = []directOps{{o, calls}}
		return a, r.UpdateDirectAdd(o, calls)
	}
	for _, c := range byAddress(calls) {
		o, err := r.NewDirectOps(fmt.Sprintf("direct%d", len(a.ops)))
		if err != nil {
			return nil, err
		}
		a.ops = append(a.ops, directOps{o, c})
		if err := r.SetFilterIPs(o, ipsOf(c), nil); err != nil {
			return nil, err
		}
		if err := r.RegisterDirect(o, c[0].Addr); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// byAddress groups calls by what they call.
func byAddress(calls []ftrace.DirectCall) (groups [][]ftrace.DirectCall) {
	at := make(map[uint64]int)
	for _, c := range calls {
		i, ok := at[c.Addr]
		if !ok {
			i = len(groups)
			at[c.Addr], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}

func ipsOf(calls []ftrace.DirectCall) (ips []uint64) {
	for _, c := range calls {
		ips = append(ips, c.IP)
	}
	return ips
}

// modify has all sites of the first n ops, or with one ops the first n sites, call what is away
// from their addresses.
func (a *attached) modify(n int, away uint64) error {
	if a.design.OneOps() {
		o := &a.ops[0]
		calls := slices.Clone(o.calls[:n])
		for i := range calls {
			calls[i].Addr += away
		}
		copy(o.calls, calls)
		return a.r.UpdateDirectMod(o.Ops, calls)
	}
	for i := range min(n, len(a.ops)) {
		for j := range a.ops[i].calls {
			a.ops[i].calls[j].Addr += away
		}
		if err := a.r.ModifyDirect(a.ops[i].Ops, a.ops[i].calls[0].Addr); err != nil {
			return err
		}
	}
	return nil
}

func (a *attached) detach() error {
	for _, o := range slices.Backward(a.ops) {
		if a.design.OneOps() {
			if err := a.r.UpdateDirectDel(o.Ops, o.calls); err != nil {
				return err
			}
			continue
		}
		if err := a.r.UnregisterDirect(o.Ops, o.calls[0].Addr); err != nil {
			return err
		}
		if err := errors.Join(a.r.FreeFilter(o.Ops), a.r.FreeOps(o.Ops)); err != nil {
			return err
		}
	}
	return nil
}

// amongCalls is how many sites a call is averaged over.
const amongCalls = 64

// among measures calls of sites that are among n with a direct call out of their BL's range: what
// it takes to find it depends on n where it is looked up.
func (c *DirectConfig) among(ctx context.Context, d DirectDesign, n int) (among DirectAmong, err error) {
	img, err := syntheticImage(n, !d.NoLiterals)
	if err != nil {
		return among, err
	}
	m, err := machine.New(ctx, &machine.Config{
		Image: img, Engine: c.Engine.New, Heap: directHeap, Ftrace: machine.Options(&ftrace.Options{Scheme: d.scheme(), Direct: d.Direct}),
	})
	if err != nil {
		return among, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	target, err := placeDirect(m.Kernel, false, d.Direct, 0)
	if err != nil {
		return among, err
	}
	sites := m.Kernel.Sites()
	calls := make([]ftrace.DirectCall, n)
	for i := range calls {
		calls[i] = ftrace.DirectCall{IP: sites[i].IP, Addr: target}
	}
	insns := func() (sum uint64, err error) {
		for i := range amongCalls {
			res, err := m.Kernel.Call(ctx, 0, nil, sites[i*n/amongCalls].Func())
			if err != nil {
				return 0, err
			}
			sum += res.Count
		}
		return sum, nil
	}
	before, err := insns()
	if err != nil {
		return among, err
	}
	if _, err := attachDirect(m.Ftrace.(*ftrace.Registry), d.Direct, calls); err != nil {
		return among, err
	}
	after, err := insns()
	return DirectAmong{Design: d.String(), Sites: n, Overhead: float64(after-before) / amongCalls}, err
}
