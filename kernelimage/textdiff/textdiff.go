package textdiff

import (
	"cmp"
	"context"
	"slices"

	"callops/kernelimage"
)

// State is what became of a function.
type State string

// What a function can be.
const (
	Changed State = "changed"
	New     State = "new"
	Gone    State = "gone"
)

// Diff is how the ftrace of two kernels differs.
type Diff struct {
	Functions int        `json:"functions"` // of ftrace, in the new kernel
	Same      int        `json:"same"`      // of these, those that do the same as before
	Changes   []Function `json:"changes"`   // by source file, then by name

	// Structures are those with ftrace or fgraph in their names that are laid out
	// otherwise. Untyped is why they can't be compared: one of the kernels has no BTF.
	Structures []Structure `json:"structures"`
	Untyped    string      `json:"untyped,omitempty"`
}

// Function is a function that is not the same.
type Function struct {
	Name    string `json:"name"`
	Was     string `json:"was,omitempty"` // another name that the old kernel has it under
	File    string `json:"file"`          // the source file
	State   State  `json:"state"`
	OldSize uint64 `json:"old_size"` // bytes; 0: there is none
	NewSize uint64 `json:"new_size"`
	Lines   []Line `json:"lines"` // what differs, in the order of the code
}

// Line is an instruction that only one of the two has, or, between such, one that both
// have.
type Line struct {
	Op   Op     `json:"op"`
	Old  int64  `json:"old"` // offset from the function's start in bytes; -1: not there
	New  int64  `json:"new"`
	Text string `json:"text"`
}

// Op is which kernel has a line: " " both, "-" the old one, "+" the new one.
type Op string

// The lines of a listing.
const (
	Both    Op = " "
	OldOnly Op = "-"
	NewOnly Op = "+"
)

// Compare compares the ftrace of two kernels.
func Compare(ctx context.Context, before, after *kernelimage.Image) (*Diff, error) {
	a, b, err := sides(before, after)
	if err != nil {
		return nil, err
	}
	c := &comparison{old: a, new: b, oldFuncs: a.relevant(), newFuncs: b.relevant(), capabilities: capabilities(a, b)}
	d, err := c.run(ctx)
	if err != nil {
		return nil, err
	}
	if d.Structures, err = structures(before, after); err != nil {
		d.Untyped = err.Error()
	}
	return d, ctx.Err()
}

// sides prepares two kernels.
func sides(before, after *kernelimage.Image) (a, b *side, err error) {
	var spaces [2]*space
	labels := make(map[string]bool)
	for i, img := range []*kernelimage.Image{before, after} {
		if spaces[i], err = newSpace(img); err != nil {
			return nil, nil, err
		}
		spaces[i].labels(labels)
	}
	return newSide(spaces[0], labels), newSide(spaces[1], labels), nil
}

// comparison is two kernels, and which of their functions are ftrace's.
type comparison struct {
	old, new           *side
	oldFuncs, newFuncs map[int]string
	capabilities       map[uint16]uint16 // the new number of each
}

func (c *comparison) run(ctx context.Context) (*Diff, error) {
	d := &Diff{Functions: len(c.newFuncs), Changes: []Function{}, Structures: []Structure{}}
	pairs, gone, added := c.pairs()
	c.matchUnnamed(pairs)
	for _, p := range pairs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, same := c.compare(p.old, p.new)
		if same {
			d.Same++
			continue
		}
		d.Changes = append(d.Changes, *f)
	}
	for _, i := range gone {
		f := &c.old.funcs[i]
		d.Changes = append(d.Changes, Function{Name: f.name, File: c.oldFuncs[i], State: Gone, OldSize: f.size(), Lines: []Line{}})
	}
	for _, i := range added {
		f := &c.new.funcs[i]
		d.Changes = append(d.Changes, Function{
			Name: f.name, File: c.newFuncs[i], State: New, NewSize: f.size(), Lines: c.new.code(f).listing(NewOnly),
		})
	}
	slices.SortStableFunc(d.Changes, func(a, b Function) int {
		return cmp.Or(cmp.Compare(order(a.File), order(b.File)), cmp.Compare(a.Name, b.Name))
	})
	return d, nil
}

