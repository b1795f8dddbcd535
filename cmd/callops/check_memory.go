package main

import (
	"math"
	"runtime/debug"

	"callops/kernelimage"
)

// What the process takes up besides the states of a search: its code and
// libraries, the machine that a scenario is set up on, what is remembered of moves.
// The first part of it is memory that Go's runtime does not know of. An image
// takes up so many times the size of its segments more: the file, the machine's
// copy; symbols and call sites.
const (
	programShare = 48 << 20
	imageShare   = 3

	programOutside = 32 << 20
	imageOutside   = 2
)

// boundMemory gives to states what the process may take up less its own share.
// The collector is told to keep what it has not collected yet within that, until
// release is called.
func boundMemory(memory uint64, img *kernelimage.Image) (states uint64, release func(), err error) {
	share, outside := uint64(programShare), uint64(programOutside)
	if img != nil {
		for _, s := range img.Segments {
			share += imageShare * s.MemSize
			outside += imageOutside * s.MemSize
		}
	}
	if memory <= share {
		return 0, nil, usagef("--memory %s: the process takes up to %s besides the states of a search",
			(&size{memory}).String(), (&size{(share + 1<<20 - 1) >> 20 << 20}).String())
	}
	limit := int64(min(memory-outside, math.MaxInt64))
	before := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(before, limit))
	return memory - share, func() { debug.SetMemoryLimit(before) }, nil
}
