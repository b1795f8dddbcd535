// SPDX-License-Identifier: GPL-2.0-only
//
// A program that stands in for a kernel: freestanding, without floating point,
// every function a call site. Arguments are integers and pointers, so that any
// function can be called by name. The Makefile says how it is built.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

#define noinline __attribute__((__noinline__, __noclone__))
#define hidden static noinline
#define UNTRACED __attribute__((patchable_function_entry(0, 0)))

/* ---- memory and strings ------------------------------------------------ */

/* The compiler may call these on its own, so they have their usual meaning;
 * the volatile keeps it from making them call themselves. */
noinline void *memcpy(void *dst, const void *src, u64 n)
{
	volatile u8 *d = dst;
	const u8 *s = src;

	while (n--)
		*d++ = *s++;
	return dst;
}

noinline void *memset(void *dst, int c, u64 n)
{
	volatile u8 *d = dst;

	while (n--)
		*d++ = c;
	return dst;
}

noinline s64 mem_compare(const u8 *a, const u8 *b, u64 n)
{
	for (u64 i = 0; i < n; i++)
		if (a[i] != b[i])
			return (s64)a[i] - b[i];
	return 0;
}

noinline u64 str_length(const char *s)
{
	const volatile char *p = s;

	while (*p)
		p++;
	return (const char *)p - s;
}

noinline s64 str_find(const char *s, const char *word)
{
	u64 n = str_length(word), len = str_length(s);

	for (u64 i = 0; i + n <= len; i++)
		if (!mem_compare((const u8 *)s + i, (const u8 *)word, n))
			return i;
	return -1;
}

noinline void str_reverse(char *s)
{
	u64 n = str_length(s);

	for (u64 i = 0; i < n / 2; i++) {
		char c = s[i];

		s[i] = s[n - 1 - i];
		s[n - 1 - i] = c;
	}
}

/* ---- numbers as text ---------------------------------------------------- */

noinline u64 parse_decimal(const char *s)
{
	u64 n = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		n = 10 * n + (*s - '0');
	return n;
}

