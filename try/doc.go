// Package try compares two kernels, before and after a change to their ftrace: what
// changed in its code, what a traced call costs on each, which properties hold on each in
// all interleavings, and whether its core does what callops' does.
//
// The code is compared by package kernelimage/textdiff. Costs are package bench's, with
// the kernel's own trampolines and list function, and verdicts are package check's, where
// the kernel's own core patches. Cores are compared by package ftrace/difftest. A kernel whose code loops or faults is a result, and never an error.
//
// [Run] refuses kernels that do not belong together before anything runs, with an
// [*UnfitError]. Package try/report renders its [Report].
package try
