package main

import (
	"math"
	"runtime/debug"

	"callops/kernelimage"
)

// What the process takes in addition to the states of a search: its code and
// libraries, the machine that a scenario is set up on, what its tasks do. The
// first part is memory outside Go's runtime. An image takes this many times the
// size of its segments in addition: the file, the machine's copy, symbols and
// call sites.
const (
	programShare = 48 << 20
	imageShare   = 3

	programOutside = 32 << 20
	imageOutside   = 2
)

// boundMemory returns how much memory is left for states. It sets the collector's
// memory limit accordingly, until release is called.
func boundMemory(memory uint64, images ...*kernelimage.Image) (states uint64, release func(), err error) {
	share, outside := uint64(programShare), uint64(programOutside)
	for _, img := range images {
		if img == nil {
			continue
		}
		for _, s := range img.Segments() {
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
