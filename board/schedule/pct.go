package schedule

import (
	"math/rand/v2"
	"slices"

	"callops/board"
)

// PCT is probabilistic concurrency testing (Burckhardt and others, ASPLOS 2010): the CPU with the highest priority executes, and at depth
// points the one that executes gets the lowest. A CPU gets the lowest too when a caller on it has ended a call, at every other end of a step, and when
// it has executed for long. One that spins lets the others go on for a few instructions before it looks again.
//
// Three of four points lie at accesses that CPUs share, the others anywhere. The first lies anywhere in the schedule; of those behind it, half lie in a
// call of a caller, close to its beginning: a call is some hundred instructions of a hundred thousand.
type PCT struct {
	rng      *rand.Rand
	priority [board.MaxCPUs]int
	lowest   int
	counts   []uint64 // points by the schedule's count of instructions, in order
	events   []uint64 // by its count of shared accesses
	event    uint64   // shared accesses so far
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

const (
	callBits  = 10 // log2 of the instructions of a call in which points lie
	callEvent = 16 // and of its shared accesses

	// unfair is how many instructions a CPU executes before it lets others go on in any case.
	unfair = 20_000_000
)

// NewPCT returns the policy of a seed for schedules of about count instructions and as many shared accesses as events.
func NewPCT(seed uint64, depth int, count, events uint64) *PCT {
	t := &PCT{rng: rand.New(rand.NewPCG(seed, 0x9c7))}
	for i, v := range t.rng.Perm(board.MaxCPUs) {
		t.priority[i] = v
	}
	for i := range depth {
		switch {
		case i > 0 && t.rng.IntN(2) == 0:
			t.inCalls++
		case events > 0 && t.rng.IntN(4) > 0:
			t.events = append(t.events, 1+t.rng.Uint64N(events))
		default:
			t.counts = append(t.counts, t.rng.Uint64N(max(count, 1)))
		}
	}
	slices.Sort(t.counts)
	slices.Sort(t.events)
	return t
}

// Next implements [Policy].
func (t *PCT) Next(p *Point) (int, uint64) {
	if p.Last >= 0 {
		t.ended(p)
	}
	for len(t.counts) > 0 && t.counts[0] <= p.Count {
		t.counts = t.counts[1:]
		t.lower(max(p.Last, 0))
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
	if len(t.counts) > 0 {
		n = min(n, t.counts[0]-p.Count)
	}
	return best, n
}

// ended takes notice of why the last turn ended.
func (t *PCT) ended(p *Point) {
	s := &t.spun[p.Last]
	switch {
	case p.End != board.TurnSpins:
		*s = spin{}
	case p.Ready != 1<<p.Last:
		s.turns++
		s.until = p.Count + s.pause()
	}
	switch {
	case p.End == board.TurnPoint:
		t.event++
		if len(t.events) > 0 && t.events[0] <= t.event {
			t.events = t.events[1:]
			t.lower(p.Last)
		}
	case p.End == board.TurnServed && p.Calls>>p.Last&1 == 1 && t.inCalls > 0 && t.rng.IntN(2) == 0:
		t.inCalls--
		t.pointInCall(p)
	case p.Callers>>p.Last&1 == 1 || p.Run >= unfair, p.End == board.TurnHeld && t.rng.IntN(2) == 0:
		t.lower(p.Last)
	}
}

// pointInCall chooses a point in a call that begins.
func (t *PCT) pointInCall(p *Point) {
	if p.Shared && t.rng.IntN(4) > 0 {
		t.events = append(t.events, t.event+1+t.rng.Uint64N(callEvent))
		slices.Sort(t.events)
		return
	}
	n := uint64(1) << t.rng.IntN(callBits)
	t.counts = append(t.counts, p.Count+n+t.rng.Uint64N(n))
	slices.Sort(t.counts)
}

func (t *PCT) lower(cpu int) {
	t.lowest--
	t.priority[cpu] = t.lowest
}
