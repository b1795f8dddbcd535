package interp

import (
	"cmp"
	"container/heap"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var updateSupers = flag.Bool("update", false, "choose the super-instructions of supers.txt again")

const (
	maxSupers  = 1500 // that fast.go may have
	maxParts   = 12   // of each
	worthwhile = 200  // dispatches that one has to save, of a million instructions of some workload
)

// run is a straight run that a workload executed.
type run struct {
	weight float64 // how often, in a million instructions of its workload
	insts  []inst
	words  []uint32
	pc     uint64

	// For choosing: the super-instructions that may begin at each, by length, and the least
	// number of operations from each to the end.
	at    [][]*candidate
	costs []int
}

// readRuns reads testdata/runs, which a build with the tag runs wrote.
func readRuns(tb testing.TB) (runs []*run) {
	tb.Helper()
	files, err := filepath.Glob("testdata/runs/*.txt")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(tb, err)
		total, first := 0.0, len(runs)
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			n, err := strconv.Atoi(f[0])
			require.NoError(tb, err)
			offset, err := strconv.ParseUint(f[1], 16, 64)
			require.NoError(tb, err)
			r := &run{weight: float64(n), pc: agreeText + offset}
			for i, s := range f[2:] {
				w, err := strconv.ParseUint(s, 16, 32)
				require.NoError(tb, err)
				r.words = append(r.words, uint32(w))
				r.insts = append(r.insts, translate(uint32(w), r.pc+4*uint64(i)))
			}
			total += r.weight * float64(len(r.insts))
			runs = append(runs, r)
		}
		for _, r := range runs[first:] {
			r.weight *= 1e6 / total
		}
	}
	return runs
}

// candidate is a super-instruction that could be.
type candidate struct {
	parts  string // as supers.txt has them
	n      int
	runs   []*run // where it may begin, some more than once
	chosen bool
	gain   float64 // at most
}

type queue []*candidate

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[j].gain, q[i].gain), cmp.Compare(q[i].parts, q[j].parts)) < 0
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*candidate)) }
func (q *queue) Pop() any {
	c := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return c
}

// cost is the least number of operations for the run, extra as good as chosen.
func (r *run) cost(extra *candidate) int {
	for i := len(r.insts) - 1; i >= 0; i-- {
		r.costs[i] = r.costs[i+1] + 1
		for _, c := range r.at[i] {
			if c.chosen || c == extra {
				r.costs[i] = min(r.costs[i], r.costs[i+c.n]+1)
			}
		}
	}
	return r.costs[0]
}

// saving is how many dispatches the candidate would save beyond the ones chosen.
func (c *candidate) saving() (sum float64) {
	for _, r := range c.runs {
		sum += r.weight * float64(r.cost(nil)-r.cost(c))
	}
	return sum
}

// windows calls f for all that could be a super-instruction, by the index of the
// first inst and the number of insts.
func (r *run) windows(f func(first, n int, parts string)) {
	for i := range r.insts {
		var j joiner
		var text []string
		for k := i; k < len(r.insts) && k < i+maxParts; k++ {
			e, ok := j.add(&r.insts[k], r.insts[k].op)
			if !ok {
				break
			}
			if text = append(text, e.String()); k > i {
				f(i, k-i+1, strings.Join(text, " "))
			}
		}
	}
}

// superRun are words that are joined, where the branch among them is what it was.
type superRun struct {
	pc    uint64
	words []uint32
}

// superRuns are those for each super-instruction, from the runs.
func superRuns(tb testing.TB, runs []*run) (all []superRun) {
	tb.Helper()
	found := map[string]superRun{}
	for _, r := range runs {
		r.windows(func(first, n int, parts string) {
			found[parts] = superRun{r.pc + 4*uint64(first), r.words[first : first+n]}
		})
	}
	list, err := os.ReadFile("supers.txt")
	require.NoError(tb, err)
	for line := range strings.Lines(string(list)) {
		if _, parts, _ := strings.Cut(strings.TrimSpace(line), " "); line[0] != '#' {
			s, ok := found[parts]
			require.True(tb, ok || !tso || !fences, parts)
			if !ok {
				s = superRun{agreeText, []uint32{0xd503201f}}
			}
			all = append(all, s)
		}
	}
	require.Len(tb, all, int(numOps-opSuper))
	return all
}

// choose chooses the super-instructions, the one first that saves most, then the
// one that saves most beside it, and so on.
func choose(runs []*run) string {
	all := map[string]*candidate{}
	for _, r := range runs {
		n := len(r.insts)
		r.at, r.costs = make([][]*candidate, n), make([]int, n+1)
		r.windows(func(first, n int, parts string) {
			c := all[parts]
			if c == nil {
				c = &candidate{parts: parts, n: n}
				all[parts] = c
			}
			if len(c.runs) == 0 || c.runs[len(c.runs)-1] != r {
				c.runs = append(c.runs, r)
			}
			c.gain += r.weight * float64(n-1)
			r.at[first] = append(r.at[first], c)
		})
	}
	var q queue
	for _, c := range all {
		if c.gain >= worthwhile {
			q = append(q, c)
		}
	}
	heap.Init(&q)
	for _, r := range runs {
		for i := range r.at {
			r.at[i] = slices.DeleteFunc(r.at[i], func(c *candidate) bool { return c.gain < worthwhile })
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "# Chosen by go test ./emu/interp -run TestSupers_AreThoseOfTheRuns -update. Dispatches saved\n# beyond those of the lines above, of a million instructions of each workload.\n")
	for n := 0; len(q) > 0 && n < maxSupers; {
		c := heap.Pop(&q).(*candidate)
		c.gain = c.saving()
		if len(q) > 0 && c.gain < q[0].gain {
			if c.gain >= worthwhile {
				heap.Push(&q, c)
			}
			continue
		}
		if c.gain < worthwhile {
			break
		}
		c.chosen = true
		n++
		fmt.Fprintf(&out, "%.0f %s\n", c.gain, c.parts)
	}
	return out.String()
}

var condNames = []string{"eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le"}

// String is the part as supers.txt has it.
func (e part) String() string {
	o := op(e >> 32)
	s := &shapes[o]
	name, variant := o.String(), int(e>>24&0xff)
	switch {
	case o == opBcond || o == opBcondFar:
		name += "." + condNames[variant]
	case o == opCsel:
		name = "Cs" + []string{"el", "inc", "inv", "neg"}[variant>>4&3] + []string{"32", "64"}[variant>>6] + "." + condNames[variant&15]
	case s.indexed:
		name += []string{".pre", ".post"}[variant]
	}
	var regs []string
	for i := range 4 {
		if s.regs>>i&1 == 1 {
			switch r := e >> (5 * i) & 31; r {
			case regSink:
				regs = append(regs, "-")
			case regZR:
				regs = append(regs, "Z")
			case regSP:
				regs = append(regs, "S")
			default:
				regs = append(regs, strconv.Itoa(int(r)))
			}
		}
	}
	if regs != nil {
		name += ":" + strings.Join(regs, ",")
	}
	return name + []string{"", "+", "~", "="}[e>>20&3]
}

// tso and fences decide about forms, so the list is that of hosts like amd64.
func TestSupers_AreThoseOfTheRuns(t *testing.T) {
	if !tso || !fences {
		t.Skip("the list is chosen on amd64, where ordered accesses and barriers have forms")
	}
	got := choose(readRuns(t))
	if *updateSupers {
		require.NoError(t, os.WriteFile("supers.txt", []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile("supers.txt")
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "run go test ./emu/interp -run TestSupers_AreThoseOfTheRuns -update, then go generate ./emu/interp")
}
