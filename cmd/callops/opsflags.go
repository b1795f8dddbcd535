package main

import (
	"fmt"
	"strings"

	"callops/ftrace"
)

const opsFlagsHelp = "a list of recursion, rcu, regs"

// opsFlags is a flag that takes a list of flags of an ops.
type opsFlags struct{ value ftrace.OpsFlag }

// opsFlagNames are those that the sample module of Linux can set. There are no
// regs on arm64, so these are asked for as far as they are supported.
var opsFlagNames = []struct {
	name string
	flag ftrace.OpsFlag
}{
	{"recursion", ftrace.OpsRecursion},
	{"rcu", ftrace.OpsRCU},
	{"regs", ftrace.OpsSaveRegsIfSupported},
}

func (f *opsFlags) Type() string { return "LIST" }

func (f *opsFlags) String() string {
	var names []string
	for _, n := range opsFlagNames {
		if f.value&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

func (f *opsFlags) Set(s string) error {
	var value ftrace.OpsFlag
next:
	for word := range strings.SplitSeq(s, ",") {
		for _, n := range opsFlagNames {
			if n.name == word {
				value |= n.flag
				continue next
			}
		}
		return fmt.Errorf("%q is none of them; must be %s", word, opsFlagsHelp)
	}
	f.value |= value
	return nil
}
