package search_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check/internal/search"
)

// system is a model in tables.
type system struct {
	kinds  []int
	alike  bool
	steps  [][]search.Step              // by control
	waits  []bool                       // by control
	after  [][]search.Part              // by control, of the one that a step leads to
	moves  map[[3]int][]search.Part     // by control, kind and part
	marks  map[[2]int]search.Marks      // by kind and part
	fails  func(c search.Control) error // of Moves
	opened map[[3]int]int               // by control, kind and part: how often Moves was asked
}

func (s *system) Kinds() []int { return s.kinds }
func (s *system) Alike() bool  { return s.alike }

func (s *system) Begin() (search.Control, []search.Part) {
	return 0, make([]search.Part, len(s.kinds))
}

func (s *system) Steps(c search.Control) ([]search.Step, bool) {
	if int(c) >= len(s.steps) {
		return nil, false
	}
	return s.steps[c], s.waits[c]
}

func (s *system) After(c search.Control, step, _ int, p search.Part) search.Part {
	return s.after[s.steps[c][step].To][p]
}

func (s *system) Moves(c search.Control, kind int, p search.Part) ([]search.Part, error) {
	if s.fails != nil {
		if err := s.fails(c); err != nil {
			return nil, err
		}
	}
	at := [3]int{int(c), kind, int(p)}
	if s.opened != nil {
		s.opened[at]++
	}
	return s.moves[at], nil
}

func (s *system) Marks(kind int, p search.Part) search.Marks { return s.marks[[2]int{kind, int(p)}] }

// state is one of a system's.
type state struct {
	control search.Control
	parts   []search.Part
}

func (s *system) key(at state) string {
	parts := slices.Clone(at.parts)
	for i := 0; s.alike && i < len(parts); {
		end := i
		for end < len(parts) && s.kinds[end] == s.kinds[i] {
			end++
		}
		slices.Sort(parts[i:end])
		i = end
	}
	return fmt.Sprint(at.control, parts)
}

// next is what follows a state, and whether it is broken: by a move, or because nothing follows.
func (s *system) next(at state) (list []state, by []search.Move, broken bool) {
	some, all := search.Marks(0), search.Done
	for i, p := range at.parts {
		m := s.Marks(s.kinds[i], p)
		some, all = some|m, all&m
	}
	steps, waits := s.Steps(at.control)
	for n, st := range steps {
		if st.Unless&some == 0 && (st.Where == 0 || st.Where&some != 0) {
			to := state{control: st.To}
			for i, p := range at.parts {
				to.parts = append(to.parts, s.After(at.control, n, s.kinds[i], p))
			}
			list, by = append(list, to), append(by, search.Move{Component: -1, Number: n})
		}
	}
	for i, p := range at.parts {
		for n, q := range s.moves[[3]int{int(at.control), s.kinds[i], int(p)}] {
			to := state{at.control, slices.Clone(at.parts)}
			to.parts[i] = q
			broken = broken || q == search.Broken
			list, by = append(list, to), append(by, search.Move{Component: i, Number: n})
		}
	}
	return list, by, broken || len(list) == 0 && (all != search.Done || waits)
}

// naive searches with a queue and a map. way is the number of levels before the first broken state, or -1.
func (s *system) naive() (states, transitions, depth, way int) {
	_, parts := s.Begin()
	first := state{0, parts}
	level := map[string]int{s.key(first): 0}
	for queue := []state{first}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		depth = level[s.key(at)]
		list, _, broken := s.next(at)
		if broken {
			return len(level), transitions, depth, depth
		}
		for _, to := range list {
			transitions++
			if _, ok := level[s.key(to)]; !ok {
				level[s.key(to)] = depth + 1
				queue = append(queue, to)
			}
		}
	}
	return len(level), transitions, depth, -1
}

// randomSystem has marks that hold the control up, and let it go on, at random.
func randomSystem(rnd *rand.Rand, faulty bool) *system {
	controls, parts := 1+rnd.IntN(6), 1+rnd.IntN(6)
	s := &system{
		alike: rnd.IntN(3) > 0, kinds: [][]int{{0}, {0, 0}, {0, 1}, {0, 0, 0}, {0, 0, 1}, {0, 1, 1}, {3, 3, 3, 3}}[rnd.IntN(7)],
		moves: map[[3]int][]search.Part{}, marks: map[[2]int]search.Marks{},
	}
	for c := range controls {
		var steps []search.Step
		for range rnd.IntN(3) {
			st := search.Step{To: search.Control(rnd.IntN(controls))}
			switch rnd.IntN(3) {
			case 0:
				st.Unless = 1 << rnd.IntN(3)
			case 1:
				st.Where = 1 << rnd.IntN(3)
			}
			steps = append(steps, st)
		}
		s.steps, s.waits = append(s.steps, steps), append(s.waits, faulty && rnd.IntN(3) == 0)
		var after []search.Part
		for range parts {
			after = append(after, search.Part(rnd.IntN(parts)))
		}
		s.after = append(s.after, after)
		for _, kind := range s.kinds {
			for p := range parts {
				at := [3]int{c, kind, p}
				for range rnd.IntN(4) {
					s.moves[at] = append(s.moves[at], search.Part(rnd.IntN(parts)))
				}
				if faulty && rnd.IntN(12) == 0 {
					s.moves[at] = append(s.moves[at], search.Broken)
				}
				s.marks[[2]int{kind, p}] = search.Marks(rnd.IntN(8))
				if !faulty || rnd.IntN(4) > 0 {
					s.marks[[2]int{kind, p}] |= search.Done
				}
			}
		}
	}
	return s
}

