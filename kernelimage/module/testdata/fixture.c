// A module for the built-in kernel: what every module has, and calls in all
// directions.

extern unsigned long gcd(unsigned long a, unsigned long b);
extern void nobody(void) __attribute__((weak));

#define EXPORT(name) asm(".pushsection __ksymtab, \"a\"\n.align 2\n" \
	"__ksymtab_" #name ": .long " #name " - ., 0, 0\n.popsection")

static int calls;
static const char text[] = "fixture";
static void (*volatile weak)(void) = nobody;
static unsigned long (*volatile pointer)(unsigned long, unsigned long) = gcd;
__attribute__((section(".data..percpu"), used)) static long per_cpu_word = 7;

unsigned long fixture_sum(unsigned long a, unsigned long b)
{
	calls++;
	return gcd(a, b) + pointer(a, b);
}
EXPORT(fixture_sum);

int fixture_calls(void)
{
	return calls;
}

const char *fixture_text(void)
{
	return weak ? 0 : text;
}

// this_cpu_read. The built-in kernel's per-CPU variables begin at address 0,
// which ADRP does not reach.
long fixture_per_cpu(void)
{
	long word, base;

	asm volatile("movz	%0, #:abs_g3:per_cpu_word\n"
		     "movk	%0, #:abs_g2_nc:per_cpu_word\n"
		     "movk	%0, #:abs_g1_nc:per_cpu_word\n"
		     "movk	%0, #:abs_g0_nc:per_cpu_word\n"
		     "mrs	%1, tpidr_el1\n"
		     "ldr	%0, [%0, %1]" : "=&r"(word), "=&r"(base));
	return word;
}

__attribute__((section(".init.text"))) int init_module(void)
{
	calls = 100;
	return 0;
}

__attribute__((section(".modinfo"), used)) static const char modinfo[] =
	"license=GPL\0name=fixture\0vermagic=6.99 SMP aarch64";
__attribute__((section(".gnu.linkonce.this_module"), used, aligned(64))) static char this_module[64];
