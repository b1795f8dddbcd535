// Package interp is an engine that interprets arm64 code in Go: no JIT, no cgo.
//
// It models the integer side of A64 at EL1 as package emu's contract requires: exact counts, precise faults, permissions of regions, text that changes
// under execution, and several CPUs at once over one memory. FP, SIMD, SVE and
// what else the architecture defines but this engine does not execute end a
// Run with an [emu.UnsupportedError]; a word that the architecture leaves
// unallocated is an [emu.ExitUndefined].
//
// Left out on purpose: translation (addresses are looked up in the regions), exception entry, timing. An exception ends the
// Run, and so does an interrupt that a supervised CPU is told of (CPU.Supervise): package board does the rest.
//
// A CPU belongs to one goroutine at a time, and different CPUs of one engine
// run in parallel. docs/interpreter.md describes what guests see of each
// other's memory accesses, how the loop works, and how much each part gains.
//
// [New] opens an engine.
package interp
