package check

import (
	"slices"

	"callops/check/event"
	"callops/check/internal/model"
	"callops/ftrace"
	"callops/kernelimage"
	"callops/sched"
	"callops/trampolines"
)

// mutations are the faults that the checker must find.
var mutations = slices.Concat(linuxMutations, setMutations, directMutations)

// linuxMutations are faults in what Linux does.
var linuxMutations = []Mutation{
	{
		Name:     "no-tasks-wait",
		About:    "unregistering does not wait for synchronize_rcu_tasks",
		Scenario: "disable",
		fault: model.Fault{
			Code:     uncalled(shutdown, waits...),
			Preempts: true,
			Steps:    without(func(_ *model.Machine, s *model.Step) bool { return isWait(s) && s.Wait == sched.Tasks }),
		},
	},
	{
		Name:     "no-rude-wait",
		About:    "unregistering does not wait for synchronize_rcu_tasks_rude",
		Scenario: "disable-idle",
		fault:    model.Fault{Code: uncalled(shutdown, "synchronize_rcu_tasks_rude"), Steps: without(func(_ *model.Machine, s *model.Step) bool { return isWait(s) && s.Wait == sched.Rude })},
	},
	{
		Name:     "plain-rcu-wait",
		About:    "unregistering waits for synchronize_rcu only",
		Scenario: "disable",
		fault: model.Fault{
			Code:     waitForRCU,
			Preempts: true,
			Steps:    plainRCU,
		},
	},
	{
		Name:     "no-list-grace",
		About:    "an ops is taken off the list and freed without a grace period",
		Scenario: "second-leaves",
		fault:    model.Fault{Code: uncalled(shutdown, append([]string{"synchronize_rcu_tasks_rude"}, waits...)...), Steps: without(func(_ *model.Machine, s *model.Step) bool { return isWait(s) })},
	},
	{
		Name:     "no-hash-grace",
		About:    "a filter hash that was replaced is freed at once",
		Scenario: "filter-list",
		fault:    model.Fault{Code: freeHashAtOnce, Steps: freeAtOnce},
	},
	{
		Name:     "literal-halves",
		About:    "the literal is written as two 32-bit halves",
		Scenario: "enable",
		fault:    model.Fault{Code: literalInHalves, Steps: halves},
	},
	{
		Name:     "literal-misaligned",
		About:    "the literal is at an address that is not a multiple of 8",
		Scenario: "enable",
		fault: model.Fault{
			Trampoline: trampolines.UnalignedLiteral,
			Core:       ftrace.UnalignedLiteral,
			Image:      misalign,
			Steps:      halves, // a store that is not aligned is not one store
		},
	},
	{
		Name:     "branch-before-literal",
		About:    "the BL is written before the literal, which still names an ops that was freed",
		Scenario: "replace",
		fault:    model.Fault{Code: both(uncalled(makeNop, writeLiteral), literalLast), Steps: func(m *model.Machine, s []model.Step) []model.Step { return branchFirst(keepLiteral(m, s)) }},
	},
	{
		Name:     "branch-first",
		About:    "the BL is written before the literal, and nothing else is wrong",
		Scenario: "replace",
		Harmless: "a disabled site's literal names ftrace_nop_ops, which any CPU may call",
		fault:    model.Fault{Code: literalLast, Steps: func(_ *model.Machine, s []model.Step) []model.Step { return branchFirst(s) }},
	},
	{
		Name:     "literal-not-restored",
		About:    "a site that is disabled keeps its literal",
		Scenario: "replace",
		fault:    model.Fault{Code: uncalled(makeNop, writeLiteral), Steps: keepLiteral},
	},
	{
		Name:     "load-literal-twice",
		About:    "the trampoline loads the literal once for func and once for ops",
		Scenario: "enable",
		fault:    model.Fault{Trampoline: trampolines.LoadLiteralTwice},
	},
	{
		Name:     "load-func-first",
		About:    "the trampoline loads func before ops",
		Scenario: "hand-over",
		fault:    model.Fault{Trampoline: trampolines.LoadFuncFirst},
	},
	{
		Name:     "lose-x8",
		About:    "the trampoline does not restore x8",
		Scenario: "enable",
		fault:    model.Fault{Trampoline: trampolines.LoseX8},
	},
	{
		Name:     "lose-x18",
		About:    "the trampoline uses x18",
		Scenario: "enable",
		fault:    model.Fault{Trampoline: trampolines.LoseX18},
	},
	{
		Name:     "live-init",
		About:    "a site's NOP becomes MOV X9, X30 while CPUs run it",
		Scenario: "enable",
		fault:    model.Fault{LiveInit: true},
	},
	{
		Name:     "no-text-sync",
		About:    "instructions are not cleaned and invalidated before the operation returns",
		Scenario: "enable",
		fault:    model.Fault{Code: uncalled(patchText, cleanText), Steps: without(func(_ *model.Machine, s *model.Step) bool { return s.Kind == event.CleanText })},
	},
	{
		Name:     "keep-unique",
		About:    "the update of a record is missed when a second ops joins its site",
		Scenario: "second-arrives",
		fault:    model.Fault{Code: countToOne, Core: ftrace.KeepUnique},
	},
	{
		Name:     "graph-bit-zero",
		About:    "bit 0 of a frame's bitmap is always set, as in Linux: user 0 is told of returns that it did not ask for",
		Scenario: "graph-second",
		fault:    model.Fault{Trampoline: trampolines.GraphBitZero},
	},
	{
		Name:     "graph-reload-user",
		About:    "a graph user is loaded once for its retfunc and once for the call",
		Scenario: "graph-leaves",
		fault:    model.Fault{Trampoline: trampolines.GraphReloadUser},
	},
	{
		Name:     "graph-lose-x0",
		About:    "return_to_handler does not restore x0",
		Scenario: "graph-arrives",
		fault:    model.Fault{Trampoline: trampolines.GraphLoseX0},
	},
	{
		Name:     "graph-keep-frame",
		About:    "the frame of a call that has returned is not popped",
		Scenario: "graph-arrives",
		fault:    model.Fault{Trampoline: trampolines.GraphKeepFrame},
	},
	{
		Name:     "graph-skip-tail",
		About:    "a tail-called function returns past return_to_handler, to the address in the frame below",
		Scenario: "graph-tail",
		fault:    model.Fault{Trampoline: trampolines.GraphSkipTail},
	},
	{
		Name:     "graph-reuse-frame",
		About:    "a tail-called function gets the frame of the function that it was tail-called by",
		Scenario: "graph-tail",
		fault:    model.Fault{Trampoline: trampolines.GraphReuseFrame},
	},
	{
		Name:     "graph-reuse-index",
		About:    "a graph user gets the index that became free last, which frames still have in their bitmaps",
		Scenario: "graph-replace",
		fault:    model.Fault{Core: ftrace.ReuseGraphIndex},
	},
	{
		Name:     "graph-no-grace",
		About:    "a graph user is freed without grace periods",
		Scenario: "graph-leaves",
		fault:    model.Fault{Steps: without(func(_ *model.Machine, s *model.Step) bool { return isWait(s) })},
	},
	{
		Name:     "graph-no-hash-grace",
		About:    "the filter of graph_ops is freed as soon as its last user has left, as in Linux",
		Scenario: "graph-beside",
		fault:    model.Fault{Steps: freeAtOnce},
	},
	{
		Name:     "plain-publish",
		About:    "ops are linked into the list with plain stores",
		Scenario: "third-arrives",
		fault: model.Fault{
			Code: plainly("__register_ftrace_function"),
			Steps: func(_ *model.Machine, steps []model.Step) []model.Step {
				for i := range steps {
					steps[i].Release = false
				}
				return steps
			},
		},
	},
	{
		Name:     "plain-filter",
		About:    "a filter hash is published with a plain store (image's own core)",
		Scenario: "filter-list",
		fault:    model.Fault{Code: plainly(moveHash)},
	},
	{
		Name:     "head-before-next",
		About:    "an ops is linked into the list before it points to the next one (image's own core)",
		Scenario: "third-arrives",
		fault:    model.Fault{Code: headBeforeNext},
	},
	{
		Name:     "no-invalidate",
		About:    "changed instructions are cleaned and not invalidated (image's own core)",
		Scenario: "enable",
		fault:    model.Fault{Code: notInvalidated},
	},
}

