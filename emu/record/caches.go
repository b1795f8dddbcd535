package record

import (
	"slices"

	"callops/asm/effects"
)

// caches are the words of text that were changed, and how far each is on its way
// to where all CPUs fetch it. The way is that of Arm ARM B2.7.4.2: clean the data
// cache by address, DSB, invalidate the instruction cache by address, DSB. What comes
// in another order, or without its DSB, takes a word no further.
type caches struct {
	dataLine, textLine uint64 // bytes
	idc, dic           bool   // CTR_EL0: no need to clean, or to invalidate
	words              []changed
}

type changed struct {
	addr uint64
	at   stage
}

type stage uint8

const (
	inDataCache  stage = iota
	cleaning           // DC was executed, and has not completed
	cleaned            // to the point of unification
	invalidating       // IC was executed, and has not completed
	clean
)

// span is a run of words.
type span struct{ addr, size uint64 }

const insnSize = 4

// newCaches are those that a value of CTR_EL0 tells of.
func newCaches(ctr uint64) caches {
	return caches{
		dataLine: insnSize << (ctr >> 16 & 15), textLine: insnSize << (ctr & 15),
		idc: ctr>>28&1 != 0, dic: ctr>>29&1 != 0,
	}
}

// dirty notes that words were stored to.
func (c *caches) dirty(addr, size uint64) {
	for at := addr; at < addr+size; at += insnSize {
		i := slices.IndexFunc(c.words, func(w changed) bool { return w.addr == at })
		if i < 0 {
			c.words = append(c.words, changed{addr: at})
		} else {
			c.words[i].at = inDataCache
		}
	}
}

// maintain is an instruction of cache maintenance.
func (c *caches) maintain(op effects.CacheOp, addr uint64) {
	for i := range c.words {
		w := &c.words[i]
		switch {
		case op == effects.CleanData && w.at == inDataCache && sameLine(w.addr, addr, c.dataLine):
			w.at = cleaning
		case op == effects.InvalidateText && w.at == cleaned && sameLine(w.addr, addr, c.textLine),
			op == effects.InvalidateAllText && w.at == cleaned:
			w.at = invalidating
		}
	}
}

func sameLine(a, b, line uint64) bool { return a&^(line-1) == b&^(line-1) }

// complete is a DSB. It returns the words that it makes clean, in address order, those
// side by side as one.
func (c *caches) complete() (done []span) {
	slices.SortFunc(c.words, func(a, b changed) int { return int(int64(a.addr - b.addr)) })
	left := c.words[:0]
	for _, w := range c.words {
		w.at = c.after(w.at)
		if w.at != clean {
			left = append(left, w)
			continue
		}
		if n := len(done); n > 0 && done[n-1].addr+done[n-1].size == w.addr {
			done[n-1].size += insnSize
		} else {
			done = append(done, span{w.addr, insnSize})
		}
	}
	c.words = left
	return done
}

// after is how far a word is once a DSB has completed.
func (c *caches) after(at stage) stage {
	switch {
	case at == cleaning, at == inDataCache && c.idc:
		at = cleaned
	case at == invalidating:
		at = clean
	}
	if at == cleaned && c.dic {
		at = clean
	}
	return at
}

// forget drops the changed words of a range, and reports whether there were any.
func (c *caches) forget(addr, size uint64) bool {
	n := len(c.words)
	c.words = slices.DeleteFunc(c.words, func(w changed) bool { return w.addr-addr < size })
	return len(c.words) < n
}
