package search

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// Options bound and watch a search; the zero value searches everything, on all
// cores.
type Options struct {
	Workers int // GOMAXPROCS when 0
	Memory  int // bytes that the states seen, and those to visit, may take up; 0: no bound
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
	Depth       int // levels behind the initial state
	Elapsed     time.Duration

	// Complete reports whether every state was visited, or a broken one was
	// found and none is nearer. Bound is what ended the search otherwise.
	Complete bool
	Bound    Bound

	// Broken reports that a broken state was found, Depth levels from the
	// initial one. Shortest finds a way to it.
	Broken bool
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

// Trace is a way from the initial state: the number of each move among its
// state's moves. The last one breaks something; or else nothing follows where
// it ends, and something should.
type Trace struct{ Moves []int }

// Explore searches the model. The error is the model's, or ctx's.
func Explore(ctx context.Context, m Model, opts *Options) (Result, error) {
	if opts == nil {
		opts = &Options{}
	}
	e := &explorer{m: m, opts: *opts, seen: newStore(m.Size())}
	if e.opts.Workers <= 0 {
		e.opts.Workers = runtime.GOMAXPROCS(0)
	}
	for range e.opts.Workers {
		e.work = append(e.work, worker{out: Successors{size: m.Size()}})
	}
	start := time.Now()
	res, err := e.run(ctx, start)
	res.Elapsed = time.Since(start)
	return res, err
}

type explorer struct {
	m    Model
	opts Options
	seen *store
	work []worker
}

// worker is what a worker keeps between levels.
type worker struct {
	out     Successors
	packed  []uint64
	pending [shards]pending // states that may be new
}

// level is what one worker found of the next level.
type level struct {
	states      []byte
	transitions int
	broken      bool
	err         error
}

func (e *explorer) run(ctx context.Context, start time.Time) (Result, error) {
	size := e.m.Size()
	first := make([]byte, size)
	e.m.Initial(first)
	e.seen.add(e.seen.pack(nil, first))
	res := Result{States: 1}
	frontier := [][]byte{first}
	for {
		found, err := e.expand(ctx, frontier)
		if err != nil {
			return res, err
		}
		frontier = frontier[:0]
		broken, fresh, room := false, 0, 0
		for i := range found {
			res.Transitions += found[i].transitions
			broken = broken || found[i].broken
			if n := len(found[i].states); n > 0 {
				frontier = append(frontier, found[i].states)
				fresh += n / size
				room += n
			}
		}
		res.States += fresh
		if e.opts.Stop != nil && e.opts.Stop() {
			res.Bound = Stopped
			return res, nil
		}
		if broken {
			res.Complete, res.Broken = true, true
			res.Depth++
			return res, nil
		}
		if fresh == 0 {
			res.Complete = true
			return res, nil
		}
		res.Depth++
		if e.opts.Progress != nil {
			res.Elapsed = time.Since(start)
			e.opts.Progress(res)
		}
		switch {
		// The next level takes about as much as this one, which is there meanwhile.
		case e.opts.Memory > 0 && e.seen.bytes()+2*room > e.opts.Memory:
			res.Bound = ByMemory
			return res, nil
		case e.opts.Depth > 0 && res.Depth >= e.opts.Depth:
			res.Bound = ByDepth
			return res, nil
		}
	}
}

// batch is how many states a worker takes at once.
const batch = 1024

// expand visits the frontier's successors.
func (e *explorer) expand(ctx context.Context, frontier [][]byte) ([]level, error) {
	size := e.m.Size()
	work := make(chan []byte)
	found := make([]level, e.opts.Workers)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			l, w := &found[i], &e.work[i]
			for part := range work {
				for ; len(part) > 0 && l.err == nil; part = part[size:] {
					l.err = e.visit(part[:size], w, l)
				}
				e.settle(w, l)
			}
		})
	}
	for _, states := range frontier {
		for len(states) > 0 && ctx.Err() == nil {
			n := min(batch*size, len(states))
			work <- states[:n]
			states = states[n:]
		}
	}
	close(work)
	wg.Wait()
	errs := []error{ctx.Err()}
	for i := range found {
		errs = append(errs, found[i].err)
	}
	return found, errors.Join(errs...)
}

// visit finds the successors of a state.
func (e *explorer) visit(state []byte, w *worker, l *level) error {
	out := &w.out
	out.reset()
	if err := e.m.Expand(state, out); err != nil {
		return err
	}
	if out.isBroken() {
		l.broken = true
		return nil
	}
	l.transitions += len(out.at)
	for next := out.next; len(next) > 0; next = next[out.size:] {
		w.packed = e.seen.pack(w.packed, next[:out.size])
		h := hash(w.packed)
		p := &w.pending[h%shards]
		p.hashes = append(p.hashes, h)
		p.words = append(p.words, w.packed...)
	}
	return nil
}

// settle keeps those of the successors that are new.
func (e *explorer) settle(w *worker, l *level) {
	for i := range w.pending {
		p := &w.pending[i]
		if len(p.hashes) == 0 {
			continue
		}
		e.seen.addAll(i, p, func(i int) {
			l.states = unpack(l.states, p.words[i*e.seen.words:][:e.seen.words], w.out.size)
		})
		p.hashes, p.words = p.hashes[:0], p.words[:0]
	}
}

// isBroken says that a move of the state breaks something, or that it has none
// and should.
func (s *Successors) isBroken() bool { return s.broken >= 0 || s.moves == 0 && !s.final }
