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

// Trace is a way from the initial state: the number of each move among its
// state's moves. The last one breaks something; or else nothing follows where
// it ends, and something should.
type Trace struct{ Moves []int }

// Explore searches the model. The error is the model's, or ctx's.
func Explore(ctx context.Context, m Model, opts *Options) (Result, error) {
	if opts == nil {
		opts = &Options{}
	}
	e := &explorer{m: m, opts: *opts}
	e.room.max = int64(opts.Memory) - int64(opts.Memory)/spare
	e.seen = newStore(m.Size(), &e.room)
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

// spare is the part of the memory, one in so many, that is for what is not
// counted: a table beside the one that takes its place, chunks that are not full.
const spare = 16

type explorer struct {
	m    Model
	opts Options
	room room
	seen *store
	work []worker
}

// batch is how many states are in a chunk: as many as a worker takes at once.
const batch = 1024

// worker is what a worker keeps between levels.
type worker struct {
	out     Successors
	packed  []uint64
	pending [shards]pending // states that may be new
	free    [][]byte        // chunks that have been visited
}

// level is what one worker found of the next level.
type level struct {
	chunks      [][]byte // of states
	states      int
	transitions int
	broken      bool
	err         error
}

// add appends a state, which comes packed.
func (l *level) add(state []uint64, w *worker) {
	size := w.out.size
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last]) == batch*size {
		l.chunks = append(l.chunks, w.chunk())
		last++
	}
	l.chunks[last] = unpack(l.chunks[last], state, size)
	l.states++
}

// chunk returns an empty one.
func (w *worker) chunk() []byte {
	if n := len(w.free); n > 0 {
		c := w.free[n-1]
		w.free = w.free[:n-1]
		return c[:0]
	}
	return make([]byte, 0, batch*w.out.size+8) // unpack writes whole words
}

func (e *explorer) run(ctx context.Context, start time.Time) (Result, error) {
	size := e.m.Size()
	first := make([]byte, size)
	e.m.Initial(first)
	e.seen.add(e.seen.pack(nil, first))
	res := Result{States: 1}
	frontier, visiting := [][]byte{first}, 1
	for {
		if e.room.full() {
			res.Bound = ByMemory
			return res, nil
		}
		found, err := e.expand(ctx, frontier)
		if err != nil {
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
		frontier = frontier[:0]
		broken, fresh := false, 0
		for i := range found {
			res.Transitions += found[i].transitions
			broken = broken || found[i].broken
			frontier = append(frontier, found[i].chunks...)
			fresh += found[i].states
		}
		e.room.take(-visiting * size)
		visiting = fresh
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

// expand visits the frontier's successors, until the room is full.
func (e *explorer) expand(ctx context.Context, frontier [][]byte) ([]level, error) {
	size := e.m.Size()
	work := make(chan []byte)
	found := make([]level, e.opts.Workers)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			l, w := &found[i], &e.work[i]
			for chunk := range work {
				for part := chunk; len(part) > 0 && l.err == nil; part = part[size:] {
					l.err = e.visit(part[:size], w, l)
				}
				if cap(chunk) >= batch*size {
					w.free = append(w.free, chunk)
				}
				e.settle(w, l)
			}
		})
	}
	for _, chunk := range frontier {
		if ctx.Err() != nil || e.room.full() {
			break
		}
		work <- chunk
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
		p := &w.pending[shardNumber(h)]
		p.hashes = append(p.hashes, h)
		p.words = append(p.words, w.packed...)
	}
	return nil
}

// settle keeps those of the successors that are new.
func (e *explorer) settle(w *worker, l *level) {
	before := l.states
	for i := range w.pending {
		p := &w.pending[i]
		if len(p.hashes) == 0 {
			continue
		}
		e.seen.addAll(i, p, func(i int) { l.add(p.words[i*e.seen.words:][:e.seen.words], w) })
		p.hashes, p.words = p.hashes[:0], p.words[:0]
	}
	e.room.take((l.states - before) * w.out.size)
}

// isBroken reports whether a move of the state breaks something, or that it has none
// and should.
func (s *Successors) isBroken() bool { return s.broken >= 0 || s.moves == 0 && !s.final }
