// SPDX-License-Identifier: GPL-2.0-only
//
// gcc up to 13 does not align cold functions as -falign-functions asks, so
// their literals cannot be stored in one piece. Linux defines __cold to
// nothing with such a compiler (include/linux/compiler_types.h).

#define cold __attribute__((__cold__, __noinline__))

cold unsigned long failed(unsigned long n) { return 3 * n + 1; }

cold unsigned long failed_again(unsigned long n) { return n + failed(n); }

unsigned long check(unsigned long n) { return n ? failed_again(n) : 0; }