func TestExplore_FindsWhatAMapFinds(t *testing.T) {
	held, broke := 0, 0
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		s := randomSystem(rnd, seed%2 == 1)
		states, transitions, depth, way := s.naive()
		for _, workers := range []int{1, 2, 7} {
			r, err := search.Explore(t.Context(), s, &search.Options{Workers: workers})
			require.NoError(t, err)
			assert.True(t, r.Complete)
			if way < 0 {
				held++
				require.False(t, r.Broken, "seed %d", seed)
				require.Equal(t, [3]int{states, transitions, depth}, [3]int{r.States, r.Transitions, r.Depth}, "seed %d", seed)
				continue
			}
			broke++
			require.True(t, r.Broken, "seed %d", seed)
			require.Equal(t, way+1, r.Depth)
		}
		if way >= 0 {
			checkTrace(t, s, shortest(t, s), way)
		}
	}
	t.Logf("%d held, %d broke", held, broke)
	assert.Greater(t, held, 300)
	assert.Greater(t, broke, 300)
}

func shortest(t *testing.T, m search.Model) *search.Trace {
	t.Helper()
	tr, err := search.Shortest(t.Context(), m)
	require.NoError(t, err)
	return tr
}

// checkTrace goes the way, which has to break something after so many states, with every component where it is.
func checkTrace(t *testing.T, s *system, tr *search.Trace, way int) {
	t.Helper()
	_, parts := s.Begin()
	at := state{0, parts}
	for i, mv := range tr.Moves {
		list, by, broken := s.next(at)
		n := slices.Index(by, mv)
		require.GreaterOrEqual(t, n, 0, "%v can't be made", mv)
		if slices.Contains(list[n].parts, search.Broken) {
			assert.Equal(t, len(tr.Moves)-1, i, "the last move")
			assert.Equal(t, way, i)
			return
		}
		require.False(t, broken)
		at = list[n]
	}
	_, _, broken := s.next(at)
	assert.True(t, broken, "nothing follows, and something should")
	assert.Len(t, tr.Moves, way)
}

// A part is asked for its moves once at each control, and only where a state has it that is visited.
func TestExplore_AsksForEachPartOnce(t *testing.T) {
	s := counter(3, 3, 3)
	s.opened = map[[3]int]int{}
	_, err := search.Explore(t.Context(), s, &search.Options{Depth: 1, Workers: 3})
	require.NoError(t, err)
	assert.Equal(t, map[[3]int]int{{0, 0, 0}: 1, {0, 1, 0}: 1, {0, 2, 0}: 1}, s.opened)
	s.opened = map[[3]int]int{}
	_, err = search.Explore(t.Context(), s, nil)
	require.NoError(t, err)
	assert.Len(t, s.opened, 9)
	for at, times := range s.opened {
		assert.Equal(t, 1, times, "%v", at)
	}
}

// counter counts to the product of its bases, each component on its own.
func counter(bases ...int) *system {
	s := &system{steps: [][]search.Step{nil}, waits: []bool{false}, moves: map[[3]int][]search.Part{}, marks: map[[2]int]search.Marks{}}
	for kind, base := range bases {
		s.kinds = append(s.kinds, kind)
		for p := range base - 1 {
			s.moves[[3]int{0, kind, p}] = []search.Part{search.Part(p + 1)}
		}
		s.marks[[2]int{kind, base - 1}] = search.Done
	}
	return s
}

// chain is one component that goes these ways.
func chain(moves ...[]search.Part) *system {
	s := &system{kinds: []int{0}, steps: [][]search.Step{nil}, waits: []bool{false}, moves: map[[3]int][]search.Part{}, marks: map[[2]int]search.Marks{}}
	for p, to := range moves {
		s.moves[[3]int{0, 0, p}] = to
	}
	return s
}

func TestShortest_IsTheFirstOfTheShortest(t *testing.T) {
	s := chain([]search.Part{1, 2, 3}, []search.Part{4}, []search.Part{5, search.Broken}, []search.Part{search.Broken}, []search.Part{0}, []search.Part{search.Broken})
	for _, workers := range []int{1, 2, 3, 8} {
		r, err := search.Explore(t.Context(), s, &search.Options{Workers: workers})
		require.NoError(t, err)
		require.True(t, r.Broken)
		assert.Equal(t, []search.Move{{Number: 1}, {Number: 1}}, shortest(t, s).Moves)
		assert.Equal(t, 2, r.Depth)
	}
}

