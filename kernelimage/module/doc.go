// Package module reads the files of kernel modules (.ko) and links them for a place in
// a kernel's memory: [Parse], then [File.Link] against a [Host], which returns a
// [Module]. Package kernel puts that into memory.
//
// It follows kernel/module/main.c, kernel/module/version.c and
// arch/arm64/kernel/module.c of Linux 6.12. Left out on purpose: signatures,
// licenses, parameters, alternatives and static keys, which stay as built.
//
// A [Module] never changes, and may be used from any goroutine; a [File] is used by
// one.
package module
