package elffile

import (
	"debug/elf"
	"strings"
)

// Named reports whether kallsyms would know a symbol of that name. It drops those of
// sections, of local labels, and the mapping symbols $x and $d.
func Named(name string) bool {
	return name != "" && name[0] != '$' && !strings.HasPrefix(name, ".L")
}

// SymbolRank orders symbols at one address as scripts/kallsyms.c does, so that
// the first is the name that the kernel would print: not weak, not made by the
// linker script, few underscores in front. Names with a dot are gcc's copies
// and aliases (fib.localalias), which no kernel has beside the function itself.
func SymbolRank(name string, bind elf.SymBind) int {
	rank := len(name) - len(strings.TrimLeft(name, "_"))
	if strings.HasPrefix(name, "__") && (strings.HasPrefix(name, "__start_") || strings.HasPrefix(name, "__stop_") ||
		strings.HasPrefix(name, "__end_") || strings.HasSuffix(name, "_start") || strings.HasSuffix(name, "_end")) {
		rank += 1 << 10
	}
	if strings.Contains(name, ".") {
		rank += 1 << 9
	}
	if bind == elf.STB_WEAK {
		rank += 1 << 11
	}
	return rank
}
