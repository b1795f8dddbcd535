package schedule

import (
	"math/rand/v2"
	"slices"

	"callops/board"
)

// PCT is probabilistic concurrency testing (Burckhardt and others, ASPLOS 2010): the CPU with the highest priority executes, and at depth
// points the one that executes gets the lowest. A CPU gets the lowest too when a caller on it has ended a call, and when it has executed for
// long. One that spins lets the others go on for a few instructions before it looks again.
//
// Points lie anywhere in the schedule, and half of those behind the first in a call of a caller, as often at each power of two of instructions from
// its beginning: a call is some hundred instructions of millions.
type PCT struct {
	rng      *rand.Rand
	priority [board.MaxCPUs]int
	lowest   int
	points   []uint64 // in order
	inCalls  int      // points that lie in calls that are not chosen yet
	spun     [board.MaxCPUs]spin
}

// spin is a CPU that waits for what another one does.
type spin struct {
	until uint64 // the schedule's count at which it looks again
	turns int    // in which it has done nothing else
}

// pause is for how many instructions others go on.
func (s *spin) pause() uint64 { return 64 << min(s.turns/64, 6) }

// callBits is log2 of the instructions of a call in which points lie.
const callBits = 10

// unfair is how many instructions a CPU executes before it lets others go on in any case.
const unfair = 20_000_000

// NewPCT returns the policy of a seed for schedules of about count instructions.
func NewPCT(seed uint64, depth int, count uint64) *PCT {
	rng := rand.New(rand.NewPCG(seed, 0x9c7))
	t := &PCT{rng: rng}
	for i, v := range rng.Perm(board.MaxCPUs) {
		t.priority[i] = v
	}
	for i := range depth {
		if i > 0 && rng.IntN(2) == 0 {
			t.inCalls++
			continue
		}
		t.points = append(t.points, rng.Uint64N(max(count, 1)))
	}
	slices.Sort(t.points)
	return t
}

// Next implements [Policy].
func (t *PCT) Next(p *Point) (int, uint64) {
	if p.Last >= 0 {
		s := &t.spun[p.Last]
		switch {
		case p.End != board.TurnSpins:
			*s = spin{}
		case p.Ready != 1<<p.Last:
			s.turns++
			s.until = p.Count + s.pause()
		}
		if p.Callers>>p.Last&1 == 1 || p.Run >= unfair {
			t.lower(p.Last)
		}
	}
	for len(t.points) > 0 && t.points[0] <= p.Count {
		t.points = t.points[1:]
		t.lower(max(p.Last, 0))
	}
	if t.inCalls > 0 && p.Calls>>max(p.Last, 0)&1 == 1 && t.rng.IntN(2) == 0 {
		t.inCalls--
		n := uint64(1) << t.rng.IntN(callBits)
		t.points = append(t.points, p.Count+n+t.rng.Uint64N(n))
		slices.Sort(t.points)
	}
	best, n := -1, uint64(unfair)
	for cpu, v := range t.priority {
		switch {
		case p.Ready>>cpu&1 == 0:
		case t.spun[cpu].until > p.Count:
			n = min(n, t.spun[cpu].until-p.Count)
		case best < 0 || v > t.priority[best]:
			best = cpu
		}
	}
	if best < 0 { // all spin
		best, n = p.Last, 1
		t.spun = [board.MaxCPUs]spin{}
	}
	if len(t.points) > 0 {
		n = min(n, t.points[0]-p.Count)
	}
	return best, n
}

func (t *PCT) lower(cpu int) {
	t.lowest--
	t.priority[cpu] = t.lowest
}
