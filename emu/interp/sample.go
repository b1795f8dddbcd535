//go:build runs

package interp

import (
	"cmp"
	"fmt"
	"log"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
)

// With the tag runs, the interpreter counts the straight runs that it executes,
// in samples, and writes them to the file that CALLOPS_RUNS names when an engine
// closes: super-instructions are chosen by them (see supers_test.go).

const sampling = true

const (
	sampleEvery = 8192 // instructions, about
	sampleSize  = 512
	covered     = 0.97 // of what was executed, the runs that are written
)

var samples struct {
	sync.Mutex
	counts map[string]int
}

// sliceLength is how many instructions run to the next sample.
func sliceLength() uint64 { return sampleEvery/2 + rand.Uint64N(sampleEvery) }

// sample counts the runs executed last.
func (c *CPU) sample() {
	pcs := c.Recent(sampleSize)
	samples.Lock()
	defer samples.Unlock()
	if samples.counts == nil {
		samples.counts = map[string]int{}
	}
	whole := false // the first may have begun before
	var run strings.Builder
	for i, pc := range pcs {
		p := c.pages[pc&^pageMask]
		if p == nil {
			return
		}
		if run.Len() == 0 {
			fmt.Fprintf(&run, "%03x", pc&pageMask)
		}
		w := p.words[pc&pageMask/4]
		fmt.Fprintf(&run, " %08x", w)
		ends := translate(w, pc).op.endsRun() || pc&pageMask == pageMask&^3
		if i+1 < len(pcs) && pcs[i+1] != pc+4 {
			ends = true
		}
		if ends {
			if whole {
				samples.counts[run.String()]++
			}
			whole = true
			run.Reset()
		}
	}
}

// sampled writes the runs, the ones first that the most instructions were in.
func (e *Engine) sampled() {
	name := os.Getenv("CALLOPS_RUNS")
	if name == "" {
		return
	}
	samples.Lock()
	defer samples.Unlock()
	weight := func(run string) int { return samples.counts[run] * strings.Count(run, " ") }
	runs := slices.SortedFunc(maps.Keys(samples.counts), func(a, b string) int {
		return cmp.Or(weight(b)-weight(a), cmp.Compare(a, b))
	})
	total, sum := 0, 0
	for _, r := range runs {
		total += weight(r)
	}
	var b strings.Builder
	for _, r := range runs {
		fmt.Fprintln(&b, samples.counts[r], r)
		if sum += weight(r); float64(sum) > covered*float64(total) {
			break
		}
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		log.Print(err)
	}
}
