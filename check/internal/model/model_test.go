package model

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/check/internal/search"
	"callops/check/internal/weak"
)

// A version stands for a newer one that holds the same only if it does not
// bring more: not a store-release for a plain store after it.
func TestSameAsOlder_KeepsAVersionThatBringsLess(t *testing.T) {
	const addr = 0x1000
	for _, tt := range []struct {
		name  string
		first weak.Kind
		want  bool
	}{
		{"plain", weak.Store, true},
		{"release", weak.Release, false},
	} {
		h, at := weak.New(), weak.Time(0)
		for _, e := range []weak.Event{
			{Kind: weak.Store, Addr: addr + 8, Size: 8, Value: 1},
			{Kind: tt.first, Addr: addr, Size: 8, Value: 1},
			{Kind: weak.Store, Addr: addr, Size: 8, Value: 2},
			{Kind: weak.Store, Addr: addr, Size: 8, Value: 1},
		} {
			var err error
			at, err = h.Append(at, e)
			require.NoError(t, err)
		}
		require.NoError(t, h.Freeze(func(uint64, uint64) (uint64, error) { return 0, nil }, func(uint64) bool { return false }))
		reader := turn{product: &product{p: &program{hist: h}}}
		l := h.Location(0)
		assert.Equal(t, tt.want, reader.sameAsOlder(l, l.Latest(at), 0), tt.name)
	}
}

// What is the first callback in one order of two operations is the second in
// the other: each frees what it frees, and no more.
func TestPrepare_CallbacksFreeTheSameInEveryOrder(t *testing.T) {
	live := func(name string) Ops { return Ops{Name: name, Filter: []string{Relevant}, Registered: true} }
	s, err := Prepare(t.Context(), &Scenario{
		Ops:     []Ops{live("A"), live("B")},
		Threads: [][]Operation{{Filter("A", Irrelevant)}, {Filter("B", Irrelevant)}},
		Tasks:   []Task{{Calls: []string{Relevant}}},
	}, &Options{})
	require.NoError(t, err)
	defer s.Close()
	var objects []int
	for _, c := range s.p.callbacks {
		objects = append(objects, bits.OnesCount64(c.objects))
	}
	assert.Equal(t, []int{1, 1}, objects)
}

func TestPrepare_AnOperationOnAnOpsThatIsNotThere(t *testing.T) {
	_, err := Prepare(t.Context(), &Scenario{
		Ops:     []Ops{{Name: "A", Filter: []string{Relevant}}},
		Threads: [][]Operation{{Register("B")}},
		Tasks:   []Task{{Calls: []string{Relevant}}},
	}, &Options{})
	assert.EqualError(t, err, "register B: the scenario has no ops B")
}

// A CPU that has finished its program waits for nothing.
func TestPlay_TheEndIsNoDeadlock(t *testing.T) {
	s, err := Prepare(t.Context(), &Scenario{
		Ops:     []Ops{{Name: "A", Filter: []string{Relevant}}},
		Threads: [][]Operation{{Register("A")}},
		Tasks:   []Task{{Calls: []string{Relevant, Relevant}}},
	}, &Options{})
	require.NoError(t, err)
	defer s.Close()
	p := s.newPlayer()
	var way Way
	for {
		list, err := p.moves(p.s)
		require.NoError(t, err)
		if len(list) == 0 {
			break
		}
		p.s = list[0].state
		way = append(way, list[0].choice(p.at(p.s)))
	}
	_, err = s.Play(way, func(*Report) error { return nil })
	require.ErrorIs(t, err, ErrWay)
	assert.ErrorContains(t, err, "breaks nothing")

	again, err := ParseWay(way.Bytes(), s.CPUs())
	require.NoError(t, err)
	assert.Equal(t, way, again)
}

// Whatever each of two tasks may do at a time of the patchers on one CPU, both may do there together, and nothing else:
// that is why CPUs need not be searched together. The patchers wait for CPUs here.
func TestProduct_CPUsDoTogetherWhatEachDoesAlone(t *testing.T) {
	s, err := Prepare(t.Context(), &Scenario{
		Ops:     []Ops{{Name: "A", Filter: []string{Relevant}, Registered: true}},
		Threads: [][]Operation{{Unregister("A"), Free("A")}},
		Tasks:   []Task{{Calls: []string{Relevant}}, {Calls: []string{Relevant}, Idle: true}},
	}, &Options{})
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Explore(t.Context(), search.Options{})
	require.NoError(t, err)

	usual, idle := alone(t, s, 0), alone(t, s, 1)
	alike, mixed := 0, 0
	for control, n := range usual {
		alike += n * (n + 1) / 2 // which of the two is where makes no difference
		mixed += n * idle[control]
	}
	for _, tt := range []struct {
		kinds []int
		want  int
	}{{[]int{0, 0}, alike}, {[]int{0, 1}, mixed}} {
		res, err := search.Explore(t.Context(), newProduct(s.sc, s.p, s.g, tt.kinds, true, s.known), nil)
		require.NoError(t, err)
		assert.False(t, res.Broken)
		assert.Equal(t, tt.want, res.States, "%v", tt.kinds)
	}
}

// alone counts, by what the patchers and callbacks have done, the states that a task comes to on one CPU.
func alone(t *testing.T, s *Subject, kind int) map[control]int {
	t.Helper()
	type at struct {
		control search.Control
		block   search.Part
	}
	m := newProduct(s.sc, s.p, s.g, []int{kind}, true, s.known)
	first := m.first()
	seen, count := map[at]bool{{first.control, first.blocks[0]}: true}, map[control]int{}
	for queue := []*state{first}; len(queue) > 0; queue = queue[1:] {
		count[m.controls.list[queue[0].control]]++
		list, err := m.moves(queue[0])
		require.NoError(t, err)
		for _, r := range list {
			require.Nil(t, r.broken)
			if to := (at{r.state.control, r.state.blocks[0]}); !seen[to] {
				seen[to] = true
				queue = append(queue, r.state)
			}
		}
	}
	return count
}
