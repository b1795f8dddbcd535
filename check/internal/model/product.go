package model

import (
	"callops/check/event"
	"callops/check/internal/guest"
	"callops/check/internal/search"
	"callops/check/internal/weak"
	"callops/check/property"
)

// product is a scenario as a search sees it: the program's steps, the tasks'
// nodes, and what each CPU sees. It implements search.Model; see expand.go.
type product struct {
	sc      *Scenario
	p       *program
	g       *guest.Machine
	kinds   []int // by CPU: the kind of its task, ascending
	reduced bool

	settled []weak.Time // by time: how far the patcher goes on without a visible step
	reads   []int       // data locations that CPUs read
	words   []int       // instructions that change and that CPUs fetch
	slot    []int       // by location: its place among reads, or -1
	enters  [][][]int   // by kind and call: the numbers of the functions that it enters

	blocks   blocks
	controls controls

	known touches // by CPUs, as far as is known

	news   int     // see guest.Machine.News
	missed touches // what was not known
	lost   bool    // there is some
}

// touches is what CPUs may touch of what patchers do.
type touches struct {
	read map[int]bool // locations
	used uint64       // objects that are freed at some time
}

// add adds what another has.
func (t *touches) add(more *touches) {
	for loc := range more.read {
		t.read[loc] = true
	}
	t.used |= more.used
}

// newProduct prepares a search in which CPUs run these kinds of tasks and read
// these locations.
func newProduct(sc *Scenario, p *program, g *guest.Machine, kinds []int, reduced bool, known touches) *product {
	m := &product{sc: sc, p: p, g: g, kinds: kinds, reduced: reduced, known: known, missed: touches{read: map[int]bool{}}, news: g.News()}
	m.blocks.ids, m.controls.ids = map[string]search.Part{}, map[control]search.Control{}
	p.hist.MarkRead(known.read)
	m.slot = make([]int, p.hist.Locations())
	for i := range m.slot {
		m.slot[i] = -1
		switch {
		case !known.read[i]:
		case p.hist.Location(i).Text:
			m.words = append(m.words, i)
		default:
			m.slot[i] = len(m.reads)
			m.reads = append(m.reads, i)
		}
	}
	m.settled = make([]weak.Time, len(p.steps))
	for t := len(p.steps) - 1; t >= 0; t-- {
		m.settled[t] = weak.Time(t)
		if kids := p.kids[t]; reduced && len(kids) == 1 && m.unnoticed(kids[0]) {
			m.settled[t] = m.settled[kids[0]]
		}
	}
	for _, calls := range p.tasks {
		var enters [][]int
		for _, f := range calls {
			enters = append(enters, p.enters[f])
		}
		m.enters = append(m.enters, enters)
	}
	return m
}

// unnoticed reports whether no CPU can find out that a step has been made.
func (m *product) unnoticed(t weak.Time) bool {
	h := m.p.hist
	switch m.p.steps[t].Kind {
	case event.Store, event.StoreText:
		return !h.Relevant(t)
	case event.WriteBarrier:
		return true
	case event.Free:
		return m.p.freedAt(t)&m.known.used == 0
	case event.CallRCU:
		return m.p.callbacks[m.p.steps[t].Call].objects&m.known.used == 0
	case event.DataBarrier, event.CleanText:
		// Unless it completes stores on the way.
		up := h.Parent(t)
		return !h.Relevant(t) && h.CanonData(up) == h.CanonData(h.Completed(up))
	}
	return false
}

// stale reports whether the search went by what turned out to be wrong: that a
// location is not read, or not any more, or an object not used. All that it found is void.
func (m *product) stale() bool { return m.lost || m.reduced && m.g.News() != m.news }

// learn notes the locations that a node reads, and the objects that it uses, which
// were not known.
func (m *product) learn(n *guest.Node) {
	for _, l := range n.Loads {
		if m.slot[l.Loc] < 0 {
			m.miss(func(t *touches) { t.read[l.Loc] = true })
		}
	}
	if n.Fetch >= 0 && !m.p.hist.IsRead(n.Fetch) {
		m.miss(func(t *touches) { t.read[n.Fetch] = true })
	}
	for _, o := range n.Uses {
		if m.known.used>>o&1 == 0 {
			m.miss(func(t *touches) { t.used |= 1 << o })
		}
	}
}

func (m *product) miss(add func(*touches)) {
	add(&m.missed)
	m.lost = true
}

// move is a step of a patcher, a callback or a CPU in a state.
type move struct {
	cpu   int       // -1: the patcher's, or a callback
	time  weak.Time // the patcher's Step
	call  int       // the callback that runs, plus one
	node  *guest.Node
	in    guest.Input
	to    *guest.Node
	event event.Kind // of a CPU's

	broken *property.Broken // what the move breaks
}
