package main

import (
	"fmt"

	"callops/asm"
	"callops/ftrace"
	"callops/kernel"
)

// names resolves addresses of a kernel.
type names struct{ k *kernel.Kernel }

// short is symbol+offset, or empty where there is no symbol.
func (n names) short(addr uint64) string { return n.k.Short(addr) }

// function is the name that a list of functions has for addr.
func (n names) function(addr uint64) string {
	if name, ok := n.k.Gates.Name(addr); ok {
		return name
	}
	name, module, ok := n.k.Symbols.FormatName(addr)
	switch {
	case !ok:
		return fmt.Sprintf("%#x", addr)
	case module != "":
		return name + " [" + module + "]"
	}
	return name
}

// pointer is %pS, or the name of the heap object at that address.
func (n names) pointer(addr uint64) string {
	s := n.k.Symbols.Format(addr)
	if o, ok := n.k.Heap.Lookup(addr); ok {
		s += " (" + o.Name + ")"
	}
	return s
}

func (n names) disassemble(word uint32, pc uint64) string {
	return asm.Disassemble(word, pc, n.short)
}

// recordFlags are the flags of a record that are printed, under Linux's names
// without FTRACE_FL_.
var recordFlags = []struct {
	flag ftrace.RecFlags
	name string
}{
	{ftrace.RecEnabled, "ENABLED"},
	{ftrace.RecRegs, "REGS"},
	{ftrace.RecRegsEn, "REGS_EN"},
	{ftrace.RecTramp, "TRAMP"},
	{ftrace.RecTrampEn, "TRAMP_EN"},
	{ftrace.RecIPModify, "IPMODIFY"},
	{ftrace.RecDisabled, "DISABLED"},
	{ftrace.RecDirect, "DIRECT"},
	{ftrace.RecDirectEn, "DIRECT_EN"},
	{ftrace.RecCallOps, "CALL_OPS"},
	{ftrace.RecCallOpsEn, "CALL_OPS_EN"},
	{ftrace.RecTouched, "TOUCHED"},
	{ftrace.RecModified, "MODIFIED"},
}

// flagNames names the flags of a record above its count.
func flagNames(f ftrace.RecFlags) []string {
	set := []string{}
	for _, r := range recordFlags {
		if f&r.flag != 0 {
			set = append(set, r.name)
		}
	}
	return set
}
