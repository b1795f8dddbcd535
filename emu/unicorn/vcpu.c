// SPDX-License-Identifier: GPL-2.0-only

//go:build cgo

#include "vcpu.h"


// QEMU's numbers of the exceptions that code at EL1 can raise.
enum {
	EXCP_UDEF = 1,
	EXCP_SWI = 2,
	EXCP_PREFETCH_ABORT = 3,
	EXCP_DATA_ABORT = 4,
	EXCP_BKPT = 7,
	EXCP_HVC = 11,
	EXCP_SMC = 13,
};

#define PAGE UINT64_C(4096)

static struct vcpu_block *current(struct vcpu *v)
{
	return &v->ring[(v->head - 1) % VCPU_RING];
}

static void stop_at(struct vcpu *v, enum vcpu_stop why, uint64_t pc)
{
	v->stop = why;
	v->pc = pc;
	uc_emu_stop(v->uc);
}

// trim takes back what was counted of the current block beyond pc.
static void trim(struct vcpu *v, uint64_t pc)
{
	struct vcpu_block *b = current(v);
	uint64_t done = (pc - b->start) / 4;

	if (done >= b->words)
		return;
	v->count -= b->words - done;
	b->words = done;
}

// More than a block and an instruction take of the library's buffer for code.
#define BLOCK_BYTES 1024
#define WORD_BYTES 1024

// on_block runs before each block. What stops here has executed nothing of it.
static void on_block(uc_engine *uc, uint64_t addr, uint32_t size, void *user)
{
	struct vcpu *v = user;
	uint64_t words = size / 4;
	struct vcpu_block *b;

	if (!v->told && v->first)
		v->translated += BLOCK_BYTES + words * WORD_BYTES;
	v->first = false;
	if (v->stop != STOP_NONE)
		return;
	// The library executes at misaligned addresses what it finds there.
	if (addr & 3) {
		stop_at(v, STOP_MISALIGNED, addr);
		return;
	}
	if (words > v->limit - v->count) {
		stop_at(v, STOP_LIMIT, addr);
		return;
	}
	v->count += words;
	b = &v->ring[v->head++ % VCPU_RING];
	b->start = addr;
	b->words = words;
}

// on_translated runs after each block was translated, from when a block has
// first ended without an exception: until then each run has but one.
static void on_translated(uc_engine *uc, uc_tb *cur, uc_tb *prev, void *user)
{
	struct vcpu *v = user;

	v->told = true;
	v->translated += BLOCK_BYTES + (uint64_t)cur->icount * WORD_BYTES;
}

static void on_exception(uc_engine *uc, uint32_t intno, void *user)
{
	struct vcpu *v = user;
	struct vcpu_block *b = current(v);
	uint64_t pc = 0;

	if (v->stop != STOP_NONE)
		return;
	uc_reg_read(uc, UC_ARM64_REG_PC, &pc);
	v->intno = intno;
	switch (intno) {
	case EXCP_PREFETCH_ABORT:
		stop_at(v, STOP_FETCH, pc);
		return;
	case EXCP_DATA_ABORT:
		stop_at(v, STOP_DATA, pc);
		break;
	case EXCP_SWI:
	case EXCP_HVC:
	case EXCP_SMC:
		// PC is the preferred return address, after the instruction, which
		// ends its block.
		stop_at(v, STOP_EXCEPTION, b->start + 4 * (b->words - 1));
		break;
	case EXCP_BKPT:
		stop_at(v, STOP_EXCEPTION, pc);
		break;
	default:
		stop_at(v, STOP_UNDEFINED, pc);
		break;
	}
	trim(v, v->pc);
}

// on_unmapped is asked about addresses outside every region. The library would
// end the run with PC at the start of the block, so a page is put there and
// the access let through: the MMU then refuses it with an exact data abort.
static bool on_unmapped(uc_engine *uc, uc_mem_type type, uint64_t addr, int size, int64_t value, void *user)
{
	struct vcpu *v = user;
	uint64_t page = addr & ~(PAGE - 1);

	if (v->nstandins == sizeof(v->standins) / sizeof(*v->standins))
		return false;
	if (uc_mem_map_ptr(uc, page, PAGE, UC_PROT_ALL, v->standin) != UC_ERR_OK)
		return false;
	v->standins[v->nstandins++] = page;
	return true;
}

