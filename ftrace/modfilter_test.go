package ftrace

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

const fixtureSites = "fixture_sum [fixture] fixture_calls [fixture] fixture_text [fixture] fixture_per_cpu [fixture]"

func TestParseSelector_CommandsAndModules(t *testing.T) {
	tests := []struct {
		in        string
		functions pattern
		module    *pattern
		err       string
	}{
		{"gcd", pattern{text: "gcd"}, nil, ""},
		{"gcd:mod:x", pattern{text: "gcd"}, &pattern{text: "x"}, ""},
		{":mod:x", pattern{}, &pattern{text: "x"}, ""},
		{"!a*:mod:!x", pattern{kind: matchFront, text: "a", remove: true}, &pattern{text: "x", remove: true}, ""},
		{"*:mod:*", pattern{kind: matchEnd}, &pattern{kind: matchEnd}, ""},
		{"*:mod:", pattern{kind: matchEnd}, &pattern{}, ""},
		{"gcd:mod", pattern{text: "gcd"}, nil, ""},
		{"gcd:mod:a:b", pattern{text: "gcd"}, &pattern{text: "a:b"}, ""},
		{"gcd:", pattern{}, nil, `filter command "": only mod is known`},
		{"gcd:traceoff", pattern{}, nil, `filter command "traceoff": only mod is known`},
		{"gcd::x", pattern{}, nil, `filter command "": only mod is known`},
	}
	for _, tt := range tests {
		sel, err := parseSelector(tt.in, false)
		if tt.err != "" {
			assert.ErrorContains(t, err, tt.err, tt.in)
			assert.ErrorIs(t, err, errno.EINVAL, tt.in)
			continue
		}
		require.NoError(t, err, tt.in)
		assert.Equal(t, tt.functions, sel.functions, tt.in)
		assert.Equal(t, tt.module, sel.module, tt.in)
	}
}

func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{"gcd", "*:mod:fixture", "!f?*:mod:!x", "5:mod:9p", ":", "::", strings.Repeat(":mod:", 99)} {
		f.Add(s, "gcd", "fixture")
	}
	f.Fuzz(func(t *testing.T, s, name, module string) {
		sel, err := parseSelector(s, false)
		if err != nil {
			return
		}
		sel.match(name, "")
		got := sel.match(name, module)
		if sel.module == nil || sel.module.kind == matchIndex || module == "" {
			return
		}
		// Not in that module is the complement, for the same functions.
		flipped := *sel
		other := *sel.module
		other.remove = !other.remove
		flipped.module = &other
		if got && flipped.match(name, module) {
			t.Errorf("%q and its complement both match %q of %q", s, name, module)
		}
	})
}

func TestSetFilter_FunctionsOfModules(t *testing.T) {
	kernelOnly := func(k *testKernel) string {
		return strings.ReplaceAll(strings.TrimSuffix(k.available(), strings.ReplaceAll(fixtureSites, "] ", "]\n")+"\n"), "\n", " ")
	}
	tests := []struct {
		name string
		pats []string
		want string
	}{
		{"all of a module", []string{"*:mod:fixture"}, fixtureSites},
		{"an empty function part is all", []string{":mod:fixture"}, fixtureSites},
		{"some of a module", []string{"*_ca*:mod:fix*"}, "fixture_calls [fixture]"},
		{"of any module", []string{"fixture_t*:mod:*"}, "fixture_text [fixture]"},
		{"an empty module part is any", []string{"*:mod:"}, fixtureSites},
		{"of the kernel", []string{"gcd:mod:!*"}, "gcd"},
		{"not of a module", []string{"*:mod:!fixture"}, "kernel"},
		{"removed again", []string{"*:mod:fixture", "!*_[st]*:mod:fixture"}, "fixture_calls [fixture] fixture_per_cpu [fixture]"},
		{"with names", []string{"gcd", "fixture_sum:mod:fixture"}, "gcd fixture_sum [fixture]"},
		{"without a module, the name counts", []string{"gcd:mod"}, "gcd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := bootIdle(t, nil, nil)
			k.load(false)
			want := tt.want
			if want == "kernel" {
				want = strings.TrimSpace(kernelOnly(k))
			}
			o := k.ops("o", k.code.OpsFuncNop, 0, tt.pats...)
			assert.Equal(t, want, k.filtered(o))
			assert.Empty(t, k.Waiting(o, false))
			k.register(o)
			k.unregister(o)
		})
	}
}

func TestSetFilter_ModulesThatAreRefused(t *testing.T) {
	k := bootIdle(t, nil, nil)
	o := k.ops("o", k.code.OpsFuncNop, 0, "gcd")
	assert.ErrorIs(t, k.SetFilter(o, "!gcd:mod:fixture", nil), errno.EINVAL, "nothing waits for it")
	k.load(false)
	for _, pat := range []string{"gcd:mod:fixture", "nosuch:mod:fixture", "!nosuch:mod:fixture", "nosuch:mod", "gcd:snapshot"} {
		assert.ErrorIs(t, k.SetFilter(o, pat, nil), errno.EINVAL, pat)
		assert.ErrorIs(t, k.SetNotrace(o, pat, nil), errno.EINVAL, pat)
		_, err := k.Match(pat)
		assert.ErrorIs(t, err, errno.EINVAL, pat)
	}
	assert.Equal(t, "gcd", k.filtered(o))
	found, err := k.Match("*_sum:mod:fixture")
	require.NoError(t, err)
	assert.Len(t, found, 1)
}

