// Package difftest runs the same operations of ftrace on two cores, callops' own
// (package ftrace) and the kernel's (package guestcore), on two machines with the same
// image, and compares all that can be seen after each: what was returned, every record's
// flags, every word and literal of the sites, the list of ops with their flags and funcs,
// the control files as the kernel prints them, and what traced calls return, count
// and take in instructions.
//
// The first difference ends a run; [Shrink] finds a short sequence that shows it too.
// Addresses of ops differ between the machines, and are compared as the ops that they are.
//
// Start at [Soak.Run], or with steps of one's own at [NewPair]. A Pair belongs to one goroutine.
package difftest