static void drop_standins(struct vcpu *v)
{
	while (v->nstandins > 0)
		uc_mem_unmap(v->uc, v->standins[--v->nstandins], PAGE);
}

// on_mrs gives CNTVCT_EL0 as the instructions executed before
// this one: the library's own counter is the host's clock. PC has been
// synchronized for it.
static uint32_t on_mrs(uc_engine *uc, uc_arm64_reg reg, const uc_arm64_cp_reg *r, void *user)
{
	struct vcpu *v = user;
	struct vcpu_block *b = current(v);
	uint64_t pc = 0, ticks;
	int n;

	if (r->op0 != 3 || r->op1 != 3 || r->crn != 14 || r->crm != 0 || r->op2 != 2)
		return 0;
	uc_reg_read(uc, UC_ARM64_REG_PC, &pc);
	ticks = v->count - b->words + (pc - b->start) / 4;

	// 2.0.1 passes X0 plus the number, but X29 and X30 do not follow X28.
	n = (int)reg - UC_ARM64_REG_X0;
	if (n == 29)
		reg = UC_ARM64_REG_X29;
	else if (n == 30)
		reg = UC_ARM64_REG_X30;
	else if (n == 31 || reg == UC_ARM64_REG_XZR)
		return 1;
	uc_reg_write(uc, reg, &ticks);
	return 1;
}

static uc_err set_sysreg(uc_engine *uc, int op0, int op1, int crn, int crm, int op2, uint64_t val)
{
	uc_arm64_cp_reg r = {.crn = crn, .crm = crm, .op0 = op0, .op1 = op1, .op2 = op2, .val = val};

	return uc_reg_write(uc, UC_ARM64_REG_CP_REG, &r);
}

static uc_err enable_mmu(uc_engine *uc, uint64_t tcr, uint64_t ttbr0, uint64_t ttbr1)
{
	uc_arm64_cp_reg sctlr = {.crn = 1, .crm = 0, .op0 = 3, .op1 = 0, .op2 = 0};
	uc_err err;

	// SCR_EL3 and HCR_EL2 reset to 0, which says that EL1 is AArch32; the
	// library runs it as AArch64 all the same, but walks 32-bit tables.
	if ((err = set_sysreg(uc, 3, 6, 1, 1, 0, 0x401)) || // SCR_EL3: RW, NS
	    (err = set_sysreg(uc, 3, 4, 1, 1, 0, UINT64_C(1) << 31)) || // HCR_EL2: RW
	    (err = set_sysreg(uc, 3, 0, 10, 2, 0, 0xff)) || // MAIR_EL1: normal memory
	    (err = set_sysreg(uc, 3, 0, 2, 0, 2, tcr)) ||
	    (err = set_sysreg(uc, 3, 0, 2, 0, 0, ttbr0)) ||
	    (err = set_sysreg(uc, 3, 0, 2, 0, 1, ttbr1)) ||
	    (err = uc_reg_read(uc, UC_ARM64_REG_CP_REG, &sctlr)))
		return err;
	// Pointer authentication stays off (EnIA and its like are 0 from reset).
	return set_sysreg(uc, 3, 0, 1, 0, 0, sctlr.val | 1);
}

uc_err vcpu_setup(struct vcpu *v, uc_engine *uc, uint64_t tcr, uint64_t ttbr0, uint64_t ttbr1)
{
	uc_err err;

	if ((err = enable_mmu(uc, tcr, ttbr0, ttbr1)) ||
	    (err = uc_hook_add(uc, &v->hooks[0], UC_HOOK_BLOCK, (void *)on_block, v, 1, 0)) ||
	    (err = uc_hook_add(uc, &v->hooks[1], UC_HOOK_INTR, (void *)on_exception, v, 1, 0)) ||
	    (err = uc_hook_add(uc, &v->hooks[2], UC_HOOK_MEM_UNMAPPED, (void *)on_unmapped, v, 1, 0)) ||
	    (err = uc_hook_add(uc, &v->hooks[3], UC_HOOK_INSN, (void *)on_mrs, v, 1, 0, UC_ARM64_INS_MRS)) ||
	    (err = uc_hook_add(uc, &v->hooks[4], UC_HOOK_EDGE_GENERATED, (void *)on_translated, v, 1, 0)))
		return err;
	return UC_ERR_OK;
}

