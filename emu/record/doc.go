// Package record is an engine that tells what each instruction of a CPU does to
// memory: what it loads and stores, in what order, what barriers and cache
// maintenance it makes.
//
// [Of] wraps an engine, which executes; a [CPU] that nobody observes runs as fast as
// without. One that is observed executes one instruction at a time. What an
// instruction accesses is decoded by package effects from the word and the
// registers; what it loaded and stored is read from memory before and after.
//
// A [Tape] makes of that what other CPUs can see of it: stores in program order, the
// barriers between them, and when changed instructions have been cleaned and
// invalidated (Arm ARM, DDI 0487 issue M.a, B2.3.7 and B2.7.4.2).
//
// Left out: floating point and SIMD, loads with pointer authentication (an
// [*UnknownError] ends the run), and what is no access of the instruction's own,
// such as fetches.
//
// While a CPU is observed no other may store to what it accesses. Everything
// belongs to the goroutine of the CPU.
package record
