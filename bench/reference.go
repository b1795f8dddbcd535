package bench

import "callops/ftrace"

// What real kernels take for the same calls. Both count instructions under an
// emulator, with pointer authentication off, and are shown beside our own
// figures; nothing is computed from them.

// Linux612 is where figures with CALL_OPS come from.
const Linux612 = "Linux 6.12.107, Debian's arm64 cloud kernel, samples/ftrace/ftrace-ops.ko, counted in instructions"

// Reference is a figure of a real kernel, in instructions. PerCall is 0 where
// only the overhead is known.
type Reference struct{ PerCall, Overhead float64 }

// referenceCallOps has CALL_OPS. Its ftrace_caller executes 39 instructions per call.
var referenceCallOps = map[scenario]Reference{
	{0, 0}:   {8, 0},
	{0, 100}: {8, 0},
	{1, 0}:   {50, 42},
	{1, 1}:   {50, 42},
	{1, 2}:   {50, 42},
	{1, 10}:  {50, 42},
	{1, 100}: {50, 42},
	{2, 0}:   {206, 198},
	{10, 0}:  {606, 598},
	{100, 0}: {5106, 5098},
}

// Linux61 is where figures without CALL_OPS come from.
const Linux61 = "Linux 6.1, which has no CALL_OPS, through the list function: 145 instructions for one dynamically allocated ops, " +
	"54 for each further relevant one, 42 for each irrelevant one"

// referenceBefore is the scheme before CALL_OPS.
func referenceBefore(s scenario) (Reference, bool) {
	if s.relevant == 0 {
		return Reference{}, false
	}
	return Reference{Overhead: float64(145 + 54*(s.relevant-1) + 42*s.irrelevant)}, true
}

// Reference returns a real kernel's figures for the row, which with literals are those of
// CALL_OPS, and reports whether they are known. They compare where [Result.AsSample] is set.
func (row *Row) Reference() (Reference, bool) {
	s := scenario{row.Relevant, row.Irrelevant}
	switch row.Scheme {
	case ftrace.Global:
		return referenceBefore(s)
	case ftrace.List:
		return Reference{}, false
	}
	ref, ok := referenceCallOps[s]
	return ref, ok
}
