// Package emu is the machine under callops: guest memory, the contract that
// every engine keeps, gates through which guest code calls Go, and calls of
// guest functions from Go.
//
// It models what ftrace on arm64 needs of a machine: EL1, MMU off (virtual
// addresses are used as they are), little-endian, 4 KiB granules. It holds no
// engine; emu/unicorn and emu/interp do, and nothing above them tells the two
// apart.
//
// Concurrency: a [Memory] may be used from any goroutine; its atomic
// accesses are single-copy atomic with respect to guest code. A [CPU] belongs
// to one goroutine at a time. Regions are mapped before the CPUs that use them run, but aliases, which
// come and go between two instructions.
//
// A call ends: by returning, by what it did wrong, by its budget or its context,
// whatever gates it goes through and however they call on (see [CallStack]).
//
// Start at [NewMemory], [CPU] and [Caller].
package emu
