// SPDX-License-Identifier: GPL-2.0-only
//
// gcc does not apply -falign-functions to cold functions, so their literals
// cannot be stored in one piece. Linux defines __cold to nothing unless the
// compiler has -fmin-function-alignment (include/linux/compiler_types.h).

#define cold __attribute__((__cold__, __noinline__))

cold unsigned long failed(unsigned long n) { return 3 * n + 1; }

cold unsigned long failed_again(unsigned long n) { return n + failed(n); }

unsigned long check(unsigned long n) { return n ? failed_again(n) : 0; }
