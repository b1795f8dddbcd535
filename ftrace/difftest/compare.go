package difftest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"callops/ftrace"
	"callops/ftrace/guestcore"
	"callops/internal/errno"
)

// compareResults compares what a step gave: errors by their errno.
func (p *Pair) compareResults(ours, image result) error {
	var crash *guestcore.CrashError
	if errors.As(image.err, &crash) {
		return &Difference{Steps: p.Steps(), What: "what it did", Ours: errnoOf(ours.err), Image: image.err.Error(), crash: true}
	}
	// An operation in which ftrace dies returns that in callops' core; in Linux some return 0.
	if a, b := errnoOf(ours.err), errnoOf(image.err); a != b && !(errors.Is(ours.err, errno.ENODEV) && p.died()) {
		return p.differ("what it returned", a, b)
	}
	if ours.saw != image.saw {
		return p.differ("what is found", ours.saw, image.saw)
	}
	if (ours.warns == "") != (image.warns == "") {
		return p.differ("its warnings", ours.warns, image.warns)
	}
	if ours.log != image.log {
		return p.differ("its log", ours.log, image.log)
	}
	if ours.allocs != image.allocs && !p.cfg.Commands {
		return p.differ("the allocations", fmt.Sprint(ours.allocs), fmt.Sprint(image.allocs))
	}
	if ours.x0 != image.x0 {
		return p.differ("the result", fmt.Sprintf("%#x", ours.x0), fmt.Sprintf("%#x", image.x0))
	}
	// A warning's text names ops by their addresses, which take their time to print.
	if ours.insns != image.insns && image.warns == "" {
		return p.differ("the call's instructions", fmt.Sprint(ours.insns), fmt.Sprint(image.insns))
	}
	return nil
}

// died reports whether both cores' ftrace is dead.
func (p *Pair) died() bool { return p.ours.core.Dead() && p.image.core.Dead() }

// errnos are those that operations return.
var errnos = []errno.Errno{
	errno.EINVAL, errno.EBUSY, errno.ENODEV, errno.ENOMEM, errno.ENOENT, errno.EFAULT, errno.EPERM, errno.EEXIST,
	errno.EOPNOTSUPP, errno.EDEADLK, errno.ENOSYS,
}

func errnoOf(err error) string {
	if err == nil {
		return "0"
	}
	for _, e := range errnos {
		if errors.Is(err, e) {
			return fmt.Sprintf("-%d (%v)", uint(e), e)
		}
	}
	return err.Error()
}

func (p *Pair) differ(what, ours, image string) error {
	return &Difference{Steps: p.Steps(), What: what, Ours: ours, Image: image}
}

// compare compares the state of both machines.
func (p *Pair) compare(files bool) error {
	a, b := p.ours.core.Records(), p.image.core.Records()
	if len(a) != len(b) {
		return p.differ("the number of records", fmt.Sprint(len(a)), fmt.Sprint(len(b)))
	}
	for i := range a {
		if a[i] != b[i] {
			return p.differ("the record of "+p.ours.m.Kernel.Symbols.Format(a[i].IP),
				fmt.Sprintf("%#x flags %#x", a[i].IP, uint32(a[i].Flags)), fmt.Sprintf("%#x flags %#x", b[i].IP, uint32(b[i].Flags)))
		}
	}
	if err := p.compareText(a); err != nil {
		return err
	}
	if err := p.compareOps(); err != nil {
		return err
	}
	if err := p.compareState(files); err != nil {
		return err
	}
	if !files {
		return nil
	}
	return p.compareFiles()
}

// compareText compares the words of each site and its literal.
func (p *Pair) compareText(recs []ftrace.Record) error {
	t := &texts{p: p, ours: window{mem: p.ours.m.Kernel.Mem}, image: window{mem: p.image.m.Kernel.Mem}}
	t.oursOf, t.imageOf = p.ours.nameOps(), p.image.nameOps()
	for i, rec := range recs {
		if err := t.compare(rec.IP, p.literal(i, rec.IP)); err != nil {
			return err
		}
	}
	return nil
}

// nameOps returns the places of the ops by their addresses, from 1.
func (s *side) nameOps() map[uint64]int {
	names := make(map[uint64]int, len(s.ops))
	for i, o := range s.ops {
		if o != nil {
			names[o.Addr()] = i + 1
		}
	}
	return names
}

// mostGone is how many freed ops are known by their names.
const mostGone = 32

