// Package textdiff compares the ftrace of two kernels, function by function, so that
// linking anew is no difference.
//
// What depends on where code and data lie is taken out of each instruction, and what
// it refers to is put in its place: the target of a branch, the address that ADRP
// forms with the ADD, load or store that uses it, a literal, the other instructions
// of an alternative, the key of a static branch. Two references are the same if they
// have a symbol in common, or read the same string. NOPs that align a loop are left
// out, as a compiler aligns anew where a function in front of them has grown.
//
// The functions compared are those of ftrace's source files. The kernel's own table of
// BUG() and WARN() tells which code was compiled from which source file, and a file's
// functions lie together; the names of its entry points tell the rest.
//
// Structures are compared by their BTF. Left out on purpose: data, and code that is
// not ftrace's. Start at [Compare]. Everything here may be used from any goroutine.
package textdiff