// plainRCU makes both waits of unregistering one for plain RCU.
func plainRCU(_ *model.Machine, steps []model.Step) []model.Step {
	var kept []model.Step
	for _, s := range steps {
		switch {
		case !isWait(&s):
		case s.Wait == sched.Tasks:
			continue
		default:
			s.Wait = sched.RCU
		}
		kept = append(kept, s)
	}
	return kept
}

// freeAtOnce runs callbacks where they are handed over.
func freeAtOnce(m *model.Machine, steps []model.Step) []model.Step {
	var out []model.Step
	for _, s := range steps {
		if s.Kind != event.CallRCU {
			out = append(out, s)
			continue
		}
		out = append(out, m.CallbackFrees(&s)...)
	}
	return out
}

// halves stores each literal in two parts, the lower first.
func halves(_ *model.Machine, steps []model.Step) []model.Step {
	var out []model.Step
	for i, s := range steps {
		if !s.Literal {
			out = append(out, s)
			continue
		}
		whole := i + 1
		for part := range uint64(2) {
			h := s
			h.Addr, h.Size, h.Whole = s.Addr+4*part, 4, whole
			h.Value, h.Old = s.Value>>(32*part)&0xffffffff, s.Old>>(32*part)&0xffffffff
			out = append(out, h)
		}
	}
	return out
}

