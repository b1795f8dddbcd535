// Package guest runs the code of emulated CPUs one visible step at a time,
// from states that are values.
//
// What a CPU does next depends on its registers, its stack and its task, which
// are its own, and on what it sees of memory that others write. So a CPU is an
// automaton: a [Node] is all that is its own, with the accesses that the next
// instruction makes; [Machine.Next] takes the values that it reads, and returns
// the node that follows. Instructions are executed by an engine, each once for all
// the interleavings that lead to it; the successors of a node are cached.
//
// Instructions that see and do nothing that others could change or notice are
// executed along with the visible one before them. They commute with whatever
// other CPUs do, so leaving out their interleavings loses no behaviour
// (a partial-order reduction); [Config.EachInstruction] keeps them apart.
//
// Registers and stack words also carry what their value depends on, because
// address dependencies order loads (see package weak).
package guest
