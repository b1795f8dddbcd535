// SPDX-License-Identifier: GPL-2.0-only
//
// A shared object with symbols that it does not define.

extern unsigned long printk(const char *);
extern unsigned long jiffies;

unsigned long say(void) { return printk("hello") + jiffies; }
