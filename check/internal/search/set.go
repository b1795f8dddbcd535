package search

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// set is the states at one control, by number: three bits each. It is a tree, whose leaves and pages are there
// once they are needed.
type set struct {
	leaves []atomic.Pointer[leaf]
	room   *room
}

const (
	cellBits = 6 // of a number, for a state in a cell
	pageBits = 6 // for a cell in a page
	leafBits = 6 // for a page in a leaf

	pageStates = 1 << (cellBits + pageBits)
	leafPages  = 1 << leafBits
)

// cell is 64 states: those seen in earlier levels, those of them to visit in this one, and
// those that come in the next, of which other workers may find more at any time.
type cell struct{ seen, fresh, next uint64 }

type page [1 << pageBits]cell

type leaf struct {
	pages [leafPages]atomic.Pointer[page]

	// By page, a bit each: whether there are states to visit in this level, and in the next.
	fresh, next uint64
}

// room is memory that a search may take up. What it is asked for only grows
// within a level, and is the same at its end whatever the workers' order was; so
// whether a level fits does not depend on it.
type room struct {
	max  int64 // bytes
	used atomic.Int64
}

// noBound is more than there is.
const noBound = 1 << 48

func (r *room) take(n int) { r.used.Add(int64(n)) }

// full reports whether more was asked for than there is.
func (r *room) full() bool { return r.used.Load() > r.max }

// fit makes place for numbers below n, if there is room.
func (s *set) fit(n uint64) {
	const states = pageStates * leafPages
	have, want := len(s.leaves), int((n+states-1)/states)
	if want <= have {
		return
	}
	want = max(want, have+have/8)
	s.room.take((want - have) * int(unsafe.Sizeof(s.leaves[0])))
	if s.room.full() {
		return
	}
	leaves := make([]atomic.Pointer[leaf], want)
	for i := range s.leaves {
		leaves[i].Store(s.leaves[i].Load())
	}
	s.leaves = leaves
}

// page returns a page, and the leaf that it is in.
func (s *set) page(n uint64) (*leaf, *page) {
	at := &s.leaves[n>>(cellBits+pageBits+leafBits)]
	l := at.Load()
	if l == nil {
		l = new(leaf)
		if at.CompareAndSwap(nil, l) {
			s.room.take(int(unsafe.Sizeof(*l)))
		} else {
			l = at.Load()
		}
	}
	to := &l.pages[n>>(cellBits+pageBits)%leafPages]
	p := to.Load()
	if p == nil {
		p = new(page)
		if to.CompareAndSwap(nil, p) {
			s.room.take(int(unsafe.Sizeof(*p)))
		} else {
			p = to.Load()
		}
	}
	return l, p
}

// add adds a state to the next level, and reports whether it is new.
func (s *set) add(n uint64) bool {
	l, p := s.page(n)
	c, bit := &p[n>>cellBits%(1<<pageBits)], uint64(1)<<(n%64)
	if (c.seen|atomic.LoadUint64(&c.next))&bit != 0 || atomic.OrUint64(&c.next, bit)&bit != 0 {
		return false
	}
	if b := uint64(1) << (n >> (cellBits + pageBits) % leafPages); atomic.LoadUint64(&l.next)&b == 0 {
		atomic.OrUint64(&l.next, b)
	}
	return true
}

// pass makes the next level this one.
func (s *set) pass() {
	for i := range s.leaves {
		l := s.leaves[i].Load()
		if l == nil {
			continue
		}
		for both := l.next | l.fresh; both != 0; both &= both - 1 {
			p := l.pages[bits.TrailingZeros64(both)].Load()
			for j := range p {
				c := &p[j]
				c.seen |= c.next
				c.fresh, c.next = c.next, 0
			}
		}
		l.fresh, l.next = l.next, 0
	}
}

// span is a page with states to visit, which are numbered from first.
type span struct {
	control *control
	page    *page
	first   uint64
}

// spans appends those of this level.
func (s *set) spans(to []span, c *control) []span {
	for i := range s.leaves {
		l := s.leaves[i].Load()
		if l == nil {
			continue
		}
		for fresh := l.fresh; fresh != 0; fresh &= fresh - 1 {
			number := bits.TrailingZeros64(fresh)
			to = append(to, span{c, l.pages[number].Load(), uint64(i*leafPages+number) * pageStates})
		}
	}
	return to
}

// each calls f with every state seen, and whether it is one to visit in this level.
func (s *set) each(f func(n uint64, fresh bool)) {
	for i := range s.leaves {
		l := s.leaves[i].Load()
		if l == nil {
			continue
		}
		for number := range l.pages {
			p := l.pages[number].Load()
			if p == nil {
				continue
			}
			first := uint64(i*leafPages+number) * pageStates
			for j := range p {
				for seen := p[j].seen; seen != 0; seen &= seen - 1 {
					f(first+uint64(j*64+bits.TrailingZeros64(seen)), p[j].fresh&seen&-seen != 0)
				}
			}
		}
	}
}

// size is what it takes up, in bytes.
func (s *set) size() int {
	n := len(s.leaves) * int(unsafe.Sizeof(s.leaves[0]))
	for i := range s.leaves {
		if l := s.leaves[i].Load(); l != nil {
			n += int(unsafe.Sizeof(*l))
			for number := range l.pages {
				if l.pages[number].Load() != nil {
					n += int(unsafe.Sizeof(page{}))
				}
			}
		}
	}
	return n
}

// put adds a state that was seen, and may be one to visit in this level.
func (s *set) put(n uint64, fresh bool) {
	l, p := s.page(n)
	c, bit := &p[n>>cellBits%(1<<pageBits)], uint64(1)<<(n%64)
	c.seen |= bit
	if fresh {
		c.fresh |= bit
		l.fresh |= 1 << (n >> (cellBits + pageBits) % leafPages)
	}
}
