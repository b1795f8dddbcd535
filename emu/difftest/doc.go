// Package difftest executes the same instructions on two engines and compares
// what became of registers, flags, PC, count, exit and memory. It is tests
// only: docs/differential.md describes what they cover.
//
// An encoding class is a row of a table: a mask and a value, the words among
// them that are left out, and a way to choose registers that make sense. Cases
// are drawn from the table, a few words each with a state to start from, and
// run on both engines in batches.
package difftest
