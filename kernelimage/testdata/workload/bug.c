/*
 * Functions that come to BUG() and WARN(), and a table of those places as arm64's
 * kernels have it: struct bug_entry of CONFIG_DEBUG_BUGVERBOSE, 12 bytes, the
 * first two of its fields distances from themselves.
 */

#define WARNING (1 << 0)
#define ONCE (1 << 1)

#define BUG_ENTRY(file, line, flags)                             \
	asm volatile("1:	brk	#0x800\n"                \
		     "	.pushsection .rodata.str, \"aMS\", @progbits, 1\n" \
		     "2:	.string	\"" file "\"\n"          \
		     "	.popsection\n"                           \
		     "	.pushsection __bug_table, \"aw\"\n"      \
		     "	.align	2\n"                             \
		     "3:	.long	1b - 3b\n"               \
		     "4:	.long	2b - 4b\n"               \
		     "	.short	%c0, %c1\n"                      \
		     "	.popsection\n"                           \
		     : : "i"(line), "i"(flags))

long warn_on(long n)
{
	if (n < 0)
		BUG_ENTRY("lib/warn.c", 11, WARNING);
	return n + 1;
}

/* Comes to the same WARN_ONCE() n times. */
long warn_once(long n)
{
	long sum = 0;

	while (n-- > 0) {
		BUG_ENTRY("lib/once.c", 22, WARNING | ONCE);
		sum += 3;
	}
	return sum;
}

long bug_on(long n)
{
	if (n < 0) {
		BUG_ENTRY("lib/bug.c", 33, 0);
		__builtin_unreachable();
	}
	return n + 1;
}

/* Has no entry. */
long bug_untold(void)
{
	asm volatile("brk	#0x800");
	return 1;
}

/* Its file's name would do things to a terminal. */
long bug_unprintable(void)
{
	BUG_ENTRY("lib/\\033[2J.c", 44, 0);
	return 1;
}

/* A breakpoint of another kind, with an entry. */
long brk_other(void)
{
	asm volatile("1:	brk	#0x801\n"
		     "	.pushsection __bug_table, \"aw\"\n"
		     "2:	.long	1b - 2b, 0, 0\n"
		     "	.popsection\n");
	return 1;
}
