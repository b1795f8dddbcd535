// Package model is a scenario as states and moves: what the core does, what the
// CPUs do meanwhile, and what has to hold.
//
// A [Scenario] is set up on a kernel. Its patchers run the core itself, unmodified: package
// ftrace, or an image's own machine code (patcher.go). It is executed once for every order in
// which its operations may come, and each thing that it does to the machine becomes a
// [Step] (recorder.go, program.go). The tasks execute the trampolines themselves, by the interpreter
// (package guest). The product of both, with what a CPU sees of what others wrote
// (package weak), is searched (package search): expand.go has
// the states, turn.go what a CPU may do next, property.go what has to hold.
//
// [Subject.Explore] visits every state, [Subject.Play] replays one path and
// reports it as facts: addresses and values. The caller puts them into words.
package model
