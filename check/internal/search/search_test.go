package search_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check/internal/search"
)

// graph is a model whose states are numbers, written into so many bytes.
type graph struct {
	size   int
	next   [][]int // by state: where each move leads; -1 breaks something
	final  map[int]bool
	failAt int // a state that can't be expanded, if > 0
}

var errExpand = errors.New("no successors today")

func (g *graph) Size() int { return g.size }

func (g *graph) Initial(s []byte) { g.put(s, 0) }

// put spreads a number over a state: its last bytes are the number, the others
// depend on it.
func (g *graph) put(s []byte, n int) {
	for i := range s {
		s[i] = byte(n * (i + 1))
	}
	binary.LittleEndian.PutUint32(s[len(s)-4:], uint32(n))
}

func (g *graph) number(s []byte) int { return int(binary.LittleEndian.Uint32(s[len(s)-4:])) }

func (g *graph) Expand(s []byte, out *search.Successors) error {
	n := g.number(s)
	if n == g.failAt && n > 0 {
		return errExpand
	}
	for _, to := range g.next[n] {
		if to < 0 {
			out.Break()
			continue
		}
		g.put(out.Add(s), to)
	}
	if g.final[n] {
		out.Final()
	}
	return nil
}

// naive searches with a queue and a map. ways is the length of the shortest
// way to something broken, or -1.
func (g *graph) naive() (states, transitions, depth, ways int) {
	level := map[int]int{0: 0}
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		depth = level[n]
		broken := len(g.next[n]) == 0 && !g.final[n]
		for _, to := range g.next[n] {
			broken = broken || to < 0
		}
		if broken {
			ways = level[n]
			return len(level), transitions, depth, ways
		}
		for _, to := range g.next[n] {
			transitions++
			if _, ok := level[to]; !ok {
				level[to] = level[n] + 1
				queue = append(queue, to)
			}
		}
	}
	return len(level), transitions, depth, -1
}

func randomGraph(rnd *rand.Rand, states int, faulty bool) *graph {
	g := &graph{size: 4 + rnd.IntN(30), next: make([][]int, states), final: map[int]bool{}}
	for n := range g.next {
		for range rnd.IntN(4) {
			g.next[n] = append(g.next[n], rnd.IntN(states))
		}
		g.final[n] = len(g.next[n]) == 0
	}
	if faulty {
		switch n := rnd.IntN(states); rnd.IntN(2) {
		case 0:
			g.next[n] = append(g.next[n], -1, rnd.IntN(states))
		case 1:
			g.next[n], g.final[n] = nil, false
		}
	}
	return g
}

func TestExplore_FindsWhatAMapFinds(t *testing.T) {
	faults := 0
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		g := randomGraph(rnd, 1+rnd.IntN(3000), seed%2 == 1)
		states, transitions, depth, way := g.naive()
		for _, workers := range []int{1, 2, 7} {
			r, err := search.Explore(t.Context(), g, &search.Options{Workers: workers})
			require.NoError(t, err)
			assert.True(t, r.Complete)
			if way < 0 {
				require.False(t, r.Broken, "seed %d", seed)
				assert.Equal(t, [3]int{states, transitions, depth}, [3]int{r.States, r.Transitions, r.Depth}, "seed %d", seed)
				continue
			}
			faults++
			require.True(t, r.Broken, "seed %d", seed)
			checkTrace(t, g, shortest(t, g), way)
		}
	}
	assert.Positive(t, faults)
}

func shortest(t *testing.T, m search.Model) *search.Trace {
	t.Helper()
	tr, err := search.Shortest(t.Context(), m)
	require.NoError(t, err)
	return tr
}

// checkTrace goes the way, which has to break something after so many states.
func checkTrace(t *testing.T, g *graph, tr *search.Trace, way int) {
	t.Helper()
	n, states := 0, 0
	for i, move := range tr.Moves {
		require.Less(t, move, len(g.next[n]))
		to := g.next[n][move]
		if i == len(tr.Moves)-1 && to < 0 {
			assert.Equal(t, way, states)
			return
		}
		require.GreaterOrEqual(t, to, 0)
		n, states = to, states+1
	}
	assert.Equal(t, way, states)
	assert.True(t, len(g.next[n]) == 0 && !g.final[n], "nothing follows, and something should")
}

// counter counts to the product of its bases, each place on its own: many
// states, of which many differ in one byte.
type counter struct{ bases []byte }

func (c counter) Size() int        { return len(c.bases) }
func (c counter) Initial(s []byte) { clear(s) }

func (c counter) Expand(s []byte, out *search.Successors) error {
	moved := false
	for i, base := range c.bases {
		if s[i]+1 < base {
			out.Add(s)[i]++
			moved = true
		}
	}
	if !moved {
		out.Final()
	}
	return nil
}

