package textdiff

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/internal/kernels"
	"callops/internal/patchimage"
	"callops/kernelimage"
)

func openKernel(t *testing.T, series string) *kernelimage.Image {
	t.Helper()
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, series), nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	return img
}

// The functions are those of the sources, whose names the kernel does not have: of each
// file some at its beginning, in its middle and at its end, static ones among them.
func TestRelevant_IsWhatTheSourceFilesDefine(t *testing.T) {
	for _, series := range append([]string{kernels.Linux716K}, kernels.All...) {
		t.Run(series, func(t *testing.T) {
			img := openKernel(t, series)
			d, _, err := sides(img, img)
			require.NoError(t, err)
			found, exist := make(map[string]string), make(map[string]bool)
			for i := range d.funcs {
				exist[whole(d.funcs[i].name)] = true
			}
			for i, file := range d.relevant() {
				found[whole(d.funcs[i].name)] = file
			}
			for file, names := range map[string][]string{
				"arch/arm64/kernel/entry-ftrace.S": {"ftrace_caller", "ftrace_stub", "return_to_handler"},
				"arch/arm64/kernel/ftrace.c":       {"ftrace_call_adjust", "ftrace_find_callable_addr", "ftrace_make_nop", "ftrace_init_nop", "prepare_ftrace_return"},
				"arch/arm64/kernel/patching.c":     {"patch_map", "aarch64_insn_patch_text_nosync", "aarch64_insn_patch_text_cb"},
				"arch/arm64/lib/insn.c":            {"aarch64_insn_gen_branch_imm", "aarch64_insn_encode_immediate"},
				"kernel/trace/ftrace.c": {
					"ftrace_free_mod_map", "ftrace_pid_func", "add_hash_entry", "__ftrace_replace_code", "t_show", "match_records", "ftrace_startup",
					"ftrace_process_locs", "pid_write", "ftrace_ops_get_func", "ftrace_init_tracefs", "ftrace_is_dead", "ftrace_init",
				},
				"kernel/trace/fgraph.c": {"function_graph_enter", "ftrace_graph_init_idle_task"},
			} {
				names = slices.DeleteFunc(names, func(name string) bool { return !exist[name] }) // inlined, or not there yet
				assert.GreaterOrEqual(t, len(names), 1, file)
				for _, name := range names {
					assert.Equal(t, file, found[name], name)
				}
			}
			for _, name := range []string{
				"trace_array_get", "stop_machine", "kfree", "synchronize_rcu_tasks", "__set_fixmap", "caches_clean_inval_pou", "tracing_open_generic",
				"ring_buffer_alloc", "kprobe_ftrace_handler", "bpf_arch_text_poke", "module_alloc",
			} {
				assert.NotContains(t, found, name)
			}
			assert.InDelta(t, 240, len(found), 40)
		})
	}
}

func TestCompare_OfAKernelWithItselfFindsNothing(t *testing.T) {
	for _, series := range kernels.All { // in 6.1 objects have no names
		t.Run(series, func(t *testing.T) {
			img := openKernel(t, series)
			d, err := Compare(t.Context(), img, img)
			require.NoError(t, err)
			assert.Empty(t, d.Changes)
			assert.Equal(t, d.Functions, d.Same)
		})
	}
}

// A reference to another variable is found without names, too: others tell which it was.
func TestCompare_FindsAnotherVariableWithoutNames(t *testing.T) {
	img := openKernel(t, kernels.Linux61)
	d, _, err := sides(img, img)
	require.NoError(t, err)
	f := &d.funcs[d.byName["ftrace_kill"][0]]
	words := make(map[uint64]uint32)
	for _, in := range d.code(f).insns {
		if in.kind == refLow && len(words) == 0 {
			words[in.pc] = in.raw ^ 2<<10 // in the immediate
		}
	}
	require.Len(t, words, 1)
	diff, err := Compare(t.Context(), img, patchimage.Words(t, img, words))
	require.NoError(t, err)
	require.Len(t, diff.Changes, 1)
	assert.Equal(t, "ftrace_kill", diff.Changes[0].Name)
}

