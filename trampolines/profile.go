package trampolines

import . "callops/asm"

// What fgraph_ops.private of profile_graph_entry and profile_graph_return points to: for each CPU a table of functions, hashed by call
// site with open addressing, in which every function that may be traced has its entry beforehand.
const (
	ProfileMask   = 0  // u64: entries of a table, less 1
	ProfileStride = 8  // u64: bytes of a table
	ProfileTables = 64 // the tables

	ProfileIP      = 0  // u64; 0: none
	ProfileHits    = 8  // u64
	ProfileTime    = 16 // u64: instructions
	ProfileSquares = 24 // u64: of the times of all calls, summed

	ProfileShift = 5 // log2 of an entry's size
)

// profileEntry is profile_graph_entry (kernel/trace/ftrace.c, Linux 6.12) with function_profile_call: it counts the
// call. Its frame is
//
// Differs: functions are not added on the way, so the table needs no lock and is never full.
func (c *code) profileEntry() {
	c.profiled(func() {
		c.Emit(
			Ldr(X9, Off(X16, ProfileHits)),
			AddImm(X9, X9, 1),
			Str(X9, Off(X16, ProfileHits)),
		)
	})
}

// profileReturn is profile_graph_return, with graph-time: the functions that a function calls count too.
//
// Differs: a call that returns on a CPU whose count is lower than that of the CPU where it began has no time.
func (c *code) profileReturn() {
	c.profiled(func() {
		moved := c.Label("another CPU")
		c.Emit(
			Ldp(X9, X10, Off(X0, GraphRetCallTime)), // and rettime
			Subs(X9, X10, X9),
			BCond(LO, moved),
			Ldp(X10, X11, Off(X16, ProfileTime)), // and the squares
			Add(X10, X10, X9),
			Madd(X11, X9, X9, X11),
			Stp(X10, X11, Off(X16, ProfileTime)),
		)
		c.Bind(moved)
	})
}

// profiled finds this CPU's entry of the function, in x16, and has count change it; x9 to x15 change. It returns 1.
func (c *code) profiled(count func()) {
	probe, found := c.Label("each entry"), c.Label("found")
	c.guarded(traceFtraceStart, func(out Label) func() {
		c.Emit(
			Ldr(W8, at(X9, c.l.Task.CPU)),
			Ldr(X13, at(X1, GraphOpsOf(c.l).Private)),
			Ldp(X14, X15, Off(X13, ProfileMask)), // and stride
			Madd(X13, X8, X15, X13),
			AddImm(X13, X13, ProfileTables),
			Ldr(X11, Off(X0, GraphEntFunc)), // which is GraphRetFunc too
			LsrImm(X12, X11, 2),
		)
		c.Bind(probe)
		c.Emit(
			And(X12, X12, X14),
			Add(X16, X13, X12, LSL(ProfileShift)),
			Ldr(X15, Off(X16, ProfileIP)),
			Cbz(X15, out),
			Cmp(X15, X11),
			BCond(EQ, found),
			AddImm(X12, X12, 1),
			B(probe),
		)
		c.Bind(found)
		count()
		return nil
	}, Movz(W0, 1, 0))
}
