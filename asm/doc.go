// Package asm assembles and disassembles the arm64 code that callops runs.
//
// It models the A64 instruction set of the Arm Architecture Reference Manual
// (DDI 0487), as far as ftrace trampolines, call sites, sample tracers and
// their tests need it. Three layers, each usable alone:
//
//   - constructors, one per mnemonic ([Add], [Ldr], [BL], ...), return an
//     [Inst], a plain value that holds a word or the error that kept it from
//     being encoded; names and operand order are the manual's
//   - [Builder] collects instructions, data and labels, and Assemble links
//     them at an address into a [Program]
//   - [EncodeBL], [DecodeBranch] and the predicates on words are what a
//     patcher of live text needs; [Disassemble] turns a word into GNU syntax
//
// A register's width picks the instruction's: Add(X0, X1, X2) is the 64-bit
// form, Add(W0, W1, W2) the 32-bit one. The stack pointer and the zero
// register share number 31 but are different registers here, so an operand
// that cannot be SP refuses it instead of encoding XZR.
//
// Left out on purpose: floating point, SIMD, SVE, pointer authentication
// beyond the two hints kernels put in prologues, byte and halfword LSE
// atomics, and relaxation (a branch that does not reach is an error).
//
// Constructors and functions on words are pure and safe for any goroutine. A
// Builder belongs to one goroutine. A Program is not changed after Assemble.
//
// Nothing here panics on bad operands: an Inst carries its error, the Builder
// keeps the first one with the source position of the call, and Assemble
// returns it.
package asm
