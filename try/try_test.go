package try

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/bench"
	"callops/check/property"
	"callops/emu/interp"
	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/internal/patchimage"
	"callops/kernelimage"
	"callops/kernelimage/textdiff"
)

func openKernel(t *testing.T, series string) *kernelimage.Image {
	t.Helper()
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	return img
}

// compare compares a kernel with one in which some words are others, by the scenarios that
// are named.
func compare(t *testing.T, img *kernelimage.Image, words map[uint64]uint32, allow float64, scenarios ...string) *Report {
	t.Helper()
	r, err := Run(t.Context(), &Config{
		Old: Build{"before", img}, New: Build{"after", patchimage.Words(t, img, words)},
		Engine: bench.Engine{Name: "interp", New: interp.New}, Allow: allow, Scenarios: scenarios, Quick: true, Operations: 300,
	})
	require.NoError(t, err)
	return r
}

// find returns the address of the only word of a function that is disassembled so.
func find(t *testing.T, img *kernelimage.Image, function, text string) uint64 {
	t.Helper()
	start := patchimage.Addr(t, img, function, 0)
	var found []uint64
	for pc := start; pc < start+0xa0; pc += 4 {
		if w, ok := img.Word(pc); ok && asm.Disassemble(w, pc, nil) == text {
			found = append(found, pc)
		}
	}
	require.Len(t, found, 1, "%s in %s", text, function)
	return found[0]
}

func word(t *testing.T, i asm.Inst) uint32 {
	t.Helper()
	w, err := i.Word()
	require.NoError(t, err)
	return w
}

func branch(t *testing.T, from, to uint64) uint32 {
	t.Helper()
	w, err := asm.EncodeB(from, to)
	require.NoError(t, err)
	return w
}

func changedFunctions(r *Report) (names []string) {
	for _, f := range r.Text.Changes {
		names = append(names, f.Name)
	}
	return names
}

func TestRun_OfOneKernelFindsNoDifference(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	r := compare(t, img, nil, 0, "enable", "protection", "disable-bti")
	assert.Empty(t, r.Worse)
	assert.Empty(t, r.Better)
	assert.Empty(t, r.Text.Changes)
	assert.Equal(t, r.Text.Functions, r.Text.Same)
	require.Len(t, r.Notes, 1)
	assert.Contains(t, r.Notes[0], "both say that they are the same build: Linux version 6.12.")
	assert.Equal(t, []string{"disable-bti"}, r.LeftOut, "it is for a kernel with BTI")

	assert.Equal(t, PatcherImage, r.Patcher)
	require.Len(t, r.Verdicts, 2)
	assert.Equal(t, Holds, r.Verdicts[0].New.Outcome)
	assert.Equal(t, Broken, r.Verdicts[1].New.Outcome)
	assert.EqualValues(t, 1, r.Verdicts[1].New.Finding)
	assert.Equal(t, Same, r.Verdicts[1].Change)
	assert.Nil(t, r.Verdicts[1].New.Counterexample)
	assert.Equal(t, &Core{Old: Agreement{Operations: 300, Ordered: 30}, New: Agreement{Operations: 300, Ordered: 30}, Change: Same}, r.Core)

	// As on the booted kernel.
	want := map[Cost]float64{
		{Relevant: 1}: 42, {Relevant: 1, Irrelevant: 1}: 42, {Relevant: 1, Irrelevant: 10}: 42, {Relevant: 1, Irrelevant: 100}: 42,
		{Relevant: 2}: 198, {Relevant: 10}: 598, {Relevant: 100}: 5098,
	}
	for _, c := range r.Costs.Rows {
		assert.Equal(t, c.Old, c.New)
		assert.Equal(t, 39, c.New.Trampoline)
		if c.Flags == "" {
			assert.InDelta(t, want[Cost{Relevant: c.Relevant, Irrelevant: c.Irrelevant}], c.New.Overhead, 0, c.String())
		} else {
			assert.Greater(t, c.New.Overhead, 42.0, c.String())
		}
	}
}

