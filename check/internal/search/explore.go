package search

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Options bound and watch a search; the zero value searches everything, on all
// cores.
type Options struct {
	Workers int // GOMAXPROCS when 0
	Memory  int // bytes that the states seen may take up; 0: no bound
	Depth   int // levels; 0: no bound

	// Stop, asked after each level, ends a search that is of no use any more.
	Stop func() bool

	// Progress is called after each level.
	Progress func(Result)
}

// Result is what a search found.
type Result struct {
	States      int // visited
	Transitions int // between them; moves that break something are not counted
	Depth       int // levels after the initial state
	Elapsed     time.Duration

	// Complete reports whether every state was visited, or a broken one was
	// found and none is nearer. Bound is what ended the search otherwise.
	Complete bool
	Bound    Bound

	// Broken reports that a broken state was found, Depth levels from the
	// initial one. Shortest finds a way to it.
	Broken bool
}

// Add adds another search, of something else.
func (r *Result) Add(more *Result) {
	r.States += more.States
	r.Transitions += more.Transitions
	r.Depth = max(r.Depth, more.Depth)
	r.Elapsed += more.Elapsed
	r.Complete = r.Complete && more.Complete
	r.Broken = r.Broken || more.Broken
}

// Bound is what ends a search before its end.
type Bound uint8

// The bounds.
const (
	Unbound Bound = iota
	ByMemory
	ByDepth
	Stopped // by Options.Stop
)

// String is memory, depth, stopped, or nothing of Unbound.
func (b Bound) String() string {
	return [...]string{Unbound: "", ByMemory: "memory", ByDepth: "depth", Stopped: "stopped"}[b]
}

// MarshalText is String.
func (b Bound) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// Explore searches the model. The error is the model's, or ctx's.
func Explore(ctx context.Context, m Model, opts *Options) (Result, error) {
	if opts == nil {
		opts = &Options{}
	}
	e := &explorer{space: newSpace(m), opts: *opts}
	e.room.max = noBound
	if opts.Memory > 0 {
		e.room.max = int64(opts.Memory)
	}
	if e.opts.Workers <= 0 {
		e.opts.Workers = runtime.GOMAXPROCS(0)
	}
	for range e.opts.Workers {
		e.work = append(e.work, newWorker(e.space))
	}
	start := time.Now()
	res, err := e.run(ctx, start)
	res.Elapsed = time.Since(start)
	return res, err
}

type explorer struct {
	*space
	opts Options
	work []*worker
	list []span
}

func (e *explorer) run(ctx context.Context, start time.Time) (Result, error) {
	wanted, _, _ := e.begin()
	res := Result{States: 1}
	for {
		if err := e.prepare(wanted); err != nil {
			return res, err
		}
		if e.room.full() {
			res.Bound = ByMemory
			return res, nil
		}
		if err := e.level(ctx); err != nil {
			return res, err
		}
		if e.opts.Stop != nil && e.opts.Stop() {
			res.Bound = Stopped
			return res, nil
		}
		if e.room.full() { // and the level is not whole
			res.Bound = ByMemory
			return res, nil
		}
		wanted = wanted[:0]
		broken, fresh := false, 0
		for _, w := range e.work {
			res.Transitions += w.transitions
			fresh += w.states
			broken = broken || w.broken
			wanted = append(wanted, w.wanted...)
			w.transitions, w.states, w.wanted = 0, 0, w.wanted[:0]
		}
		res.States += fresh
		switch {
		case broken:
			res.Complete, res.Broken = true, true
			res.Depth++
			return res, nil
		case fresh == 0:
			res.Complete = true
			return res, nil
		}
		res.Depth++
		if e.opts.Progress != nil {
			res.Elapsed = time.Since(start)
			e.opts.Progress(res)
		}
		if e.opts.Depth > 0 && res.Depth >= e.opts.Depth {
			res.Bound = ByDepth
			return res, nil
		}
	}
}

// prepare passes to the next level, and finds what is to visit there.
func (e *explorer) prepare(wanted []want) error {
	if err := e.pass(wanted); err != nil {
		return err
	}
	e.list = e.list[:0]
	for _, c := range e.controls {
		e.list = c.set.spans(e.list, c)
	}
	return nil
}

// level visits the states of a level, until the room is full.
func (e *explorer) level(ctx context.Context) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	for _, w := range e.work[:min(len(e.work), len(e.list))] {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(e.list) || ctx.Err() != nil || e.room.full() {
					return
				}
				w.span(&e.list[i])
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}
