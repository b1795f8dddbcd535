// SPDX-License-Identifier: GPL-2.0-only

// One CPU as the C side sees it: registers on their way in and out, the
// counters that hooks keep, and why the last run ended. Go reads and writes it
// only while the CPU is stopped.

#ifndef CALLOPS_VCPU_H
#define CALLOPS_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unicorn/unicorn.h>

// Blocks remembered; a power of two. Each holds one instruction or more.
#define VCPU_RING 64

enum vcpu_stop {
	STOP_NONE,      // the library came back by itself: WFI, or `until` reached
	STOP_LIMIT,     // the next block would pass the limit
	STOP_MISALIGNED,// PC is no multiple of four
	STOP_FETCH,     // instruction abort, PC is the address
	STOP_DATA,      // data abort, PC is the instruction
	STOP_UNDEFINED, // or an exception that the CPU does not take: see the word
	STOP_EXCEPTION, // SVC, HVC, SMC or BRK
};

struct vcpu_block {
	uint64_t start;
	uint64_t words; // executed, as far as is known
};

struct vcpu {
	uc_engine *uc;

	uint64_t x[31];
	uint64_t sp, pc, sp_el0, tpidr_el1, tpidr_el0;
	uint32_t nzcv;

	uint64_t count; // with all of the block being executed
	uint64_t limit; // no block is begun that would take count past it

	enum vcpu_stop stop;
	uint32_t intno; // of the exception, for errors

	uint64_t head; // blocks begun, ever
	struct vcpu_block ring[VCPU_RING];

	// Pages that stand in for unmapped ones until the run ends: see on_unmapped.
	void *standin;
	uint64_t standins[4];
	int nstandins;

	uc_hook hooks[5];

	// At most how many bytes of code the library has made: see on_translated.
	uint64_t translated;
	bool told;  // on_translated has run
	bool first; // no block was begun in this run

	// Addresses of words that must not be translated. The array has room for
	// one more.
	uint64_t *exits;
	size_t nexits;
	bool exits_set; // the library has just these

	uint64_t spare; // an address where nothing is ever mapped
};

// vcpu_setup turns the MMU of uc on over the page tables and adds the hooks of v.
uc_err vcpu_setup(struct vcpu *v, uc_engine *uc, uint64_t tcr, uint64_t ttbr0, uint64_t ttbr1);

// vcpu_move has uc go on where v->uc stands: with all registers, and the state
// of the exclusive monitor. It has to be set up.
uc_err vcpu_move(struct vcpu *v, uc_engine *uc);

// vcpu_run loads the registers, executes until something ends it and stores
// the registers, with pc and count exact. With until not 0, only the one
// straight run of instructions [pc, until) is executed.
uc_err vcpu_run(struct vcpu *v, uint64_t until);

// vcpu_drop drops what was translated from [addr, addr+size).
uc_err vcpu_drop(struct vcpu *v, uint64_t addr, uint64_t size);

// vcpu_flush has the library walk the page tables anew.
uc_err vcpu_flush(struct vcpu *v);

#endif