noinline u64 format_number(u64 n, u64 base, char *out)
{
	char digits[64];
	u64 len = 0;

	do {
		digits[len++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	for (u64 i = 0; i < len; i++)
		out[i] = digits[len - 1 - i];
	out[len] = 0;
	return len;
}

hidden char *put_string(char *out, char *end, const char *s)
{
	while (*s && out < end)
		*out++ = *s++;
	return out;
}

/* format writes at most size-1 characters and a NUL: %d and %x take the next
 * word, %s a string, %% is a percent sign. Returns the length. */
noinline u64 format(char *out, u64 size, const char *fmt, const u64 *args)
{
	char *p = out, *end = out + size - 1, digits[65];

	for (; *fmt && p < end; fmt++) {
		if (*fmt != '%') {
			*p++ = *fmt;
			continue;
		}
		switch (*++fmt) {
		case 'd':
			format_number(*args++, 10, digits);
			p = put_string(p, end, digits);
			break;
		case 'x':
			format_number(*args++, 16, digits);
			p = put_string(p, end, digits);
			break;
		case 's':
			p = put_string(p, end, (const char *)*args++);
			break;
		case '%':
			*p++ = '%';
			break;
		default:
			*p = 0;
			return p - out;
		}
	}
	*p = 0;
	return p - out;
}

/* ---- checksums ---------------------------------------------------------- */

static u32 crc_table[256];

noinline void crc32_make_table(void)
{
	for (u32 i = 0; i < 256; i++) {
		u32 c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		crc_table[i] = c;
	}
}

hidden u32 crc32_update(u32 crc, u8 byte)
{
	return crc >> 8 ^ crc_table[(u8)crc ^ byte];
}

noinline u32 crc32(const u8 *buf, u64 len)
{
	u32 crc = ~0u;

	if (!crc_table[1])
		crc32_make_table();
	for (u64 i = 0; i < len; i++)
		crc = crc32_update(crc, buf[i]);
	return ~crc;
}

noinline u32 adler32(const u8 *buf, u64 len)
{
	u32 a = 1, b = 0;

	for (u64 i = 0; i < len; i++) {
		a = (a + buf[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

noinline u64 fnv1a(const u8 *buf, u64 len)
{
	u64 h = 0xcbf29ce484222325;

	for (u64 i = 0; i < len; i++)
		h = (h ^ buf[i]) * 0x100000001b3;
	return h;
}

/* ---- SHA-256 (FIPS 180-4) ----------------------------------------------- */

struct sha256_state {
	u32 h[8];
	u64 len;
	u8 block[64];
};

static const u32 sha256_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#define ROR(x, n) ((x) >> (n) | (x) << (32 - (n)))

hidden u32 load_be32(const u8 *p)
{
	return (u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

hidden void store_be32(u8 *p, u32 v)
{
	p[0] = v >> 24;
	p[1] = v >> 16;
	p[2] = v >> 8;
	p[3] = v;
}

noinline void sha256_init(struct sha256_state *s)
{
	static const u32 h0[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	for (int i = 0; i < 8; i++)
		s->h[i] = h0[i];
	s->len = 0;
}

/* The names turn instead of the values, which then stay in registers. */
#define ROUND(a, b, c, d, e, f, g, h, i) do { \
	u32 t1 = h + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & f) ^ (~e & g)) + sha256_k[i] + w[i]; \
	u32 t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c)); \
	d += t1; \
	h = t1 + t2; \
} while (0)

noinline void sha256_block(u32 *h, const u8 *block)
{
	u32 w[64];
	u32 s0 = h[0], s1 = h[1], s2 = h[2], s3 = h[3], s4 = h[4], s5 = h[5], s6 = h[6], s7 = h[7];

	for (int i = 0; i < 16; i++)
		w[i] = load_be32(block + 4 * i);
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + (ROR(w[i - 15], 7) ^ ROR(w[i - 15], 18) ^ w[i - 15] >> 3)
			+ w[i - 7] + (ROR(w[i - 2], 17) ^ ROR(w[i - 2], 19) ^ w[i - 2] >> 10);
	for (int i = 0; i < 64; i += 8) {
		ROUND(s0, s1, s2, s3, s4, s5, s6, s7, i);
		ROUND(s7, s0, s1, s2, s3, s4, s5, s6, i + 1);
		ROUND(s6, s7, s0, s1, s2, s3, s4, s5, i + 2);
		ROUND(s5, s6, s7, s0, s1, s2, s3, s4, i + 3);
		ROUND(s4, s5, s6, s7, s0, s1, s2, s3, i + 4);
		ROUND(s3, s4, s5, s6, s7, s0, s1, s2, i + 5);
		ROUND(s2, s3, s4, s5, s6, s7, s0, s1, i + 6);
		ROUND(s1, s2, s3, s4, s5, s6, s7, s0, i + 7);
	}
	h[0] += s0, h[1] += s1, h[2] += s2, h[3] += s3;
	h[4] += s4, h[5] += s5, h[6] += s6, h[7] += s7;
}

noinline void sha256_update(struct sha256_state *s, const u8 *buf, u64 len)
{
	while (len) {
		u64 at = s->len % 64, n = 64 - at < len ? 64 - at : len;

		memcpy(s->block + at, buf, n);
		s->len += n;
		buf += n;
		len -= n;
		if (at + n == 64)
			sha256_block(s->h, s->block);
	}
}

noinline void sha256_final(struct sha256_state *s, u8 *out)
{
	static const u8 pad[64] = { 0x80 };
	u64 bits = 8 * s->len;
	u8 length[8];

	sha256_update(s, pad, 1 + (119 - s->len % 64) % 64);
	store_be32(length, bits >> 32);
	store_be32(length + 4, bits);
	sha256_update(s, length, 8);
	for (int i = 0; i < 8; i++)
		store_be32(out + 4 * i, s->h[i]);
}

noinline void sha256(const u8 *buf, u64 len, u8 *out)
{
	struct sha256_state s;

	sha256_init(&s);
	sha256_update(&s, buf, len);
	sha256_final(&s, out);
}

/* ---- sorting ------------------------------------------------------------ */

hidden void swap_words(u64 *a, u64 *b)
{
	u64 t = *a;

	*a = *b;
	*b = t;
}

noinline void insertion_sort(u64 *v, u64 n)
{
	for (u64 i = 1; i < n; i++)
		for (u64 j = i; j > 0 && v[j - 1] > v[j]; j--)
			swap_words(&v[j - 1], &v[j]);
}

hidden u64 partition(u64 *v, u64 n)
{
	u64 last = 0;

	swap_words(&v[0], &v[n / 2]);
	for (u64 i = 1; i < n; i++)
		if (v[i] < v[0])
			swap_words(&v[++last], &v[i]);
	swap_words(&v[0], &v[last]);
	return last;
}

noinline void quick_sort(u64 *v, u64 n)
{
	u64 middle;

	if (n < 2)
		return;
	middle = partition(v, n);
	quick_sort(v, middle);
	quick_sort(v + middle + 1, n - middle - 1);
}

hidden void sift_down(u64 *v, u64 i, u64 n)
{
	for (u64 child; (child = 2 * i + 1) < n; i = child) {
		if (child + 1 < n && v[child + 1] > v[child])
			child++;
		if (v[i] >= v[child])
			return;
		swap_words(&v[i], &v[child]);
	}
}

noinline void heap_sort(u64 *v, u64 n)
{
	for (u64 i = n / 2; i-- > 0;)
		sift_down(v, i, n);
	while (n > 1) {
		swap_words(&v[0], &v[--n]);
		sift_down(v, 0, n);
	}
}

hidden s64 ascending(const u64 *a, const u64 *b)
{
	return *a < *b ? -1 : *a > *b;
}

hidden s64 descending(const u64 *a, const u64 *b)
{
	return ascending(b, a);
}

typedef s64 (*compare_fn)(const u64 *, const u64 *);

/* sort_by is a shell sort with a callback. */
noinline void sort_by(u64 *v, u64 n, compare_fn compare)
{
	for (u64 gap = n / 2; gap > 0; gap /= 2)
		for (u64 i = gap; i < n; i++)
			for (u64 j = i; j >= gap && compare(&v[j - gap], &v[j]) > 0; j -= gap)
				swap_words(&v[j - gap], &v[j]);
}

static const compare_fn orders[] = { ascending, descending };

noinline void sort_words(u64 *v, u64 n, u64 down)
{
	sort_by(v, n, orders[down != 0]);
}

noinline s64 binary_search(const u64 *v, u64 n, u64 want)
{
	u64 lo = 0, hi = n;

	while (lo < hi) {
		u64 mid = lo + (hi - lo) / 2;

		if (v[mid] == want)
			return mid;
		if (v[mid] < want)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

/* ---- recursion ---------------------------------------------------------- */

noinline u64 fib(u64 n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

noinline u64 ackermann(u64 m, u64 n)
{
	if (!m)
		return n + 1;
	return n ? ackermann(m - 1, ackermann(m, n - 1)) : ackermann(m - 1, 1);
}

static u64 hanoi_moves;

hidden void hanoi_step(u64 discs, u64 from, u64 to, u64 spare)
{
	if (!discs)
		return;
	hanoi_step(discs - 1, from, spare, to);
	hanoi_moves++;
	hanoi_step(discs - 1, spare, to, from);
}

noinline u64 hanoi(u64 discs)
{
	hanoi_moves = 0;
	hanoi_step(discs, 0, 1, 2);
	return hanoi_moves;
}

hidden u64 is_odd(u64 n);

noinline u64 is_even(u64 n)
{
	return n ? is_odd(n - 1) : 1;
}

hidden u64 is_odd(u64 n)
{
	return n ? is_even(n - 1) : 0;
}

noinline u64 gcd(u64 a, u64 b)
{
	return b ? gcd(b, a % b) : a;
}

/* ---- function pointers --------------------------------------------------- */

hidden u64 op_add(u64 a, u64 b) { return a + b; }
hidden u64 op_sub(u64 a, u64 b) { return a - b; }
hidden u64 op_mul(u64 a, u64 b) { return a * b; }
hidden u64 op_xor(u64 a, u64 b) { return a ^ b; }

static u64 (*const operations[])(u64, u64) = { op_add, op_sub, op_mul, op_xor };

noinline u64 bad_operation(u64 op)
{
	return 0xbad00000 | (u16)op;
}

noinline u64 dispatch(u64 op, u64 a, u64 b)
{
	if (op >= sizeof(operations) / sizeof(operations[0]))
		return bad_operation(op);
	return operations[op](a, b);
}

noinline u64 apply(u64 (*fn)(u64), u64 x)
{
	return fn(x) + 1;
}

/* run_program interprets pairs of operation and operand. */
noinline u64 run_program(const u64 *program, u64 len, u64 start)
{
	for (u64 i = 0; i < len; i++)
		start = dispatch(program[2 * i], start, program[2 * i + 1]);
	return start;
}

/* ---- arithmetic ---------------------------------------------------------- */

noinline u64 count_primes(u8 *sieve, u64 n)
{
	u64 count = 0;

	memset(sieve, 0, n);
	for (u64 i = 2; i < n; i++) {
		if (sieve[i])
			continue;
		count++;
		for (u64 j = i * i; j < n; j += i)
			sieve[j] = 1;
	}
	return count;
}

noinline void matrix_multiply(const u64 *a, const u64 *b, u64 *out, u64 n)
{
	for (u64 i = 0; i < n; i++)
		for (u64 j = 0; j < n; j++) {
			u64 sum = 0;

			for (u64 k = 0; k < n; k++)
				sum += a[i * n + k] * b[k * n + j];
			out[i * n + j] = sum;
		}
}

noinline u64 power_mod(u64 base, u64 exponent, u64 modulus)
{
	u64 result = 1;

	for (base %= modulus; exponent; exponent >>= 1) {
		if (exponent & 1)
			result = result * base % modulus;
		base = base * base % modulus;
	}
	return result;
}

noinline u64 square_root(u64 n)
{
	u64 root = 0;

	for (u64 bit = 1ul << 31; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= n)
			root |= bit;
	return root;
}

noinline u64 sum8(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f, u64 g, u64 h)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}

/* ---- bits ----------------------------------------------------------------- */

noinline u64 count_bits(u64 x)
{
	u64 n = 0;

	for (; x; x &= x - 1)
		n++;
	return n;
}

noinline u64 reverse_bits(u64 x)
{
	u64 r = 0;

	for (int i = 0; i < 64; i++, x >>= 1)
		r = r << 1 | (x & 1);
	return r;
}

static u64 random_state = 88172645463325252;

/* next_random is Marsaglia's xorshift64. */
noinline u64 next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

noinline void fill_random(u64 *v, u64 n, u64 seed)
{
	random_state = seed ? seed : 1;
	for (u64 i = 0; i < n; i++)
		v[i] = next_random();
}

/* ---- codecs --------------------------------------------------------------- */

noinline u64 base64_encode(const u8 *in, u64 len, char *out)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *p = out;

	for (u64 i = 0; i < len; i += 3) {
		u64 left = len - i;
		u32 v = in[i] << 16 | (left > 1 ? in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);

		*p++ = letters[v >> 18];
		*p++ = letters[v >> 12 & 63];
		*p++ = left > 1 ? letters[v >> 6 & 63] : '=';
		*p++ = left > 2 ? letters[v & 63] : '=';
	}
	*p = 0;
	return p - out;
}

/* A run is a length from 1 to 255 and the byte. */
noinline u64 rle_compress(const u8 *in, u64 len, u8 *out)
{
	u8 *p = out;

	for (u64 i = 0; i < len;) {
		u64 n = 1;

		while (i + n < len && n < 255 && in[i + n] == in[i])
			n++;
		*p++ = n;
		*p++ = in[i];
		i += n;
	}
	return p - out;
}

noinline u64 rle_expand(const u8 *in, u64 len, u8 *out)
{
	u8 *p = out;

	for (u64 i = 0; i + 1 < len; i += 2) {
		memset(p, in[i + 1], in[i]);
		p += in[i];
	}
	return p - out;
}

hidden u64 match_length(const u8 *a, const u8 *b, u64 limit)
{
	u64 n = 0;

	while (n < limit && a[n] == b[n])
		n++;
	return n;
}

/* An LZ77 of three-byte tokens: how far back, how many bytes, the byte after
 * them. */
noinline u64 lz_compress(const u8 *in, u64 len, u8 *out)
{
	u8 *p = out;

	for (u64 i = 0; i < len;) {
		u64 best = 0, back = 0, window = i < 255 ? i : 255;
		u64 limit = len - i - 1 < 255 ? len - i - 1 : 255;

		for (u64 d = 1; d <= window; d++) {
			u64 n = match_length(in + i - d, in + i, limit);

			if (n > best) {
				best = n;
				back = d;
			}
		}
		*p++ = back;
		*p++ = best;
		*p++ = in[i + best];
		i += best + 1;
	}
	return p - out;
}

noinline u64 lz_expand(const u8 *in, u64 len, u8 *out)
{
	u8 *p = out;

	for (u64 i = 0; i + 2 < len; i += 3) {
		for (u64 n = in[i + 1]; n; n--, p++)
			*p = p[-(s64)in[i]];
		*p++ = in[i + 2];
	}
	return p - out;
}

/* ---- all of it ------------------------------------------------------------ */

static u64 scratch[512];
static char text[2048];

noinline u64 self_test_failed(u64 step)
{
	return step;
}

/* self_test runs a bit of everything: 0 when all is well. */
noinline u64 self_test(void)
{
	u64 n = sizeof(scratch) / sizeof(scratch[0]);

	fill_random(scratch, n, 42);
	quick_sort(scratch, n);
	for (u64 i = 1; i < n; i++)
		if (scratch[i - 1] > scratch[i])
			return self_test_failed(1);
	if (crc32((const u8 *)"123456789", 9) != 0xcbf43926)
		return self_test_failed(2);
	base64_encode((const u8 *)"callops", 7, text);
	if (mem_compare((const u8 *)text, (const u8 *)"Y2FsbG9wcw==", 13))
		return self_test_failed(3);
	if (dispatch(2, 6, 7) != 42 || fib(10) != 55 || hanoi(5) != 31)
		return self_test_failed(4);
	return 0;
}

/* The entry point for running the file on its own. */
UNTRACED void _start(void)
{
	register u64 x0 asm("x0") = self_test();
	register u64 x8 asm("x8") = 93; /* exit */

	asm volatile("svc #0" : : "r"(x0), "r"(x8));
	__builtin_unreachable();
}