func TestExplore_TellsStatesApartThatDifferInOneByte(t *testing.T) {
	for _, size := range []int{5, 7, 8, 9, 15, 16, 17} {
		c := counter{make([]byte, size)}
		want := 1
		for i := range c.bases {
			c.bases[i] = 1
		}
		for i := range 5 {
			c.bases[i*(size-1)/4] = 7
		}
		for range 5 {
			want *= 7
		}
		moves := 5 * want / 7 * 6
		r, err := search.Explore(t.Context(), c, nil)
		require.NoError(t, err)
		assert.Equal(t, [3]int{want, moves, 30}, [3]int{r.States, r.Transitions, r.Depth}, "%d bytes", size)
		assert.True(t, r.Complete)
		assert.False(t, r.Broken)
	}
}

func TestShortest_IsTheFirstOfTheShortest(t *testing.T) {
	g := &graph{
		size:  4,
		next:  [][]int{{1, 2, 3}, {4}, {5, -1}, {-1}, {0}, {-1}},
		final: map[int]bool{},
	}
	for _, workers := range []int{1, 2, 3, 8} {
		r, err := search.Explore(t.Context(), g, &search.Options{Workers: workers})
		require.NoError(t, err)
		require.True(t, r.Broken)
		assert.Equal(t, []int{1, 1}, shortest(t, g).Moves)
		assert.Equal(t, 2, r.Depth)
	}
}

func TestExplore_Deadlock(t *testing.T) {
	g := &graph{size: 4, next: [][]int{{1, 2}, {}, {3}, {}}, final: map[int]bool{3: true}}
	r, err := search.Explore(t.Context(), g, nil)
	require.NoError(t, err)
	require.True(t, r.Broken)
	assert.Equal(t, []int{0}, shortest(t, g).Moves)

	g.final[1] = true
	r, err = search.Explore(t.Context(), g, nil)
	require.NoError(t, err)
	assert.False(t, r.Broken)
	assert.True(t, r.Complete)

	g.next[3] = []int{3} // a cycle is no deadlock
	r, err = search.Explore(t.Context(), g, nil)
	require.NoError(t, err)
	assert.False(t, r.Broken)
	assert.Equal(t, 4, r.States)
}

func TestExplore_Bounds(t *testing.T) {
	c := counter{[]byte{9, 9, 9, 9, 9}}
	r, err := search.Explore(t.Context(), c, &search.Options{Depth: 3})
	require.NoError(t, err)
	assert.Equal(t, search.ByDepth, r.Bound)
	assert.Equal(t, 3, r.Depth)
	assert.Equal(t, 1+5+15+35, r.States)
	assert.False(t, r.Complete)

	r, err = search.Explore(t.Context(), c, &search.Options{Memory: 1 << 18})
	require.NoError(t, err)
	assert.Equal(t, search.ByMemory, r.Bound)
	assert.Less(t, r.States, 9*9*9*9*9)
	assert.False(t, r.Complete)
	for _, workers := range []int{1, 2, 7} {
		again, err := search.Explore(t.Context(), c, &search.Options{Memory: 1 << 18, Workers: workers})
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
	assert.Equal(t, 9*9*9*9*9, r.States)
}

// A search that is stopped gives no verdict, even if it has found something.
func TestExplore_StopComesBeforeWhatWasFound(t *testing.T) {
	g := &graph{size: 4, next: [][]int{{-1}}, final: map[int]bool{}}
	r, err := search.Explore(t.Context(), g, &search.Options{Stop: func() bool { return true }})
	require.NoError(t, err)
	assert.False(t, r.Complete)
	assert.False(t, r.Broken)
}

func TestShortest_WhereNothingIsBroken(t *testing.T) {
	_, err := search.Shortest(t.Context(), counter{[]byte{2, 2}})
	assert.EqualError(t, err, "search: no state is broken")
}

func TestExplore_Progress(t *testing.T) {
	var depths []int
	states := 0
	r, err := search.Explore(t.Context(), counter{[]byte{3, 3}}, &search.Options{Progress: func(r search.Result) {
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
	g := randomGraph(rand.New(rand.NewPCG(1, 6)), 5000, false)
	states, _, _, _ := g.naive()
	require.Greater(t, states, 1000)
	g.failAt = g.next[0][0]
	_, err := search.Explore(t.Context(), g, &search.Options{Workers: 4})
	require.ErrorIs(t, err, errExpand)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = search.Explore(ctx, counter{[]byte{9, 9}}, nil)
	require.ErrorIs(t, err, context.Canceled)

	ctx, cancel = context.WithCancel(t.Context())
	_, err = search.Explore(ctx, counter{[]byte{9, 9, 9, 9}}, &search.Options{Progress: func(r search.Result) {
		if r.Depth == 5 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }, time.Second, time.Millisecond, "workers are left")
}
