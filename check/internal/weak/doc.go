// Package weak is what a CPU may see of memory that another CPU is writing:
// the concurrency model of the Arm architecture (Arm ARM, DDI 0487 issue M.a,
// B2.3), as far as it concerns one writer at a time and readers that only read.
//
// A [History] is the tree of everything that the writers do, one event per node;
// a [Time] is a node of it, and stands for all that happened up to it. Each
// branch is one order in which writers that exclude one another may come.
//
// Data. A store may become visible to each CPU late, and out of order with
// others, unless a barrier orders them. A CPU that reads a location gets any
// [Version] from the oldest that it may still see to the newest. What it may
// still see is bounded by
//
//   - coherence: never older than what it read there before (B2.3.7,
//     explicit-hazard-ordered-before);
//   - its synchronisation: whatever was complete when it took a barrier or
//     changed tasks (DSB, B2.3.7). It is taken to be later than the writer's
//     barrier, as it is for a CPU that was woken, interrupted or notified; one that
//     was not may as well not have synchronised;
//   - address dependencies: a version read together with a pointer to the
//     location brings all that was ordered before it (B2.3.7,
//     dependency-ordered-before). Control dependencies order no loads.
//
// Instructions. A word may be fetched as it was before a store or after it,
// in any order, until its CPU takes a context synchronization event after the
// word was cleaned and invalidated to the point of unification (B2.7.4.2). A
// fetch that finds a store finds it in data memory, and instructions are decoded in order; so later loads of the CPU
// find that store too, and what was ordered before it, and later fetches find what had been cleaned and invalidated
// before it (Simner et al., ARMv8-A System Semantics: Instruction Fetch in Relaxed Architectures, ESOP 2020, 3.2 and
// 3.3). Other than that no order holds between fetches, nor between a fetch and a load. That a change of
// tasks is such an event is assumed: arm64's is where it comes by an interrupt or
// changes address spaces, and need not be between two kernel threads that yield.
//
// Left out, always on the side of more behaviours than the architecture has:
// that all CPUs agree on the order of two stores (multi-copy atomicity), and
// that acquire loads and barriers of a reading CPU order its later loads. What
// holds here holds there.
package weak