// The trampoline begins with a branch to a function that nobody calls here, and that
// branches back.
func TestRun_FindsACostThatRises(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	caller := patchimage.Addr(t, img, "ftrace_caller", 0)
	spare := patchimage.Addr(t, img, "ftrace_regs_query_register_offset", 8)
	words := map[uint64]uint32{caller: branch(t, caller, spare), spare: branch(t, spare, caller+4)}

	r := compare(t, img, words, 0, "enable")
	assert.Equal(t, []string{"ftrace_caller", "ftrace_regs_query_register_offset"}, changedFunctions(r))
	require.Len(t, r.Worse, len(r.Costs.Rows))
	assert.Equal(t, "a traced call costs 1 instructions more with 1 relevant and 0 irrelevant ops: 43, was 42", r.Worse[0])
	require.Len(t, r.Verdicts, 1)
	assert.Equal(t, Same, r.Verdicts[0].Change)

	assert.Empty(t, compare(t, img, words, 1, "enable").Worse, "as much as that is allowed")
}

func TestRun_FindsAPropertyThatBreaks(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	at := find(t, img, "ftrace_caller", "sub x0, x30, #0x4")
	r := compare(t, img, map[uint64]uint32{at: word(t, asm.SubImm(asm.X0, asm.LR, 8))}, 0, "enable", "disable")
	assert.Equal(t, []string{"ftrace_caller"}, changedFunctions(r))
	assert.Equal(t, []string{
		"enable: broken: a tracer is passed the call site's address", "disable: broken: a tracer is passed the call site's address",
	}, r.Worse)
	require.Len(t, r.Verdicts, 2)
	assert.Equal(t, Worse, r.Verdicts[0].Change)
	require.NotNil(t, r.Verdicts[0].New.Counterexample)
	assert.NotEmpty(t, r.Verdicts[0].New.Counterexample.Steps)
	assert.Nil(t, r.Verdicts[0].Old.Counterexample)
}

func TestRun_OfTheOtherWayRoundFindsWhatIsMended(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	at := find(t, img, "ftrace_caller", "ldp x4, x5, [sp, #32]")
	r, err := Run(t.Context(), &Config{
		Old: Build{"before", patchimage.Words(t, img, map[uint64]uint32{at: asm.NOP})}, New: Build{"after", img},
		Engine: bench.Engine{Name: "interp", New: interp.New}, Scenarios: []string{"enable"}, Quick: true, Operations: 300,
	})
	require.NoError(t, err)
	assert.Empty(t, r.Worse)
	assert.Equal(t, []string{"enable: holds now"}, r.Better)
}

// Operations are done on some call sites, which ftrace_init is not told of.
func TestRun_OfACoreThatDoesNotStartIsWorse(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	const afterSite, forever = 8, 0x14000000 // b .
	r := compare(t, img, map[uint64]uint32{patchimage.Addr(t, img, "ftrace_init", afterSite): forever}, 0, "enable")
	require.Len(t, r.Worse, 1)
	assert.Contains(t, r.Worse[0], "the kernel's own core can't be run")
	assert.Contains(t, r.Core.New.Failed, "ftrace_init")
}

// Code that faults or does not end is a result, and only the rows that come to it fail.
func TestRun_OfCodeThatFailsIsAResult(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	list := patchimage.Addr(t, img, "arch_ftrace_ops_list_func", 0)
	for name, c := range map[string]struct {
		at    uint64
		word  uint32
		fails func(*Cost) bool
		says  string
	}{
		"a fault in the list function": {list, 0, func(c *Cost) bool { return c.Relevant > 1 || c.Flags != "" }, "arch_ftrace_ops_list_func"},
		"a loop in the trampoline": {
			find(t, img, "ftrace_caller", "mov x10, sp"), 0x14000000, func(*Cost) bool { return true }, "ftrace_caller",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := compare(t, img, map[uint64]uint32{c.at: c.word}, 0, "second-arrives")
			for _, row := range r.Costs.Rows {
				assert.Empty(t, row.Old.Failed)
				assert.Equal(t, c.fails(&row), row.New.Failed != "", "%v: %s", &row, row.New.Failed)
				if row.New.Failed != "" {
					assert.Contains(t, row.New.Failed, c.says)
				}
			}
			require.Len(t, r.Verdicts, 1)
			assert.Equal(t, Worse, r.Verdicts[0].Change)
			assert.NotEmpty(t, r.Worse)
		})
	}
}

