// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rest of ftrace that callops asks an image for: the functions that walk
 * or guard ops, and the objects that they start from. They do what Linux 6.12's
 * do (kernel/trace/ftrace.c, include/linux/trace_recursion.h), in a kernel
 * without preemption. Change them to try another list function.
 */
#include "ftrace.h"

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

#define FTRACE_OPS_FL_STUB	(1UL << 5)
#define FTRACE_OPS_FL_RCU	(1UL << 14)
#define FTRACE_HASH_FL_MOD	(1UL << 0)

void ftrace_stub(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);
void ftrace_ops_nop_func(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);
void arch_ftrace_ops_list_func(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);
void ftrace_ops_assist_func(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);
void call_direct_funcs(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);

/* ---- objects ----------------------------------------------------------- */

struct ftrace_ops ftrace_list_end = {
	.func = ftrace_stub,
	.flags = FTRACE_OPS_FL_STUB,
	.func_hash = &ftrace_list_end.local_hash,
	.subop_list = { &ftrace_list_end.subop_list, &ftrace_list_end.subop_list },
};

struct ftrace_ops *ftrace_ops_list = &ftrace_list_end;
struct ftrace_ops *function_trace_op = &ftrace_list_end;

/* What the literal of a site with several ops names, and of a disabled one. */
const struct ftrace_ops ftrace_list_ops = { .func = arch_ftrace_ops_list_func, .flags = FTRACE_OPS_FL_STUB };
const struct ftrace_ops ftrace_nop_ops = { .func = ftrace_ops_nop_func, .flags = FTRACE_OPS_FL_STUB };

/* ---- current, this CPU ------------------------------------------------- */

#define TASK_PREEMPT_COUNT	8
#define TASK_TRACE_RECURSION	2832
#define CPU_CONTEXT_STATE	8

static inline char *current(void)
{
	char *task;

	__asm__("mrs %0, sp_el0" : "=r"(task));
	return task;
}

#define preempt_count() (*(volatile u32 *)(current() + TASK_PREEMPT_COUNT))
#define trace_recursion() (*(volatile u64 *)(current() + TASK_TRACE_RECURSION))

/* rcu_is_watching: context_tracking.state counts in steps of 4, odd while RCU watches. */
static inline int rcu_is_watching(void)
{
	char *base;

	__asm__ volatile("mrs %0, tpidr_el1" : "=r"(base));
	return *(volatile u32 *)(base + CPU_CONTEXT_STATE) >> 2 & 1;
}

/* ---- protection from recursion ----------------------------------------- */

#define TRACE_LIST_START 5
enum { CTX_NMI, CTX_IRQ, CTX_SOFTIRQ, CTX_NORMAL, CTX_TRANSITION };

static inline int context(void)
{
	u32 count = preempt_count();

	if (count & 0xf00000)
		return CTX_NMI;
	if (count & 0xf0000)
		return CTX_IRQ;
	if (count & 0x100)
		return CTX_SOFTIRQ;
	return CTX_NORMAL;
}

/* Returns the bit that was taken, or 0: this context is in here already. */
static inline u64 recursion_enter(void)
{
	u64 taken = trace_recursion();
	u64 bit = 1UL << (TRACE_LIST_START + context());

	if (taken & bit) {
		/* An interrupt may arrive before preempt_count shows it: allow one more level. */
		bit = 1UL << (TRACE_LIST_START + CTX_TRANSITION);
		if (taken & bit)
			return 0;
	}
	trace_recursion() = taken | bit;
	preempt_count() = preempt_count() + 1;
	return bit;
}

static inline void recursion_leave(u64 bit)
{
	preempt_count() = preempt_count() - 1;
	trace_recursion() = trace_recursion() & ~bit;
}

/* ---- hashes ------------------------------------------------------------- */

static inline int hash_empty(const struct ftrace_hash *hash)
{
	return !hash || !(hash->count || hash->flags & FTRACE_HASH_FL_MOD);
}

static inline int hash_contains(const struct ftrace_hash *hash, u64 ip)
{
	u64 bucket = 0;

	if (hash->size_bits)
		bucket = ip * 0x61C8864680B583EBUL >> (64 - hash->size_bits);
	for (struct ftrace_func_entry *e = READ_ONCE(hash->buckets[bucket]); e; e = READ_ONCE(e->next))
		if (e->ip == ip)
			return 1;
	return 0;
}

static inline int ops_wants(struct ftrace_ops *op, u64 ip)
{
	struct ftrace_ops_hash *h = READ_ONCE(op->func_hash);
	struct ftrace_hash *filter = READ_ONCE(h->filter_hash);
	struct ftrace_hash *notrace = READ_ONCE(h->notrace_hash);

	return (hash_empty(filter) || hash_contains(filter, ip)) &&
	       (hash_empty(notrace) || !hash_contains(notrace, ip));
}

/* ---- the functions that literals lead to -------------------------------- */

void ftrace_ops_nop_func(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	(void)ip, (void)parent_ip, (void)op, (void)fregs;
}

/* Every ops on the list that wants ip, newest first. */
void arch_ftrace_ops_list_func(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	u64 bit = recursion_enter();

	if (!bit)
		return;
	op = READ_ONCE(ftrace_ops_list);
	do {
		if (op->flags & FTRACE_OPS_FL_STUB)
			continue;
		if (op->flags & FTRACE_OPS_FL_RCU && !rcu_is_watching())
			continue;
		if (ops_wants(op, ip))
			op->func(ip, parent_ip, op, fregs);
	} while ((op = READ_ONCE(op->next)) && op != &ftrace_list_end);
	recursion_leave(bit);
}

/* One ops with the RECURSION or RCU flag. */
void ftrace_ops_assist_func(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	u64 bit = recursion_enter();

	if (!bit)
		return;
	if (!(op->flags & FTRACE_OPS_FL_RCU) || rcu_is_watching())
		op->func(ip, parent_ip, op, fregs);
	recursion_leave(bit);
}

/* The func of an ops with a direct call, on a site with others. */
void call_direct_funcs(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	u64 addr = READ_ONCE(op->direct_call);

	(void)ip, (void)parent_ip;
	if (addr)
		fregs->direct_tramp = addr;
}
