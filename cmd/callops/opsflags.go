package main

import (
	"callops/bench"
	"callops/ftrace"
)

const opsFlagsHelp = "a list of recursion, rcu, regs"

// opsFlags is a flag that takes a list of flags of an ops.
type opsFlags struct {
	list  string
	value ftrace.OpsFlag
}

func (f *opsFlags) String() string { return f.list }
func (f *opsFlags) Type() string   { return "LIST" }

func (f *opsFlags) Set(s string) (err error) {
	f.list = s
	f.value, err = bench.ParseOpsFlags(s)
	return err
}
