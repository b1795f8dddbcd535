package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

func TestCore_BothPrintTheSame(t *testing.T) {
	for _, c := range []struct {
		series string
		args   []string
	}{
		{kernels.Linux7, []string{"trace", "--filter", "int_sqrt", "int_sqrt", "100"}},
		{kernels.Linux612, []string{"trace", "--tracer", "insn", "--filter", "int_sqrt", "int_sqrt", "100"}},
		{kernels.Linux612, []string{"call", "gcd", "84", "36"}},
		{kernels.Linux612, []string{"sites", "--filter", "int_sqrt", "int*"}},
		{kernels.Linux7, []string{"sites", "--filter", "int_sqrt", "--enabled"}},
	} {
		t.Run(c.series+" "+c.args[0], func(t *testing.T) {
			args := append([]string{c.args[0], "--image", kernels.Path(t, c.series), "--core", both}, c.args[1:]...)
			code, out, errs := runIn(nil, args...)
			require.Equal(t, exitDone, code, errs)
			assert.NotEmpty(t, out)
		})
	}
}

func TestCore_TheImagesOwnCostsWhatTheBootedKernelDoes(t *testing.T) {
	code, out, errs := runIn(nil, "bench", "--image", kernels.Path(t, kernels.Linux612), "--core", both, "--relevant", "0,1,2", "--calls", "10", "--format", "csv")
	require.Equal(t, exitDone, code, errs)
	assert.Regexp(t, `(?m)^interp,callops,true,1,0,50,42,`, out)
	assert.Regexp(t, `(?m)^interp,callops,true,2,0,206,198,`, out)
}

func TestCore_BothLogOnceWhatBothLog(t *testing.T) {
	code, _, errs := runIn(nil, "call", "--image", kernels.Path(t, kernels.Linux612), "--core", both, "--fail-alloc", "9", "kstrdup", "a", "0xcc0")
	require.Equal(t, exitDone, code, errs)
	assert.Equal(t, 1, strings.Count(errs, "--fail-alloc 9: there were 1 allocations\n"), errs)

	var b strings.Builder
	writeLogs(&b, "a\nb\nb\n", "b\nc\n")
	assert.Equal(t, "b\nc\ncallops: with --core ours only: a\ncallops: with --core ours only: b\n", b.String())
}

func TestCore_AnImageWithoutOneIsToldSo(t *testing.T) {
	code, _, errs := runIn(nil, "sites", "--core", coreImage)
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errs, "has no core of its own")
}

func TestCore_TheImagesOwnRefusesOurTrampolines(t *testing.T) {
	code, _, errs := runIn(nil, "trace", "--core", coreImage, "--trampoline", trampolineOurs, "gcd", "1", "2")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, errs, "--core image goes with the image's own trampolines")
}

func TestSameLines_NamesTheFirstDifference(t *testing.T) {
	assert.NoError(t, sameLines("a 0xffff8000f0000000\nb", "a 0xffff8000f0000100\nb"))
	assert.ErrorContains(t, sameLines("a\nb", "a\nc"), "line 2")
	assert.ErrorContains(t, sameLines("0xffff8000f0000000 0xffff8000f0000000", "0xffff8000f0000000 0xffff8000f0000001"), "line 1")
	assert.ErrorContains(t, sameLines("a", "a\nb"), "1 lines")
}