// freed forgets an ops, and which one of those freed long ago was where.
func (s *side) freed(place int) {
	if o := s.ops[place]; o != nil {
		s.gone = append(s.gone, o.Addr())
	}
	delete(s.ops, place)
	if len(s.gone) > mostGone {
		if at := s.gone[0]; s.ops[s.was[at]] == nil || s.ops[s.was[at]].Addr() != at {
			delete(s.was, at)
		}
		s.gone = s.gone[1:]
	}
}

// addresses are those in a log.
var addresses = regexp.MustCompile(`0x[0-9a-f]{16}\b`)

// nameAddress is an address in a log, which differs between the machines where it is in the heap.
func (s *side) nameAddress(text string) string {
	addr, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return text
	}
	return s.pointer(addr)
}

func (s *side) describe(addr uint64) string {
	if i, ok := s.was[addr]; ok {
		return fmt.Sprintf("ops%d", i)
	}
	return s.m.Kernel.Symbols.Format(addr)
}

// compareOps compares the list, and each ops' flags and func.
func (p *Pair) compareOps() error {
	list := func(s *side) string {
		var names []string
		for _, o := range s.core.Registered() {
			names = append(names, s.describe(o.Addr()))
		}
		return "[" + strings.Join(names, " ") + "]"
	}
	if a, b := list(p.ours), list(p.image); a != b {
		return p.differ("ftrace_ops_list", a, b)
	}
	for i, o := range p.ours.ops {
		other := p.image.ops[i]
		if o == nil || other == nil {
			continue
		}
		if a, b := o.Flags(), other.Flags(); a != b {
			return p.differ(fmt.Sprintf("the flags of ops%d", i), fmt.Sprintf("%#x", uint64(a)), fmt.Sprintf("%#x", uint64(b)))
		}
		if a, b := p.ours.newCalls(i, o), p.image.newCalls(i, other); a != b && p.steps[len(p.steps)-1].Verb == Call {
			return p.differ(fmt.Sprintf("the calls that ops%d counted", i), fmt.Sprint(a), fmt.Sprint(b))
		}
		if a, b := o.Func(), other.Func(); a != b {
			return p.differ(fmt.Sprintf("the func of ops%d", i), p.ours.describe(a), p.image.describe(b))
		}
	}
	return nil
}

// newCalls is how many calls an ops' func has counted since it was asked last.
func (s *side) newCalls(i int, o *ftrace.Ops) uint32 {
	if o == nil {
		return 0
	}
	v, err := s.m.Kernel.Mem.Load32(o.Addr() + uint64(s.m.Kernel.Layout.Ops.Size))
	if err != nil {
		return 0
	}
	before := s.counted[i]
	s.counted[i] = v
	return v - before
}

// files are the control files, as functions of a core.
var files = []struct {
	name  string
	write func(c ftrace.Core, w *bytes.Buffer) error
}{
	{"enabled_functions", func(c ftrace.Core, w *bytes.Buffer) error { return c.WriteEnabled(w) }},
	{"touched_functions", func(c ftrace.Core, w *bytes.Buffer) error { return c.WriteTouched(w) }},
}

func (p *Pair) compareFiles() error {
	for _, f := range files {
		a, errA := p.ours.print(f.write)
		b, errB := p.image.print(f.write)
		if a != b || (errA == nil) != (errB == nil) {
			return p.differ(f.name, fmt.Sprintf("%v\n%s", errA, a), fmt.Sprintf("%v\n%s", errB, b))
		}
	}
	return nil
}

// print is a control file with names in the place of addresses that the kernel has no symbols
// for, or that differ between the machines: of ops, and of callops' code.
func (s *side) print(write func(ftrace.Core, *bytes.Buffer) error) (string, error) {
	var b bytes.Buffer
	err := write(s.core, &b)
	text := b.String()
	name := func(addr uint64, name string) {
		text = strings.ReplaceAll(text, fmt.Sprintf("%#x", addr), name)
		text = strings.ReplaceAll(text, s.m.Kernel.Symbols.Format(addr), name)
	}
	for i, o := range s.ops {
		if o != nil {
			name(o.Addr(), fmt.Sprintf("ops%d", i))
		}
	}
	name(s.core.Code().OpsFuncCount, "ops_func_count")
	for i, addr := range s.directs {
		name(addr, fmt.Sprintf("direct%d", i))
	}
	return text, err
}

// moduleSites are some call sites of the modules that are loaded.
func (p *Pair) moduleSites() (ips []uint64) {
	for _, i := range slices.Sorted(maps.Keys(p.ours.modules)) {
		sites := p.ours.modules[i].Image.Sites()
		for _, s := range sites[:min(len(sites), otherSites)] {
			ips = append(ips, s.IP)
		}
	}
	return ips
}
