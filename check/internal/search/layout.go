package search

import (
	"math"
	"sort"
)

// A layout numbers the states at a control without gaps. Components that are alike are
// a group; where they are is a multiset of places, in ascending order p1 ≤ p2 ≤ ... ≤ pm, and its number is
//
//	C(p1, 1) + C(p2+1, 2) + ... + C(pm+m-1, m)
//
// (the combinatorial number system). It does not depend on how many places there are, so more of
// them make no number another. The numbers of several groups are the digits of the state's.
type layout struct {
	groups []group
	comps  int
	choose [][]uint64 // by m and p: C(p+m-1, m), as often as places need it
}

// group is the components from first on, all of one kind.
type group struct{ kind, first, size int }

// tooMany is more states than can be numbered.
const tooMany = 1 << 44

// newLayout has the groups of components of these kinds, which are numbers in kinds.
func newLayout(kinds []int, alike bool) layout {
	l := layout{comps: len(kinds)}
	most := 0
	for i, kind := range kinds {
		last := len(l.groups) - 1
		if alike && last >= 0 && l.groups[last].kind == kind {
			l.groups[last].size++
		} else {
			l.groups = append(l.groups, group{kind, i, 1})
			last++
		}
		most = max(most, l.groups[last].size)
	}
	l.choose = make([][]uint64, most+1)
	l.grow(1)
	return l
}

// grow makes the tables large enough for so many places.
func (l *layout) grow(places int) {
	for m := 1; m < len(l.choose); m++ {
		t := l.choose[m]
		for p := len(t); p <= places+1; p++ {
			v := uint64(p)
			if m > 1 {
				v = 0
				if p > 0 { // C(p+m-1, m) = C(p+m-2, m) + C(p+m-2, m-1)
					v = min(t[p-1]+l.choose[m-1][p], math.MaxUint64/4)
				}
			}
			t = append(t, v)
		}
		l.choose[m] = t
	}
}

// digits is a layout for so many places of each kind.
type digits struct {
	room   []int    // by group: places
	stride []uint64 // by group: what one more counts
	total  uint64
}

func (l *layout) digits(room []int) digits {
	d := digits{room: room, total: 1}
	for i, g := range l.groups {
		d.stride = append(d.stride, d.total)
		n := l.choose[g.size][room[i]]
		if n > tooMany || d.total*n > tooMany {
			d.total = tooMany + 1
			return d
		}
		d.total *= n
	}
	return d
}

// digit is the number of a group's places, which are in ascending order.
func (l *layout) digit(places []uint32) (n uint64) {
	for i, p := range places {
		n += l.choose[i+1][p]
	}
	return n
}

// replaced is the number of a group's places where component k goes on to another.
func (l *layout) replaced(places []uint32, k int, to uint32) (n uint64) {
	if len(places) == 1 {
		return uint64(to)
	}
	m := 1
	for i, p := range places {
		if i == k {
			continue
		}
		if to <= p {
			n += l.choose[m][to]
			m++
			to = math.MaxUint32
		}
		n += l.choose[m][p]
		m++
	}
	if to != math.MaxUint32 {
		n += l.choose[m][to]
	}
	return n
}

// number is a state's, whose places are in ascending order in each group.
func (l *layout) number(d *digits, at []uint32) (n uint64) {
	for i, g := range l.groups {
		n += d.stride[i] * l.digit(at[g.first:g.first+g.size])
	}
	return n
}

// places is the other way round.
func (l *layout) places(d *digits, n uint64, at []uint32) {
	for i := len(l.groups) - 1; i >= 0; i-- {
		g := &l.groups[i]
		digit := n / d.stride[i]
		n -= digit * d.stride[i]
		for m := g.size; m > 0; m-- {
			t, p := l.choose[m], &at[g.first+m-1]
			if q := *p; int(q)+2 >= len(t) || t[q] > digit || t[q+1] <= digit { // not what it was the last time
				*p = uint32(sort.Search(len(t), func(i int) bool { return t[i] > digit }) - 1)
			}
			digit -= t[*p]
		}
	}
}

// order puts the places of each group in ascending order. comps, if not nil, is permuted alike.
func (l *layout) order(at []uint32, comps []int) {
	for _, g := range l.groups {
		for i := g.first + 1; i < g.first+g.size; i++ {
			for j := i; j > g.first && at[j-1] > at[j]; j-- {
				at[j-1], at[j] = at[j], at[j-1]
				if comps != nil {
					comps[j-1], comps[j] = comps[j], comps[j-1]
				}
			}
		}
	}
}
