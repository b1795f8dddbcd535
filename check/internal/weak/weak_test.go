package weak_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/check/internal/weak"
)

func TestExchangeable(t *testing.T) {
	for _, tt := range []struct {
		name string
		word uint32
		want bool
	}{
		{"nop", 0xd503201f, true},
		{"b", 0x14000001, true},
		{"b back", 0x17ffffff, true},
		{"bl", 0x94000001, true},
		{"bl back", 0x97ffffff, true},
		{"brk", 0xd4202000, true},
		{"hvc", 0xd4000002, true},
		{"smc", 0xd4000003, true},
		{"svc", 0xd4000001, true},
		{"isb", 0xd5033fdf, true},

		{"mov x9, x30", 0xaa1e03e9, false},
		{"b.eq", 0x54000000, false},
		{"cbz", 0xb4000000, false},
		{"bti c", 0xd503245f, false},
		{"yield", 0xd503203f, false},
		{"dsb ish", 0xd5033b9f, false},
		{"dmb ish", 0xd5033bbf, false},
		{"clrex", 0xd5033f5f, false},
		{"hlt", 0xd4400000, false},
		{"dcps1", 0xd4a00001, false},
		{"ret", 0xd65f03c0, false},
		{"blr x16", 0xd63f0200, false},
		{"udf", 0, false},
	} {
		assert.Equal(t, tt.want, weak.Exchangeable(tt.word), "%s, %s", tt.name, asm.Disassemble(tt.word, 0, nil))
	}
}

func TestHistory_RefusesWhatItCannotTell(t *testing.T) {
	zero := func(uint64, uint64) (uint64, error) { return 0, nil }
	for _, e := range []weak.Event{
		{Kind: weak.Store, Addr: x + 2, Size: 4},
		{Kind: weak.Store, Addr: x, Size: 2},
		{Kind: weak.Release, Addr: x, Size: 16},
	} {
		_, err := weak.New().Append(0, e)
		assert.Error(t, err, "%+v", e)
	}

	h, at := weak.New(), weak.Time(0)
	for i := range 256 {
		var err error
		at, err = h.Append(at, store(x, uint64(i)))
		require.NoError(t, err)
	}
	require.ErrorContains(t, h.Freeze(zero, isText), "more than 255 stores")

	h, at = weak.New(), 0
	for range 255 {
		var err error
		at, err = h.Append(at, store(x, 1))
		require.NoError(t, err)
	}
	require.NoError(t, h.Freeze(zero, isText))
	assert.EqualValues(t, 255, h.Location(0).Latest(at))
	assert.EqualValues(t, 254, h.Before(h.Location(0), 255))
}

// A store in parts makes its doubleword two locations, wherever it is in the
// tree; the rest stay whole.
func TestHistory_SplitsWhatIsStoredInParts(t *testing.T) {
	h := weak.New()
	at, err := h.Append(0, store(x, 0x1111_2222_3333_4444))
	require.NoError(t, err)
	_, err = h.Append(0, half(x+4, 5, 1)) // another branch
	require.NoError(t, err)
	misaligned, err := h.Append(at, weak.Event{Kind: weak.Store, Addr: y + 4, Size: 8, Value: 0xaaaa_aaaa_bbbb_bbbb})
	require.NoError(t, err)
	require.NoError(t, h.Freeze(func(uint64, uint64) (uint64, error) { return 7, nil }, isText))

	type loc struct {
		addr, size, value uint64
	}
	var got []loc
	for i := range h.Locations() {
		l := h.Location(i)
		got = append(got, loc{l.Addr, l.Size, l.Value(l.Latest(misaligned))})
	}
	assert.Equal(t, []loc{{x, 4, 0x3333_4444}, {x + 4, 4, 0x1111_2222}, {y + 4, 4, 0xbbbb_bbbb}, {z, 4, 0xaaaa_aaaa}}, got)
	_, ok := h.At(y)
	assert.False(t, ok, "nothing stores there")
	_, ok = h.At(z + 4)
	assert.False(t, ok)
}

