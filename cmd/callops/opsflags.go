package main

import (
	"callops/bench"
	"callops/ftrace"
)

// opsFlags is a flag that takes a list of flags of an ops.
type opsFlags struct {
	words
	value ftrace.OpsFlag
}

func newOpsFlags() opsFlags { return opsFlags{words: words{allowed: bench.OpsFlagNames()}} }

func (f *opsFlags) Set(list string) (err error) {
	if err := f.words.Set(list); err != nil {
		return err
	}
	f.value, err = bench.ParseOpsFlags(f.String())
	return err
}