// What only the core executes shows in the text, and in what the core does.
func TestRun_FindsACoreThatDoesOtherwise(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	start := patchimage.Addr(t, img, "ftrace_startup", 0)
	var at uint64
	var inverted uint32
	for pc := start; at == 0; pc += 4 {
		if w, _ := img.Word(pc); w&0x7e000000 == 0x34000000 { // cbz, cbnz
			at, inverted = pc, w^1<<24
		}
	}
	r := compare(t, img, map[uint64]uint32{at: inverted}, 0, "enable")
	assert.Equal(t, []string{"ftrace_startup"}, changedFunctions(r))
	assert.Equal(t, Worse, r.Core.Change)
	require.NotNil(t, r.Core.New.Difference)
	assert.NotEmpty(t, r.Core.New.Difference.Steps)
	require.Len(t, r.Worse, 2)
	assert.Contains(t, r.Worse[0], "the kernel's own core differs from callops' in ")
	assert.Contains(t, r.Worse[1], "enable: the kernel's code fails: ") // it patches there, too
}

func TestRun_RefusesImagesThatDoNotBelongTogether(t *testing.T) {
	builtin, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	linux := openKernel(t, kernels.Linux612)
	for name, c := range map[string]struct {
		old, now *kernelimage.Image
		why      string
	}{
		"one has CALL_OPS": {openKernel(t, kernels.Linux61), linux, "after has CALL_OPS, before has not"},
		"the other has it": {linux, openKernel(t, kernels.Linux61), "before has CALL_OPS, after has not"},
		"another page size": {
			openKernel(t, kernels.Linux7), openKernel(t, kernels.Linux716K), "one has pages of 4 KiB, the other of 16 KiB",
		},
		"not Linux": {linux, builtin, "after is not a Linux kernel"},
	} {
		t.Run(name, func(t *testing.T) {
			started := false
			_, err := Run(t.Context(), &Config{
				Old: Build{"before", c.old}, New: Build{"after", c.now}, Engine: bench.Engine{Name: "interp", New: interp.New},
				Progress: func(string) { started = true },
			})
			var unfit *UnfitError
			require.ErrorAs(t, err, &unfit)
			require.ErrorIs(t, err, errno.EINVAL)
			assert.Equal(t, c.why, unfit.Why)
			assert.EqualError(t, err, "try: before and after do not belong together: "+c.why)
			assert.False(t, started, "before anything runs")
		})
	}
}

func TestRun_WithoutImagesIsAnError(t *testing.T) {
	for _, cfg := range []*Config{nil, {}, {Engine: bench.Engine{New: interp.New}}} {
		_, err := Run(t.Context(), cfg)
		assert.ErrorIs(t, err, errno.EINVAL)
	}
}

// A core that frees without waiting for those who may still run what it frees.
func TestRun_FindsACoreThatDoesNotWait(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	functions, err := textdiff.Ftrace(img)
	require.NoError(t, err)
	waits := make(map[uint64]bool)
	for _, s := range img.Symbols() {
		if strings.HasPrefix(s.Name, "synchronize_rcu") {
			waits[s.Addr] = true
		}
	}
	words := make(map[uint64]uint32)
	for _, f := range functions {
		if name, _, _ := strings.Cut(f.Name, "."); name != "ftrace_shutdown" {
			continue
		}
		for pc := f.Start; pc < f.End; pc += 4 {
			w, _ := img.Word(pc)
			if target, link, ok := asm.DecodeBranch(pc, w); ok && link && waits[target] {
				words[pc] = asm.NOP
			}
		}
	}
	require.NotEmpty(t, words)
	r := compare(t, img, words, 0, "disable")
	assert.Equal(t, Worse, r.Core.Change)
	require.NotNil(t, r.Core.New.Difference)
	assert.Equal(t, "the order of what other CPUs can see", r.Core.New.Difference.thing())
	require.Len(t, r.Text.Changes, 1)
	assert.Equal(t, "kernel/trace/ftrace.c", r.Text.Changes[0].File)
	require.Len(t, r.Verdicts, 1)
	assert.Equal(t, Worse, r.Verdicts[0].Change)
	assert.Equal(t, property.NoUseAfterFree, r.Verdicts[0].New.Property)
}