// The filter waits for its module, whether the ops is registered before or after.
func TestSetFilter_WaitsForAModule(t *testing.T) {
	for name, live := range map[string]bool{"registered": true, "not registered": false} {
		t.Run(name, func(t *testing.T) {
			k := bootIdle(t, nil, nil)
			o := k.ops("o", k.code.OpsFuncNop, 0, "fixture_sum:mod:fixture", "*:mod:other")
			assert.Empty(t, k.filtered(o), "it stands for no function until then")
			if live {
				k.register(o)
				assert.Empty(t, k.enabledLines())
			}
			assert.Equal(t, []string{"*:mod:other", "fixture_sum:mod:fixture"}, k.Waiting(o, false))
			m := k.load(false)
			if !live {
				k.register(o)
			}
			require.NoError(t, k.Validate())
			assert.Equal(t, "1 ftrace_caller o", k.site("fixture_sum"), "CALL_OPS at once")
			assert.Equal(t, "0 nop nop", k.site("fixture_calls"))
			assert.Equal(t, "fixture_sum [fixture]", k.filtered(o))
			assert.Equal(t, []string{"*:mod:other"}, k.Waiting(o, false))

			require.NoError(t, k.k.Unload(m))
			k.load(false)
			require.NoError(t, k.Validate())
			assert.Equal(t, "0 nop nop", k.site("fixture_sum"), "what waited is used up")
			k.unregister(o)
		})
	}
}

func TestSetNotrace_WaitsForAModule(t *testing.T) {
	k := bootIdle(t, nil, nil)
	o := k.ops("o", k.code.OpsFuncNop, 0)
	require.NoError(t, k.SetNotrace(o, "*_[stp]*:mod:fixture", nil))
	assert.Equal(t, "all", k.filtered(o), "nothing is left out until then")
	k.register(o)
	k.load(false)
	require.NoError(t, k.Validate())
	assert.Empty(t, k.Waiting(o, true))
	assert.Equal(t, "0 nop nop", k.site("fixture_sum"))
	assert.Equal(t, "1 ftrace_caller o", k.site("fixture_calls"))
	k.unregister(o)
}

func TestSetFilter_AWaitEnds(t *testing.T) {
	none, one := []string(nil), []string{"b:mod:fixture"}
	tests := []struct {
		name string
		pat  string
		opts *FilterOptions
		want []string
	}{
		{"of a function", "!a:mod:fixture", nil, one},
		{"of all", "!*:mod:fixture", nil, none},
		{"by an option", "a:mod:fixture", &FilterOptions{Remove: true}, one},
		{"by a reset", "", &FilterOptions{Reset: true}, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := bootIdle(t, nil, nil)
			o := k.ops("o", k.code.OpsFuncNop, 0, "a:mod:fixture", "b:mod:fixture")
			k.register(o)
			require.NoError(t, k.SetFilter(o, tt.pat, tt.opts))
			require.NoError(t, k.Validate())
			assert.Equal(t, tt.want, k.Waiting(o, false))
			assert.Equal(t, len(tt.want) == 0, k.filtered(o) == "all", "with nothing left to wait for it is empty")
			k.unregister(o)
			require.NoError(t, k.FreeFilter(o))
			assert.Empty(t, k.Waiting(o, false))
		})
	}
}

func TestParseSelector_AModuleThatBeginsWithADigitIsReadAsANumber(t *testing.T) {
	sel, err := parseSelector("*:mod:9p", false)
	require.NoError(t, err)
	assert.False(t, sel.match("v9fs_open", "9p"), "as in Linux, see docs/findings.md")
}

// What waited and finds no function in its module leaves a filter that was for
// nothing but that module empty: the ops then traces every function.
func TestBug_AFilterThatWaitedInVainStandsForEveryFunction(t *testing.T) {
	for _, fix := range []bool{false, true} {
		for _, pat := range []string{"nosuch:mod:fixture", "gcd:mod:fixture"} {
			k := bootIdle(t, nil, &Options{FixMod: fix})
			o := k.ops("o", k.code.OpsFuncNop, 0, pat)
			k.register(o)
			k.load(false)
			require.NoError(t, k.Validate())
			want := "all"
			if fix {
				want = ""
			}
			assert.Equal(t, want, k.filtered(o))
			assert.Equal(t, fix, k.enabledLines() == "")
			k.unregister(o)
		}
	}
}

func TestSetFilter_AWaitThatCanNotBeServedIsLoggedAndTheModuleStays(t *testing.T) {
	var log []string
	k := bootIdle(t, nil, &Options{Printk: func(line string) { log = append(log, line) }})
	o := k.ops("o", k.code.OpsFuncNop, 0, "gcd", "*:mod:fixture")
	for size := uint64(1) << 40; size > 0; size /= 2 {
		for err := error(nil); err == nil; {
			_, err = k.k.Heap.Alloc("ballast", size)
		}
	}
	m := k.load(false)
	require.NoError(t, k.Validate())
	assert.Contains(t, strings.Join(log, "\n"), "WARNING: filter of o for module fixture: ")
	assert.Equal(t, "gcd", k.filtered(o))
	require.NoError(t, k.k.Unload(m))
}
