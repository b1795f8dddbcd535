package services

import (
	"slices"

	"callops/emu"
)

// row is functions of the kernel that one Go function stands in for.
type row struct {
	what  string // also the gates' name, which begins their errors
	names []string
	// serve makes the Go function that replaces r; nil: r stays as it is.
	serve func(s *Services, r Replaced) emu.GateFunc
}

// table is what is replaced. Functions that only report are named from the outermost
// down, so that the error tells of the one that the caller called, and so that
// nothing before the lowest one runs into what is not booted. Names change: until
// 6.9 without _noprof, __kmalloc_cache was kmalloc_trace until 6.10.
var table = slices.Concat(kmallocRows, cacheRows, pageRows, vmallocRows, perCPURows, otherRows, syncRows)

// otherRows are all that is neither memory nor in [syncRows].
var otherRows = []row{
	{"printk", []string{"vprintk_emit"}, printk},
	{"user memory", []string{"trace_get_user"}, traceGetUser},
	{"hardened usercopy", []string{"__check_object_size"}, nothing},
}

// nothing makes functions that do nothing. What hardened usercopy asks of a slab or of the linear
// map is not known of objects that lie in neither.
func nothing(*Services, Replaced) emu.GateFunc {
	return func(emu.CPU, [8]uint64) (uint64, error) { return 0, nil }
}