// misalign moves an image's text by one word: call sites are then where a
// compiler puts them that aligns functions to 4 bytes.
func misalign(img *kernelimage.Parts) error {
	const word = 4
	text := img.Text[0]
	for i := range img.Segments {
		if s := &img.Segments[i]; text.Contains(s.Addr) {
			s.Addr += word
		}
	}
	for i := range img.Symbols {
		if s := &img.Symbols[i]; text.Contains(s.Addr) {
			s.Addr += word
		}
	}
	for i := range img.Sites {
		s := &img.Sites[i]
		s.Entry, s.IP, s.Literal = s.Entry+word, s.IP+word, s.Literal+word
	}
	for i := range img.Text {
		img.Text[i].Start, img.Text[i].End = img.Text[i].Start+word, img.Text[i].End+word
	}
	return nil
}

// keepLiteral leaves out the store that makes a literal name ftrace_nop_ops.
func keepLiteral(m *model.Machine, steps []model.Step) []model.Step {
	return without(func(m *model.Machine, s *model.Step) bool { return s.Literal && s.Value == m.NopOps() })(m, steps)
}

// branchFirst swaps the store of a literal with that of the instruction after
// it, and with what makes that visible.
func branchFirst(steps []model.Step) []model.Step {
	for i := 0; i+2 < len(steps); i++ {
		if steps[i].Literal && steps[i+1].Kind == event.StoreText && steps[i+2].Kind == event.CleanText {
			steps[i], steps[i+1], steps[i+2] = steps[i+1], steps[i+2], steps[i]
		}
	}
	return steps
}

// without leaves out the steps that drop names.
func without(drop func(m *model.Machine, s *model.Step) bool) func(*model.Machine, []model.Step) []model.Step {
	return func(m *model.Machine, steps []model.Step) []model.Step {
		var kept []model.Step
		for i := range steps {
			if !drop(m, &steps[i]) {
				kept = append(kept, steps[i])
			}
		}
		return kept
	}
}

func isWait(s *model.Step) bool { return s.Kind == event.GraceBegins || s.Kind == event.GraceEnds }
