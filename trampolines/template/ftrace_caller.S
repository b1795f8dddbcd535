/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ftrace_caller, which every patched site calls. This is the file to put your
 * own code into.
 *
 * At entry x9 is where the traced function returns to and x30 the instruction
 * after the site's BL; x0..x8, x18..x29 and sp belong to the traced function.
 * x10..x17 are free.
 *
 * func gets x0 = ip, x1 = parent_ip, x2 = ops, x3 = struct ftrace_regs.
 * Afterwards x0..x8, fp, lr and pc are what that structure holds.
 */
#include "ftrace.h"

#define FRAME	(FREGS_SIZE + 32)	/* and two frame records */

	.text
	.balign	8
	.global	ftrace_caller
	.type	ftrace_caller, %function
ftrace_caller:
	bti	c

	/*
	 * The ops in the site's literal: 16 bytes below x30, rounded down to 8.
	 * It may change between two loads, so it is loaded once.
	 */
	and	x11, x30, #~7
	ldr	x11, [x11, #-16]

	/* A direct call that is alone on its site: nothing is saved. */
	ldr	x17, [x11, #OPS_DIRECT_CALL]
	cbnz	x17, .Ldirect

	mov	x10, sp
	sub	sp, sp, #FRAME
	stp	x0, x1, [sp, #FREGS_X0]
	stp	x2, x3, [sp, #FREGS_X0 + 16]
	stp	x4, x5, [sp, #FREGS_X0 + 32]
	stp	x6, x7, [sp, #FREGS_X0 + 48]
	stp	x8, xzr, [sp, #FREGS_X0 + 64]	/* and direct_tramp */
	stp	x29, x9, [sp, #FREGS_FP]
	stp	x10, x30, [sp, #FREGS_SP]

	/* The traced function's frame record, and the trampoline's own. */
	stp	x29, x9, [sp, #FREGS_SIZE + 16]
	add	x29, sp, #FREGS_SIZE + 16
	stp	x29, x30, [sp, #FREGS_SIZE]
	add	x29, sp, #FREGS_SIZE

	sub	x0, x30, #4
	mov	x1, x9
	mov	x2, x11
	mov	x3, sp
	ldr	x4, [x2, #OPS_FUNC]		/* of the same ops */
	blr	x4

	ldp	x0, x1, [sp, #FREGS_X0]
	ldp	x2, x3, [sp, #FREGS_X0 + 16]
	ldp	x4, x5, [sp, #FREGS_X0 + 32]
	ldp	x6, x7, [sp, #FREGS_X0 + 48]
	ldp	x8, x17, [sp, #FREGS_X0 + 64]
	ldp	x29, x30, [sp, #FREGS_FP]
	ldr	x9, [sp, #FREGS_PC]
	add	sp, sp, #FRAME
	cbnz	x17, .Llate
	ret	x9

	/*
	 * A func asked for a direct call (call_direct_funcs). Its target wants x9
	 * and x30 as the site's BL left them: swapped.
	 */
.Llate:
	mov	x10, x9
	mov	x9, x30
	mov	x30, x10
.Ldirect:
	br	x17
	.size	ftrace_caller, . - ftrace_caller

	/* What a site leads to before anything is registered. */
	.global	ftrace_stub
	.type	ftrace_stub, %function
ftrace_stub:
	bti	c
	ret
	.size	ftrace_stub, . - ftrace_stub

	/* A direct call that only continues at the site. */
	.global	ftrace_stub_direct_tramp
	.type	ftrace_stub_direct_tramp, %function
ftrace_stub_direct_tramp:
	bti	c
	mov	x10, x30
	mov	x30, x9
	ret	x10
	.size	ftrace_stub_direct_tramp, . - ftrace_stub_direct_tramp

	.section .note.GNU-stack, "", %progbits