uc_err vcpu_move(struct vcpu *v, uc_engine *uc)
{
	uc_context *context;
	uc_err err;

	if ((err = uc_context_alloc(v->uc, &context)))
		return err;
	if (!(err = uc_context_save(v->uc, context)))
		err = uc_context_restore(uc, context);
	uc_context_free(context);
	if (err)
		return err;
	v->uc = uc;
	v->translated = 0;
	v->told = false;
	v->exits_set = false;
	return UC_ERR_OK;
}

#define NREGS 36

// PC is not among them: emu_start sets it, and writing it asks the library to
// leave a run that has not begun.
static void point(struct vcpu *v, int *ids, void **vals)
{
	int n = 0;

	for (int i = 0; i < 29; i++, n++)
		ids[n] = UC_ARM64_REG_X0 + i, vals[n] = &v->x[i];
	ids[n] = UC_ARM64_REG_X29, vals[n++] = &v->x[29];
	ids[n] = UC_ARM64_REG_X30, vals[n++] = &v->x[30];
	ids[n] = UC_ARM64_REG_SP, vals[n++] = &v->sp;
	ids[n] = UC_ARM64_REG_NZCV, vals[n++] = &v->nzcv;
	ids[n] = UC_ARM64_REG_SP_EL0, vals[n++] = &v->sp_el0;
	ids[n] = UC_ARM64_REG_TPIDR_EL1, vals[n++] = &v->tpidr_el1;
	ids[n] = UC_ARM64_REG_TPIDR_EL0, vals[n++] = &v->tpidr_el0;
}

// set_exits tells the library where to end blocks. It forgets what `until` of
// uc_emu_start says when it has a list of its own.
static uc_err set_exits(struct vcpu *v, uint64_t until)
{
	size_t n = v->nexits;
	uc_err err;

	if (v->exits_set && (n == 0 || until == 0))
		return UC_ERR_OK;
	if (n == 0) {
		v->exits_set = true;
		return uc_ctl_exits_disable(v->uc);
	}
	if (until != 0)
		v->exits[n++] = until;
	v->exits_set = until == 0;
	if ((err = uc_ctl_exits_enable(v->uc)))
		return err;
	return uc_ctl_set_exits(v->uc, v->exits, n);
}

uc_err vcpu_run(struct vcpu *v, uint64_t until)
{
	int ids[NREGS];
	void *vals[NREGS];
	uc_err err;

	point(v, ids, vals);
	if ((err = uc_reg_write_batch(v->uc, ids, vals, NREGS)))
		return err;
	v->stop = STOP_NONE;
	v->first = true;

	// until 0 means never, except that a run cannot then begin at address 0.
	if (until == 0 && v->pc == 0)
		until = 2;
	// What was translated earlier does not know of this end.
	if (until != 0)
		vcpu_drop(v, v->pc, until - v->pc);
	if ((err = set_exits(v, until)))
		return err;
	err = uc_emu_start(v->uc, v->pc, until, 0, 0);
	drop_standins(v);
	if (v->stop == STOP_NONE)
		uc_reg_read(v->uc, UC_ARM64_REG_PC, &v->pc);
	uc_reg_read_batch(v->uc, ids, vals, NREGS);
	return err;
}

uc_err vcpu_drop(struct vcpu *v, uint64_t addr, uint64_t size)
{
	return uc_ctl_remove_cache(v->uc, addr, addr + size);
}

// Mapping anything makes the library forget all that it knows of addresses.
uc_err vcpu_flush(struct vcpu *v)
{
	uc_err err = uc_mem_map_ptr(v->uc, v->spare, PAGE, UC_PROT_ALL, v->standin);

	return err ? err : uc_mem_unmap(v->uc, v->spare, PAGE);
}
