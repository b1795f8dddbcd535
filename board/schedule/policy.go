package schedule

import (
	"math/bits"
	"math/rand/v2"

	"callops/board"
)

// Policy chooses a schedule as it runs.
type Policy interface {
	// Next chooses which CPU executes next, one of p.Ready, and for how many instructions at most. Its turn ends earlier
	// where it waits for an interrupt, spins, or a thread on it has ended a step.
	Next(p *Point) (cpu int, n uint64)
}

// Point is where a CPU is chosen.
type Point struct {
	Ready    uint          // the CPUs that can execute, a bit each; at least one
	Last     int           // the CPU that did last; -1 at the beginning
	End      board.TurnEnd // and why its turn ended
	Executed uint64        // instructions of that turn
	Run      uint64        // instructions that it has executed since another CPU did
	Count    uint64        // instructions executed in the schedule
	AtStep   uint          // CPUs on which a thread is about to make a step
	Callers  uint          // of these, those whose thread is a caller
	Calls    uint          // CPUs on which the call of a caller has just begun
	Shared   bool          // turns end before shared accesses
}

// Random has CPUs execute in turns of random length.
type Random struct {
	rng     *rand.Rand
	longest float64 // log2 of a turn's instructions
}

// NewRandom returns the policy of a seed. A turn has 1 to slice instructions, as many of each power of two.
func NewRandom(seed uint64, slice uint64) *Random {
	return &Random{rand.New(rand.NewPCG(seed, 0x5c4ed01e)), float64(bits.Len64(max(slice, 1) - 1))}
}

// Next implements [Policy].
func (r *Random) Next(p *Point) (int, uint64) {
	ready := p.Ready
	if p.End == board.TurnSpins && p.Last >= 0 && ready != 1<<p.Last {
		ready &^= 1 << p.Last // it waits for another one
	}
	k := r.rng.IntN(bits.OnesCount(ready))
	for ; k > 0; k-- {
		ready &= ready - 1
	}
	e := r.rng.Float64() * r.longest
	n := uint64(1) << uint(e)
	return bits.TrailingZeros(ready), n + r.rng.Uint64N(n)
}

// Policy returns the policy of a seed that finds most: PCT of depth 1 to 5, and random turns for each eighth seed.
func (l *Lab) Policy(seed uint64) Policy {
	const depths, turn = 5, 1 << 14
	if seed%8 == 7 {
		return NewRandom(seed, turn)
	}
	return l.PCT(seed, 1+int(seed%depths))
}

// counting is the schedule without a choice, and counts the shared accesses in it.
type counting struct {
	Fixed
	events uint64
}

// Next implements [Policy].
func (c *counting) Next(p *Point) (int, uint64) {
	if p.End == board.TurnPoint {
		c.events++
	}
	return c.Fixed.Next(p)
}

// PCT returns the policy of a seed and depth for this workload.
func (l *Lab) PCT(seed uint64, depth int) Policy { return NewPCT(seed, depth, l.usual, l.shares) }
