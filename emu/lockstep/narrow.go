package lockstep

import (
	"context"
	"errors"

	"callops/emu"
)

// narrow halves a chunk of n instructions, after which the engines differ,
// until it is one instruction.
func (e *Engine) narrow(ctx context.Context, start emu.Regs, n uint64, run runner, after [2]State) (_ *DifferenceError, err error) {
	r := &replay{engine: e, ctx: ctx, start: start, run: run, newEngines: e.open}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.open(); err != nil {
		return nil, err
	}
	// What ends a run early is met by the instruction after those executed.
	hi := min(n, max(after[0].Count, after[1].Count)+1)
	if same, err := r.to(hi); err != nil || same {
		return r.unreproduced(after), err
	}
	lo := uint64(0)
	for hi-lo > 1 {
		mid := lo + (hi-lo)/2
		same, err := r.to(mid)
		if err != nil {
			return nil, err
		}
		if same {
			lo = mid
		} else {
			hi = mid
		}
	}
	return r.difference(lo, hi)
}

// replay executes from the beginning of a chunk, on memories of its own and
// with engines opened anew, so that each time all is as the first time.
type replay struct {
	engine *Engine
	ctx    context.Context
	start  emu.Regs
	run    runner

	newEngines [2]emu.NewEngine

	mems  [2]*emu.Memory
	after [2]State
}

func (r *replay) open() error {
	for i := range r.mems {
		r.mems[i] = emu.NewMemory()
		for _, from := range r.engine.mirror.base.Regions() {
			if _, err := r.mems[i].Map(from.Name, from.Base, from.Size, from.Perm); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *replay) close() error {
	var errs []error
	for _, m := range r.mems {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}

// reset makes a memory what it was when the chunk began.
func (r *replay) reset(mem *emu.Memory) {
	regions := mem.Regions()
	for i, from := range r.engine.mirror.base.Regions() {
		to := regions[i].Host()
		for off := range differing(to, from.Host(), touched(to, from.Host())) {
			copy(to[off:off+emu.PageSize], from.Host()[off:])
		}
	}
}

// to executes n instructions and reports whether the engines agree.
func (r *replay) to(n uint64) (bool, error) {
	for i := range r.mems {
		r.reset(r.mems[i])
		if err := r.side(i, n); err != nil {
			return false, err
		}
	}
	return r.after[0].equal(&r.after[1]) && r.memory(1) == nil, nil
}

func (r *replay) side(i int, n uint64) (err error) {
	engine, err := r.newEngines[i](r.mems[i])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	cpu, err := engine.NewCPU(0)
	if err != nil {
		return err
	}
	r.after[i], err = outcomeOf(r.ctx, cpu, r.start, n, r.run)
	return err
}

// memory returns up to limit words in which the memories differ.
func (r *replay) memory(limit int) []MemoryDiff {
	var diffs []MemoryDiff
	regions := [2][]*emu.Region{r.mems[0].Regions(), r.mems[1].Regions()}
	for i, base := range r.engine.mirror.base.Regions() {
		a, b := regions[0][i].Host(), regions[1][i].Host()
		for off := range differing(a, b, touched(a, b)) {
			end := off + emu.PageSize
			before, wa, wb := words(base.Host()[off:end]), words(a[off:end]), words(b[off:end])
			for w := range wa {
				if wa[w] == wb[w] {
					continue
				}
				diffs = append(diffs, MemoryDiff{Addr: base.Base + uint64(off+8*w), Before: before[w], A: wa[w], B: wb[w]})
				if len(diffs) == limit {
					return diffs
				}
			}
		}
	}
	return diffs
}

// difference describes the instruction after the lo-th; hi is lo+1, or lo if
// the engines differ before they execute anything.
func (r *replay) difference(lo, hi uint64) (*DifferenceError, error) {
	d := r.new()
	if _, err := r.to(lo); err != nil {
		return nil, err
	}
	d.Count, d.Before = lo, r.after[0].Regs
	d.name(r.mems[0])
	if _, err := r.to(hi); err != nil {
		return nil, err
	}
	d.After = r.after
	d.Memory = r.memory(maxMemoryDiffs)
	return d, nil
}

// unreproduced describes a difference that a second try does not show. The
// chunk's first instruction stands for all of it.
func (r *replay) unreproduced(after [2]State) *DifferenceError {
	d := r.new()
	d.Unreproduced, d.Before, d.After = true, r.start, after
	d.name(r.mems[0])
	return d
}

func (r *replay) new() *DifferenceError { return &DifferenceError{Names: r.engine.names()} }