// The tables hold what a walk back through the tree finds.
func TestHistory_TablesAreWhatATreeWalkFinds(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		h := weak.New()
		for range 1 + rnd.IntN(40) {
			parent := weak.Time(h.Len() - 1)
			if rnd.IntN(4) == 0 {
				parent = weak.Time(rnd.IntN(h.Len()))
			}
			_, err := h.Append(parent, randomEvent(rnd))
			require.NoError(t, err)
		}
		require.NoError(t, h.Freeze(func(uint64, uint64) (uint64, error) { return 0, nil }, isText))
		for i := range h.Len() {
			checkTime(t, h, weak.Time(i))
		}
	}
}

func randomEvent(rnd *rand.Rand) weak.Event {
	addr := []uint64{x, y, z}[rnd.IntN(3)]
	switch rnd.IntN(6) {
	case 0:
		return release(addr, rnd.Uint64N(3))
	case 1:
		return wmb
	case 2:
		return dsb
	case 3:
		return clean
	case 4:
		return patch(rnd.Uint64N(3))
	}
	return store(addr, rnd.Uint64N(3))
}

// checkTime compares what the history has for a time with a walk.
func checkTime(t *testing.T, h *weak.History, at weak.Time) {
	t.Helper()
	back := func(from weak.Time, want func(weak.Event) bool) weak.Time {
		for u := from; u > 0; u = h.Parent(u) {
			if want(h.Event(u)) {
				return u
			}
		}
		return 0
	}
	completes := func(e weak.Event) bool { return e.Kind == weak.Complete || e.Kind == weak.Clean }
	assert.Equal(t, back(at, completes), h.Completed(at))
	for i := range h.Locations() {
		l := h.Location(i)
		stores := func(e weak.Event) bool {
			return (e.Kind == weak.Store || e.Kind == weak.Release) && e.Addr == l.Addr
		}
		value := func(at weak.Time) uint64 {
			if u := back(at, stores); u > 0 {
				return h.Event(u).Value
			}
			return 0
		}
		newest := back(at, stores)
		assert.Equal(t, value(at), l.Value(l.Latest(at)))
		if l.Text {
			cleaned := back(at, func(e weak.Event) bool { return e.Kind == weak.Clean })
			assert.Equal(t, value(cleaned), l.Value(l.Cleaned(at)))
			assert.Equal(t, l.Cleaned(at), l.Cleaned(l.Since(at)), "looks the same since")
			continue
		}
		assert.Equal(t, newest, l.Since(at))
		brings := back(newest, func(e weak.Event) bool { return completes(e) || e.Kind == weak.Order })
		if h.Event(newest).Kind == weak.Release {
			brings = h.Parent(newest)
		}
		assert.Equal(t, brings, l.Brings(l.Latest(at)))
		assert.Equal(t, l.Latest(h.Parent(newest)), h.Before(l, l.Latest(at)))
	}
}

// To round a time down to its canonical one changes nothing that a reader of
// the locations marked may see.
func TestHistory_CanonicalTimesLookTheSame(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		h := weak.New()
		for range 20 {
			_, err := h.Append(weak.Time(h.Len()-1), randomEvent(rnd))
			require.NoError(t, err)
		}
		require.NoError(t, h.Freeze(func(uint64, uint64) (uint64, error) { return 0, nil }, isText))
		marked := map[int]bool{}
		for i := range h.Locations() {
			marked[i] = rnd.IntN(2) == 0
		}
		h.MarkRead(marked)
		for i := 1; i < h.Len(); i++ {
			at := weak.Time(i)
			changed := false
			for j := range h.Locations() {
				l := h.Location(j)
				assert.Equal(t, marked[j], h.IsRead(j))
				switch {
				case !marked[j]:
				case l.Text:
					assert.Equal(t, l.Cleaned(at), l.Cleaned(h.CanonText(at)))
					changed = changed || l.Cleaned(at) != l.Cleaned(at-1) || l.Latest(at) != l.Latest(at-1)
				default:
					assert.Equal(t, l.Latest(at), l.Latest(h.CanonData(at)))
					changed = changed || l.Latest(at) != l.Latest(at-1)
				}
			}
			assert.Equal(t, changed, h.Relevant(at), "seed %d, time %d", seed, at)
		}
	}
}