func order(name string) int {
	return slices.IndexFunc(files, func(f file) bool { return f.name == name })
}

// couple is a function, by its indexes in the two kernels.
type couple struct{ old, new int }

// pairs finds the functions that correspond: by name and file, then by name without
// what compilers append, then by what else has the name in the kernel.
func (c *comparison) pairs() (pairs []couple, gone, added []int) {
	taken := make(map[int]bool) // of old
	olds := keys(c.oldFuncs)
	find := func(i int, match func(f, g *function) bool) bool {
		f := &c.new.funcs[i]
		for _, k := range olds {
			if g := &c.old.funcs[k]; !taken[k] && c.oldFuncs[k] == c.newFuncs[i] && match(f, g) {
				taken[k] = true
				pairs = append(pairs, couple{k, i})
				return true
			}
		}
		return false
	}
	rest := keys(c.newFuncs)
	for _, match := range []func(f, g *function) bool{
		func(f, g *function) bool { return f.name == g.name },
		func(f, g *function) bool {
			return slices.ContainsFunc(f.names, func(n string) bool { return slices.Contains(g.names, n) })
		},
		func(f, g *function) bool { return whole(f.name) == whole(g.name) && isCold(f.name) == isCold(g.name) },
	} {
		rest = slices.DeleteFunc(rest, func(i int) bool { return find(i, match) })
	}
	for _, i := range rest { // the other kernel may have it elsewhere
		if others := c.old.byName[c.new.funcs[i].name]; len(others) == 1 && c.oldFuncs[others[0]] == "" {
			pairs = append(pairs, couple{others[0], i})
			continue
		}
		added = append(added, i)
	}
	for _, i := range olds {
		if taken[i] {
			continue
		}
		if others := c.new.byName[c.old.funcs[i].name]; len(others) == 1 && c.newFuncs[others[0]] == "" {
			pairs = append(pairs, couple{i, others[0]})
			continue
		}
		gone = append(gone, i)
	}
	return pairs, gone, added
}

// matchUnnamed finds out which objects without names are the same ones: functions that are
// the same otherwise refer to them in the same places, and most of these count.
func (c *comparison) matchUnnamed(pairs []couple) {
	votes := make(map[[2]uint64]int)
	for _, p := range pairs {
		a, b := c.old.code(&c.old.funcs[p.old]), c.new.code(&c.new.funcs[p.new])
		if len(a.insns) != len(b.insns) {
			continue
		}
		var refs [][2]uint64
		same := true
		for i := range a.insns {
			x, y := &a.insns[i], &b.insns[i]
			if same = same && x.to == y.to && sameInsn(a, x, b, y); !same {
				break
			}
			if (x.kind == refLow || x.kind == refAddr) && c.old.unnamed(x.ref) && c.new.unnamed(y.ref) {
				refs = append(refs, [2]uint64{x.ref, y.ref})
			}
		}
		if !same {
			continue
		}
		for _, r := range refs {
			votes[r]++
		}
	}
	match, most := make(map[uint64]uint64), make(map[uint64]int)
	for r, n := range votes {
		if n > most[r[0]] || n == most[r[0]] && r[1] < match[r[0]] {
			match[r[0]], most[r[0]] = r[1], n
		}
	}
	c.old.match = match
}

// compare compares two versions of a function; same: nothing differs.
func (c *comparison) compare(i, k int) (f *Function, same bool) {
	g, h := &c.old.funcs[i], &c.new.funcs[k]
	p := pair(c.old.code(g), c.new.code(h))
	alts := c.alternatives(p)
	if !p.changed && len(alts) == 0 {
		return nil, true
	}
	f = &Function{Name: h.name, File: cmp.Or(c.newFuncs[k], c.oldFuncs[i]), State: Changed, OldSize: g.size(), NewSize: h.size()}
	if g.name != h.name {
		f.Was = g.name
	}
	f.Lines = append(p.listing(), alts...)
	return f, false
}
