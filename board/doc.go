// Package board is an arm64 machine in the process: a kernel's unmodified Image boots on it, from the first
// instruction of the boot protocol to its first process.
//
// It models what the kernel needs of QEMU's "virt": RAM, CPUs at EL1 with exceptions and an MMU, a GICv2, the
// architected timer, PSCI, and a PL011 for the console, described by a device tree. Nothing of the kernel is
// replaced but the word at which it would start a program. Time is instructions, 1 ns each, so that a boot
// is the same in every run.
//
// Addresses are translated without slowing an instruction: the interpreter looks them up in
// regions, as always, and the first access to a page that lies in none walks the kernel's tables and
// makes one. TLB maintenance unmaps them. Regions are aliases of one RAM.
//
// It follows Documentation/arch/arm64/booting.rst and the Arm ARM (DDI 0487). Left out on purpose: EL0 and
// with it user programs, EL2, FP and SIMD, and devices.
//
// Start at [Boot]. A Machine belongs to one goroutine.
package board