func TestExplore_Deadlock(t *testing.T) {
	s := chain([]search.Part{1, 2}, nil, []search.Part{3}, nil)
	s.marks[[2]int{0, 3}] = search.Done
	r, err := search.Explore(t.Context(), s, nil)
	require.NoError(t, err)
	require.True(t, r.Broken)
	assert.Equal(t, []search.Move{{Number: 0}}, shortest(t, s).Moves)

	s.marks[[2]int{0, 1}] = search.Done
	r, err = search.Explore(t.Context(), s, nil)
	require.NoError(t, err)
	assert.False(t, r.Broken)
	assert.True(t, r.Complete)

	s.waits[0] = true // and now the control is not done
	r, err = search.Explore(t.Context(), s, nil)
	require.NoError(t, err)
	assert.True(t, r.Broken)

	s.waits[0] = false
	s.moves[[3]int{0, 0, 3}] = []search.Part{3} // a cycle is no deadlock
	r, err = search.Explore(t.Context(), s, nil)
	require.NoError(t, err)
	assert.False(t, r.Broken)
	assert.Equal(t, 4, r.States)
}

func TestExplore_Bounds(t *testing.T) {
	c := counter(9, 9, 9, 9, 9)
	r, err := search.Explore(t.Context(), c, &search.Options{Depth: 3})
	require.NoError(t, err)
	assert.Equal(t, search.ByDepth, r.Bound)
	assert.Equal(t, 3, r.Depth)
	assert.Equal(t, 1+5+15+35, r.States)
	assert.False(t, r.Complete)

	const memory = 40 << 10
	r, err = search.Explore(t.Context(), c, &search.Options{Memory: memory})
	require.NoError(t, err)
	assert.Equal(t, search.ByMemory, r.Bound)
	assert.Less(t, r.States, 9*9*9*9*9)
	assert.False(t, r.Complete)
	for _, workers := range []int{1, 2, 7} {
		again, err := search.Explore(t.Context(), c, &search.Options{Memory: memory, Workers: workers})
		require.NoError(t, err)
		again.Elapsed = r.Elapsed
		assert.Equal(t, r, again, "%d workers", workers)
	}

	levels := 0
	r, err = search.Explore(t.Context(), c, &search.Options{Stop: func() bool { levels++; return levels == 4 }})
	require.NoError(t, err)
	assert.Equal(t, search.Stopped, r.Bound)
	assert.False(t, r.Complete)

	// A bound that is not reached bounds nothing.
	r, err = search.Explore(t.Context(), c, &search.Options{Depth: 41, Memory: 1 << 30, Stop: func() bool { return false }})
	require.NoError(t, err)
	assert.Equal(t, search.Unbound, r.Bound)
	assert.True(t, r.Complete)
	assert.Equal(t, [2]int{9 * 9 * 9 * 9 * 9, 40}, [2]int{r.States, r.Depth})
}

// More states than can be numbered are more than any memory holds.
func TestExplore_TooManyStatesToNumber(t *testing.T) {
	wide := make([]search.Part, 4000)
	for i := range wide {
		wide[i] = search.Part(i + 1)
	}
	s := chain(wide)
	s.kinds, s.alike = make([]int, 8), true
	r, err := search.Explore(t.Context(), s, nil)
	require.NoError(t, err)
	assert.Equal(t, search.ByMemory, r.Bound)
}

// A search that is stopped gives no verdict, even if it has found something.
func TestExplore_StopComesBeforeWhatWasFound(t *testing.T) {
	r, err := search.Explore(t.Context(), chain([]search.Part{search.Broken}), &search.Options{Stop: func() bool { return true }})
	require.NoError(t, err)
	assert.False(t, r.Complete)
	assert.False(t, r.Broken)
}

func TestShortest_WhereNothingIsBroken(t *testing.T) {
	_, err := search.Shortest(t.Context(), counter(2, 2))
	assert.EqualError(t, err, "search: no state is broken")
}

func TestExplore_Progress(t *testing.T) {
	var depths []int
	states := 0
	r, err := search.Explore(t.Context(), counter(3, 3), &search.Options{Progress: func(r search.Result) {
		depths = append(depths, r.Depth)
		assert.Greater(t, r.States, states)
		states = r.States
	}})
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2, 3, 4}, depths)
	assert.Equal(t, states, r.States)
}

func TestExplore_Errors(t *testing.T) {
	before := runtime.NumGoroutine()
	errMoves := errors.New("no moves today")
	s := counter(9, 9, 9, 9)
	asked := 0
	s.fails = func(search.Control) error {
		if asked++; asked == 20 {
			return errMoves
		}
		return nil
	}
	_, err := search.Explore(t.Context(), s, &search.Options{Workers: 4})
	require.ErrorIs(t, err, errMoves)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = search.Explore(ctx, counter(9, 9), nil)
	require.ErrorIs(t, err, context.Canceled)

	ctx, cancel = context.WithCancel(t.Context())
	_, err = search.Explore(ctx, counter(9, 9, 9, 9), &search.Options{Progress: func(r search.Result) {
		if r.Depth == 5 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, time.Second, time.Millisecond, "workers are left")
}
