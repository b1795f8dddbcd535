typedef unsigned char u8; typedef unsigned int u32; struct list { struct list *next; int v; };
enum color { RED = -1, BLUE };
int add(int a, int b) { return a + b; }
u32 crc(u32 seed, const u8 *p, unsigned long n) { while (n--) seed = seed * 31 + *p++; return seed; }
void nothing(void) {}
_Bool is_even(long n) { return !(n & 1); }
struct list *tail(struct list *l) { while (l->next) l = l->next; return l; }
int apply(int (*fn)(int, int), int a, ...) { return fn(a, a); }
enum color invert(enum color c) { return c == RED ? BLUE : RED; }
static int __attribute__((noinline)) half(unsigned short v) { return v / 2; }
long use(int v) { return half(v) + half(3); }
