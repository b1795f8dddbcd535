// Package lockstep is an engine made of two: it runs both, compares what they
// did, and stops at the first instruction that they execute differently.
//
// Each of the two has a memory of its own, a copy of the one that the engine
// was opened over. A run is cut into chunks. A chunk begins with the copies
// made equal to the real memory, so patches, loaders and gates reach both
// engines. Then each executes the same instructions on its copy; registers,
// flags, PC, count, exit and every byte of memory are compared; and what guest
// code wrote goes to the real memory. A chunk ends at every exit and after
// [Options].Every instructions.
//
// On a difference the chunk is executed again, from a third copy that still
// holds what was there before it, and halved until one instruction is left:
// the [*DifferenceError] names it and holds both states after it.
//
// Differs from a single engine: a chunk sees memory as it was when the chunk
// began. What the host or another CPU stores meanwhile is seen in the next one,
// CPUs take turns, chunk by chunk, and what a chunk stored is seen by others
// after it, all of it, but not in the order of the program. That is the price of an exact answer:
// two executions can be compared only if nothing else changes what they read.
//
// Memory and registers are compared between chunks only, so a difference that
// the rest of its chunk covers up, such as a flag that nothing reads, is not
// seen; with Every at 1 all are.
//
// A [CPU] belongs to one goroutine at a time. Start at [Of].
package lockstep
