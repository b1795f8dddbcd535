// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * What is traced. `callops check` takes two functions that do nothing, `callops
 * bench` what --tracee names; any others can be called and traced by name.
 */
void nothing(void)
{
}

void nothing_else(void)
{
}

unsigned long sum(unsigned long n)
{
	unsigned long s = 0;

	while (n)
		s += n--;
	return s;
}
