package difftest

import (
	"callops/emu"
)

// coverage counts what was run.
type coverage struct {
	classes   []classCoverage
	tolerated map[string]int // by reason
	cases     int
	blocks    int
}

type classCoverage struct {
	cases   int // of a single instruction
	inBlock int // executed or not: a branch may skip it
	words   map[uint32]struct{}
	exits   [emu.ExitException + 1]int // of single instructions
}

func newCoverage() *coverage {
	c := &coverage{classes: make([]classCoverage, len(classes)), tolerated: map[string]int{}}
	for i := range c.classes {
		c.classes[i].words = map[uint32]struct{}{}
	}
	return c
}

func (c *coverage) note(t *testCase, o *outcome, isBlock bool) {
	c.cases++
	if isBlock {
		c.blocks++
		for _, i := range t.classes {
			c.classes[i].inBlock++
		}
		return
	}
	cc := &c.classes[t.classes[0]]
	cc.cases++
	cc.words[t.words[len(t.words)-1]] = struct{}{}
	cc.exits[o.after[0].Exit.Reason]++
}

func (c *coverage) add(o *coverage) {
	c.cases += o.cases
	c.blocks += o.blocks
	for i := range c.classes {
		to, from := &c.classes[i], &o.classes[i]
		to.cases += from.cases
		to.inBlock += from.inBlock
		for w := range from.words {
			to.words[w] = struct{}{}
		}
		for r, n := range from.exits {
			to.exits[r] += n
		}
	}
	for r, n := range o.tolerated {
		c.tolerated[r] += n
	}
}
