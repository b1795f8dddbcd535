// Loops that stay in registers, each step waiting for the last.

typedef unsigned long u64;
typedef unsigned int u32;

u64 lcg(u64 n, u64 x) { while (n--) x = x * 6364136223846793005ul + 1442695040888963407ul; return x; }

u64 xorshift(u64 n, u64 x) { while (n--) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; } return x; }

u64 xorshift_mul(u64 n, u64 x) { while (n--) { x ^= x >> 12; x ^= x << 25; x ^= x >> 27; x *= 2685821657736338717ul; } return x; }

u64 murmur(u64 n, u64 x) { while (n--) { x ^= x >> 33; x *= 0xff51afd7ed558ccdul; x ^= x >> 33; x *= 0xc4ceb9fe1a85ec53ul; x ^= x >> 33; } return x; }

u64 mul_shift(u64 n, u64 x) { while (n--) { x *= 0x9e3779b97f4a7c15ul; x ^= x >> 29; x += n; x *= 0xbf58476d1ce4e5b9ul; } return x; }

u64 fnv(u64 n, u64 x) { while (n--) { x ^= n & 255; x *= 0x100000001b3ul; } return x; }

u32 murmur32(u64 n, u32 x) { while (n--) { x ^= x >> 16; x *= 0x85ebca6b; x ^= x >> 13; x *= 0xc2b2ae35; } return x; }

u32 crc_bit(u64 n, u32 x) { while (n--) x = x >> 1 ^ (0xedb88320 & -(x & 1)); return x; }

u64 fibonacci(u64 n, u64 x) { u64 y = 1; while (n--) { u64 t = x + y; x = y; y = t; } return x; }

u64 gcd(u64 a, u64 b) { while (a != b) { if (a > b) a -= b; else b -= a; } return a; }

u64 collatz(u64 n, u64 x) { u64 s = 0; while (n--) { x = n + 1; while (x != 1) { x = x & 1 ? 3 * x + 1 : x >> 1; s++; } } return s; }

u64 popcount(u64 n, u64 x) { u64 s = 0; while (n--) { u64 y = x + n; while (y) { y &= y - 1; s++; } } return s; }

u64 jenkins(u64 n, u64 x) {
	u32 a = x, b = x >> 32, c = n;
	while (n--) {
		a -= c; a ^= c << 4 | c >> 28; c += b;
		b -= a; b ^= a << 6 | a >> 26; a += c;
		c -= b; c ^= b << 8 | b >> 24; b += a;
	}
	return (u64)a << 32 | (b ^ c);
}

u64 pcg(u64 n, u64 x) {
	u32 s = 0;
	while (n--) {
		u32 v = (x >> 18 ^ x) >> 27, r = x >> 59;
		x = x * 6364136223846793005ul + 1;
		s += v >> r | v << (-r & 31);
	}
	return s;
}
