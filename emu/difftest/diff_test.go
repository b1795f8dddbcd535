package difftest

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
)

var (
	seedFlag  = flag.Uint64("seed", 1, "what the cases are drawn from; 0: the time")
	casesFlag = flag.Int("cases", 2_000_000, "how many cases TestDiff runs; with -short or -race, a twentieth")
)

const (
	shards      = 8
	batchCases  = 4096
	batchKinds  = 8      // one in so many batches is of blocks, one of branches
	maxFailures = 8      // classes that a shard reports
	enoughCases = 50_000 // meet every class many times
)

func TestDiff(t *testing.T) {
	if engineA == nil {
		t.Skip("built without cgo: there is one engine")
	}
	seed, cases := *seedFlag, *casesFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if testing.Short() || raceEnabled {
		cases /= 20
	}
	t.Logf("seed %d, %d cases", seed, cases)
	var mu sync.Mutex
	total, start := newCoverage(), time.Now()
	t.Run("shards", func(t *testing.T) {
		for i := range shards {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				sh := runShard(t, engineA, engineB, newSource(seed, uint64(i)), cases/shards)
				for class, text := range sh.failures {
					t.Errorf("%s:\n%s", class, text)
				}
				mu.Lock()
				defer mu.Unlock()
				total.add(sh.cov)
			})
		}
	})
	d := time.Since(start)
	t.Logf("%d cases in %v, %.0f a second", total.cases, d.Round(time.Millisecond), float64(total.cases)/d.Seconds())
	for _, k := range known {
		n := total.tolerated[k.reason]
		t.Logf("%d differences are meant: %s", n, k.reason)
		if cases >= enoughCases {
			assert.NotZero(t, n, "the reference does it right now, so this need not be tolerated: %s", k.reason)
		}
	}
	if testing.Verbose() {
		t.Logf("coverage:\n%s", total.table())
	}
	if *update && !t.Failed() {
		total.write(t, seed)
	}
}

// runShard runs cases from one source on engines of its own.
func runShard(t *testing.T, a, b emu.NewEngine, s *source, cases int) *shard {
	r, err := newRig(t.Context(), a, b)
	require.NoError(t, err)
	defer func() { assert.NoError(t, r.close()) }()
	sh := &shard{source: s, rig: r, cov: newCoverage(), failures: map[string]string{}}
	for batch := 0; sh.cov.cases < cases && len(sh.failures) < maxFailures; batch++ {
		require.NoError(t, sh.batch(batch, min(batchCases, cases-sh.cov.cases)))
	}
	return sh
}

type shard struct {
	*source
	rig      *rig
	cov      *coverage
	next     [2]int            // class of a single instruction: of branches, of others
	failures map[string]string // the first of each class, explained
}

// batch draws and runs up to n cases.
func (s *shard) batch(number, n int) error {
	if s.rig.cases > engineCases {
		if err := s.rig.reopen(); err != nil {
			return err
		}
	}
	if err := s.rig.fill(s.source); err != nil {
		return err
	}
	isBlock := number%batchKinds == 0
	cases := make([]*testCase, n)
	for i := range cases {
		var err error
		if cases[i], err = s.draw(number%batchKinds, i); err != nil {
			return err
		}
	}
	placed, err := s.rig.place(cases)
	if err != nil {
		return err
	}
	for _, c := range cases[:placed] {
		o, equal, err := s.rig.run(c)
		if err != nil {
			return err
		}
		s.cov.note(c, &o, isBlock)
		if equal {
			continue
		}
		if why := reason(c, s.rig, &o); why != "" {
			s.cov.tolerated[why]++
			s.rig.level()
			continue
		}
		// Counts and what a CPU keeps to itself may differ from now on, and the
		// memory of the other cases is gone.
		s.fail(c, &o)
		return s.rig.reopen()
	}
	return nil
}

// draw makes the i-th case of a batch.
func (s *shard) draw(batchKind, i int) (*testCase, error) {
	switch {
	case batchKind == 0:
		return block(s.source)
	case batchKind == 1 && i%2 == 0:
		return s.single(0, branches)
	case batchKind == 1:
		// A branch lands on whatever lies there, so that has to be harmless.
		return single(s.source, s.n(len(dataClasses)))
	}
	return s.single(1, others)
}

// single makes a case of the next class.
func (s *shard) single(which int, of []int) (*testCase, error) {
	s.next[which]++
	return single(s.source, of[s.next[which]%len(of)])
}

func (s *shard) fail(c *testCase, o *outcome) {
	name := "block"
	if len(c.classes) == 1 {
		name = classes[c.classes[0]].name
	}
	if s.failures[name] == "" {
		s.failures[name] = s.rig.explain(c, o)
	}
}
