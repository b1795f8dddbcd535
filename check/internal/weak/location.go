package weak

import (
	"encoding/binary"
	"fmt"
	"sort"
)

// Version is one value of a location: its number among the location's
// versions. 0 is what it held at the beginning. Numbers of different branches
// are not comparable; along one branch they grow.
type Version uint8

// maxVersions bounds the stores to one location.
const maxVersions = 255

type version struct {
	at    Time
	value uint64
	rel   Time // all up to it is visible to a CPU that read this version, in what depends on it
	whole int
}

// Location is a range of memory that is always stored as one: a word of text,
// or an aligned doubleword or word of data.
type Location struct {
	Addr, Size uint64
	Text       bool

	versions []version
	latest   []Version // by time
	clean    []Version // by time: the newest that has been cleaned; text only
	cleaned  []Time    // by time: when that became so
	relevant bool
}

// Freeze finds the locations. initial reads what memory held at the beginning,
// isText reports where instructions are.
func (h *History) Freeze(initial func(addr, size uint64) (uint64, error), isText func(addr uint64) bool) error {
	h.byPos = map[uint64]int{}
	for _, at := range h.storedWords(isText) {
		v, err := initial(at.Addr, at.Size)
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		at.versions = []version{{value: v}}
		at.latest = make([]Version, len(h.nodes))
		if at.Text {
			at.clean, at.cleaned = make([]Version, len(h.nodes)), make([]Time, len(h.nodes))
		}
		for a := at.Addr; a < at.Addr+at.Size; a += 4 {
			h.byPos[a] = len(h.locs)
		}
		h.locs = append(h.locs, at)
	}
	for t := 1; t < len(h.nodes); t++ {
		if err := h.replay(Time(t)); err != nil {
			return err
		}
	}
	h.canon()
	return nil
}

// storedWords returns the locations in address order. Doublewords that are
// ever stored to in part fall into two words.
func (h *History) storedWords(isText func(uint64) bool) []Location {
	split := map[uint64]bool{} // by doubleword: whether it is stored to in part
	for _, n := range h.nodes {
		if n.Kind != Store && n.Kind != Release {
			continue
		}
		whole := n.Size == 8 && n.Addr%8 == 0
		for a := n.Addr &^ 7; a < n.Addr+n.Size; a += 8 {
			split[a] = split[a] || !whole
		}
	}
	var locs []Location
	for a, parts := range split {
		if !parts {
			locs = append(locs, Location{Addr: a, Size: 8, Text: isText(a)})
			continue
		}
		for _, half := range []uint64{a, a + 4} {
			if h.stores(half) {
				locs = append(locs, Location{Addr: half, Size: 4, Text: isText(half)})
			}
		}
	}
	sort.Slice(locs, func(i, j int) bool { return locs[i].Addr < locs[j].Addr })
	return locs
}

// stores reports whether the word at addr is ever stored to.
func (h *History) stores(addr uint64) bool {
	for _, n := range h.nodes {
		if (n.Kind == Store || n.Kind == Release) && n.Addr <= addr && addr < n.Addr+n.Size {
			return true
		}
	}
	return false
}

// replay fills the tables for t, which comes after its parent.
func (h *History) replay(t Time) error {
	n := &h.nodes[t]
	for i := range h.locs {
		l := &h.locs[i]
		l.latest[t] = l.latest[n.parent]
		if l.Text {
			l.clean[t], l.cleaned[t] = l.clean[n.parent], l.cleaned[n.parent]
			if n.Kind == Clean && l.Addr+l.Size > n.Addr && l.Addr < n.Addr+n.Size && l.clean[t] != l.latest[t] {
				l.clean[t], l.cleaned[t] = l.latest[t], t
			}
		}
	}
	if n.Kind != Store && n.Kind != Release {
		return nil
	}
	rel := n.ordered
	if n.Kind == Release {
		rel = n.parent
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n.Value)
	for a := n.Addr; a < n.Addr+n.Size; {
		l := &h.locs[h.byPos[a&^3]]
		if len(l.versions) > maxVersions {
			return fmt.Errorf("history: more than %d stores to %#x", maxVersions, l.Addr)
		}
		var part [8]byte
		copy(part[:l.Size], b[a-n.Addr:])
		l.latest[t] = Version(len(l.versions))
		l.versions = append(l.versions, version{
			at: t, value: binary.LittleEndian.Uint64(part[:]), rel: rel, whole: n.Whole,
		})
		a += l.Size
	}
	return nil
}

// Locations returns how many there are.
func (h *History) Locations() int { return len(h.locs) }

// Location returns the i-th, in address order.
func (h *History) Location(i int) *Location { return &h.locs[i] }

// At returns the location that the aligned word at addr is in.
func (h *History) At(addr uint64) (loc int, ok bool) {
	loc, ok = h.byPos[addr&^3]
	return loc, ok
}

// Value is what a version holds.
func (l *Location) Value(v Version) uint64 { return l.versions[v].value }

// Whole numbers the value that a version is a part of; see [Event].
func (l *Location) Whole(v Version) int { return l.versions[v].whole }

// Brings is what a version makes visible to what depends on it.
func (l *Location) Brings(v Version) Time { return l.versions[v].rel }

// Since is the earliest time from which on a location looks to a CPU as it does
// from t on: one that has seen all data, or all clean instructions, up to then.
func (l *Location) Since(t Time) Time {
	if l.Text {
		return l.cleaned[t]
	}
	return l.versions[l.latest[t]].at
}

// Latest is the newest version at t.
func (l *Location) Latest(t Time) Version { return l.latest[t] }

// Cleaned is the oldest version of an instruction that a CPU may fetch which
// took a context synchronization event at t.
func (l *Location) Cleaned(t Time) Version { return l.clean[t] }

// Before is the version before v on its branch.
func (h *History) Before(l *Location, v Version) Version {
	return l.latest[h.nodes[l.versions[v].at].parent]
}