func TestCompare_FindsAWordThatChangedInAnyFunction(t *testing.T) {
	img := openKernel(t, kernels.Linux612)
	d, _, err := sides(img, img)
	require.NoError(t, err)
	words := make(map[uint64]uint32)
	var names []string
	for i := range d.relevant() {
		f := &d.funcs[i]
		at := f.Start + f.size()/8*4 // in the middle
		for w, _ := d.word(at); asm.IsNop(w); w, _ = d.word(at) {
			at += 4
		}
		words[at] = 0xd4200000 // brk #0
		names = append(names, f.name)
	}
	diff, err := Compare(t.Context(), img, patchimage.Words(t, img, words))
	require.NoError(t, err)
	assert.Zero(t, diff.Same)
	var found []string
	for _, f := range diff.Changes {
		found = append(found, f.Name)
		assert.True(t, slices.ContainsFunc(f.Lines, func(l Line) bool { return l.Op == NewOnly && l.Text == "brk #0x0" }), f.Name)
	}
	assert.ElementsMatch(t, names, found)
	assert.Empty(t, diff.Structures)
	assert.Empty(t, diff.Untyped)
}

// Two builds of one source, of which one has larger pages: what differs is what depends
// on that, and nothing else although all of it lies elsewhere.
func TestCompare_OfTwoConfigurationsFindsWhatDependsOnThem(t *testing.T) {
	d, err := Compare(t.Context(), openKernel(t, kernels.Linux7), openKernel(t, kernels.Linux716K))
	require.NoError(t, err)
	assert.Greater(t, d.Functions, 200)
	assert.Less(t, len(d.Changes), d.Functions/20)
	for _, f := range d.Changes {
		assert.Equal(t, Changed, f.State, f.Name)
		assert.NotEqual(t, "arch/arm64/kernel/entry-ftrace.S", f.File, f.Name)
	}
	i := slices.IndexFunc(d.Changes, func(f Function) bool { return f.Name == "patch_map.constprop.0" || f.Name == "patch_map" })
	require.GreaterOrEqual(t, i, 0)
	assert.True(t, slices.ContainsFunc(d.Changes[i].Lines, func(l Line) bool { return l.Op == NewOnly && l.Text == "and x1, x19, #0x3fff" }), d.Changes[i].Lines)
}

// A point release has fixes all over the kernel, so everything lies elsewhere, and few of
// them are to ftrace.
func TestCompare_OfTwoPointReleasesFindsFixesOnly(t *testing.T) {
	before, after := openKernel(t, kernels.Linux612Before), openKernel(t, kernels.Linux612)
	d, err := Compare(t.Context(), before, after)
	require.NoError(t, err)
	assert.Greater(t, d.Functions, 200)
	assert.Less(t, len(d.Changes), d.Functions/5)
	assert.Empty(t, d.Untyped)

	a, b, err := sides(before, after)
	require.NoError(t, err)
	moved := 0
	for i := range b.relevant() {
		if old := a.byName[b.funcs[i].name]; len(old) == 1 && a.funcs[old[0]].Start != b.funcs[i].Start {
			moved++
		}
	}
	assert.Greater(t, moved, d.Functions/2)
}

func TestCompare_OfTwoSeriesTellsOfStructures(t *testing.T) {
	d, err := Compare(t.Context(), openKernel(t, kernels.Linux61), openKernel(t, kernels.Linux612))
	require.NoError(t, err)
	i := slices.IndexFunc(d.Structures, func(s Structure) bool { return s.Name == "ftrace_ops" })
	require.GreaterOrEqual(t, i, 0)
	assert.Equal(t, Changed, d.Structures[i].State)
	assert.Equal(t, 184, d.Structures[i].OldSize)
	assert.Equal(t, 216, d.Structures[i].NewSize)
	assert.Contains(t, d.Structures[i].Fields, Field{Name: "direct_call", NewPlace: "208", NewDecl: "unsigned long direct_call"})
	assert.Contains(t, d.Structures[i].Fields, Field{
		Name: "ops_func", OldPlace: "176", OldDecl: "ftrace_ops_func_t ops_func", NewPlace: "192", NewDecl: "ftrace_ops_func_t ops_func",
	})
}
