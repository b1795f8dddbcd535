package model

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
		way = append(way, list[0].choice(getTime(p.s, atTime)))
	}
	_, err = s.Play(way, func(*Report) error { return nil })
	require.ErrorIs(t, err, ErrWay)
	assert.ErrorContains(t, err, "breaks nothing")

	again, err := ParseWay(way.Bytes(), s.CPUs())
	require.NoError(t, err)
	assert.Equal(t, way, again)
}
