/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The structures that trampolines and tracers share, in the layout of Linux
 * 6.12 on arm64, which callops takes for an ELF file. Their fields are the
 * kernel's; what nothing here uses is room.
 */
#define FREGS_X0	0	/* x0 ... x8 */
#define FREGS_DIRECT	72	/* direct_tramp */
#define FREGS_FP	80	/* then lr */
#define FREGS_SP	96	/* then pc */
#define FREGS_PC	104
#define FREGS_SIZE	112

#define OPS_FUNC	0
#define OPS_DIRECT_CALL	208

#ifndef __ASSEMBLER__

typedef unsigned int u32;
typedef unsigned long u64;

struct ftrace_regs {
	u64 regs[9];
	u64 direct_tramp;
	u64 fp, lr, sp, pc;
};

struct ftrace_func_entry {
	struct ftrace_func_entry *next, **pprev;
	u64 ip;
	u64 direct;
};

struct ftrace_hash {
	u64 size_bits;
	struct ftrace_func_entry **buckets;
	u64 count;
	u64 flags;
	u64 rcu[2];
};

struct ftrace_ops_hash {
	struct ftrace_hash *notrace_hash, *filter_hash;
	u64 regex_lock[4];
};

struct list_head {
	struct list_head *next, *prev;
};

struct ftrace_ops {
	void (*func)(u64 ip, u64 parent_ip, struct ftrace_ops *op, struct ftrace_regs *fregs);
	struct ftrace_ops *next;
	u64 flags;
	void *private;
	void *saved_func;
	struct ftrace_ops_hash local_hash;
	struct ftrace_ops_hash *func_hash;
	struct ftrace_ops_hash old_hash;
	u64 trampoline, trampoline_size;
	struct list_head list, subop_list;
	void *ops_func;
	void *managed;
	u64 direct_call;
};

#define AT(type, field, offset) \
	_Static_assert(__builtin_offsetof(struct type, field) == (offset), #type "." #field)

AT(ftrace_regs, direct_tramp, FREGS_DIRECT);
AT(ftrace_regs, fp, FREGS_FP);
AT(ftrace_regs, sp, FREGS_SP);
AT(ftrace_regs, pc, FREGS_PC);
AT(ftrace_ops, func, OPS_FUNC);
AT(ftrace_ops, direct_call, OPS_DIRECT_CALL);
_Static_assert(sizeof(struct ftrace_regs) == FREGS_SIZE, "struct ftrace_regs");
_Static_assert(sizeof(struct ftrace_ops) == 216, "struct ftrace_ops");
_Static_assert(sizeof(struct ftrace_hash) == 48, "struct ftrace_hash");

#endif
