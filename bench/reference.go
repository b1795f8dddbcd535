package bench

// What real kernels take for the same calls. Both count instructions under an
// emulator, with pointer authentication off, and are shown beside our own
// figures; nothing is computed from them.

// linux612 is the source of referenceCallOps.
const linux612 = "Linux 6.12.107, Debian's arm64 cloud kernel, samples/ftrace/ftrace-ops.ko, counted in instructions"

// reference is a figure of a real kernel. PerCall is 0 where only the overhead
// is known.
type reference struct{ perCall, overhead float64 }

// referenceCallOps has CALL_OPS. Its ftrace_caller is 39 instructions a call.
var referenceCallOps = map[scenario]reference{
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

// linux61 says what referenceBefore is made of.
const linux61 = "Linux 6.1, which has no CALL_OPS, through the list function: 145 instructions for one dynamically allocated ops, " +
	"54 for each further relevant one, 42 for each irrelevant one"

// referenceBefore is the scheme before CALL_OPS.
func referenceBefore(s scenario) (reference, bool) {
	if s.relevant == 0 {
		return reference{}, false
	}
	return reference{overhead: float64(145 + 54*(s.relevant-1) + 42*s.irrelevant)}, true
}

// referenceFor returns the real kernel's figures for a row.
func referenceFor(row *Row) (reference, bool) {
	s := scenario{row.Relevant, row.Irrelevant}
	if !row.CallOps {
		return referenceBefore(s)
	}
	ref, ok := referenceCallOps[s]
	return ref, ok
}
