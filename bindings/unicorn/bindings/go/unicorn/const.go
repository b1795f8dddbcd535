// SPDX-License-Identifier: GPL-2.0-only

package unicorn

// Names are upstream's; values are the same in every 2.x header.
const (
	ERR_VERSION = 5

	ARCH_ARM64 = 2
	MODE_ARM   = 0

	CPU_ARM64_MAX = 3

	PROT_ALL = 7
)
