package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

func TestLinux_ImageSaysWhatWasFound(t *testing.T) {
	newer, older := kernels.Path(t, kernels.Linux612), kernels.Path(t, kernels.Linux61)
	code, out, errs := runIn(nil, "image", "--format", "json", newer, older)
	require.Equal(t, exitDone, code, errs)
	var list struct{ Images []imageInfo }
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	require.Len(t, list.Images, 2)
	assert.Equal(t, "6.12", list.Images[0].Profile)
	assert.True(t, list.Images[0].CallOps)
	assert.Equal(t, "0xffff800080000000", list.Images[0].Linux.Base)
	assert.InDelta(t, 3, list.Images[0].Text.Percent, 0.3, "what CALL_OPS adds to the text")
	assert.Equal(t, "6.1", list.Images[1].Profile)
	assert.False(t, list.Images[1].CallOps)
	assert.Equal(t, "0xffff800008000000", list.Images[1].Linux.Base)

	code, out, errs = runIn(nil, "image", builtin, newer)
	require.Equal(t, exitDone, code, errs)
	assert.Regexp(t, `(?m)^call sites +literal; nop; nop +literal; nop; nop$`, out)
	assert.Regexp(t, `(?m)^alternatives +- +\d+, all as built$`, out)
}

func TestLinux_SitesAreTheKernelsOwn(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			code, out, errs := runIn(nil, "sites", "--image", kernels.Path(t, series), "--filter", "vfs_*", "vfs_read")
			require.Equal(t, exitDone, code, errs)
			assert.Regexp(t, `(?m)^ffff80008[0-9a-f]+ +vfs_read +mov x9, x30; bl [0-9a-f]+ <ftrace_caller> +1 `, out)
			assert.Contains(t, out, "(ops vfs_*)")
		})
	}
}

func TestLinux_InitTextIsFreedUnlessItIsKept(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			image := kernels.Path(t, series)
			code, _, errs := runIn(nil, "sites", "--image", image, "start_kernel")
			assert.Equal(t, exitFailed, code)
			assert.Contains(t, errs, `"start_kernel" matches no function`)
			code, _, errs = runIn(nil, "call", "--image", image, "parse_early_options", "quiet")
			assert.Equal(t, exitFailed, code)
			assert.Contains(t, errs, "parse_early_options was in init text, which has been freed")

			code, out, errs := runIn(nil, "sites", "--image", image, "--keep-init", "--filter", "start_kernel", "start_kernel")
			require.Equal(t, exitDone, code, errs)
			assert.Regexp(t, `(?m)^ffff80008[0-9a-f]+ +start_kernel +mov x9, x30; bl [0-9a-f]+ <ftrace_caller> +1 `, out)
			code, out, errs = runIn(nil, "trace", "--image", image, "--keep-init", "--filter", "*early*", "parse_early_options", "quiet")
			require.Equal(t, exitDone, code, errs)
			assert.Contains(t, out, ": parse_early_options <-return_to_host")
		})
	}
}

func TestLinux_AProfileThatIsNotTheImagesIsAnError(t *testing.T) {
	for _, profile := range []string{"6.12", "v3"} {
		code, _, errs := runIn(nil, "image", "--profile", profile, kernels.Path(t, kernels.Linux61))
		assert.Equal(t, exitFailed, code)
		assert.Contains(t, errs, "its ftrace is that of profile 6.1, not of "+profile)
	}
	code, _, errs := runIn(nil, "image", "--profile", "6.12", kernels.Path(t, kernels.Linux612))
	assert.Equal(t, exitDone, code, errs)
}

func TestLinux_BenchPutsItsOwnFtraceAndOursBesideAnother(t *testing.T) {
	newer, older := kernels.Path(t, kernels.Linux612), kernels.Path(t, kernels.Linux61)
	code, out, errs := runIn(nil, "bench", "--image", newer, "--beside", older, "--engine", "interp", "--calls", "2")
	require.Equal(t, exitDone, code, errs)
	assert.Regexp(t, `(?m)^A: vmlinuz-6\.12.*, the image's own ftrace, `, out)
	assert.Regexp(t, `(?m)^B: vmlinuz-6\.1\..*, the image's own ftrace, `, out)
	assert.Regexp(t, `(?m)^C: vmlinuz-6\.12.*, callops' ftrace, `, out)
	assert.Regexp(t, `(?m)^ +A +B +C +C +C$`, out)
	for _, row := range []string{"0 +100 +0 +0 +0 +0 +0", "1 +0 +42 +143 +102 +34 +34", "1 +100 +42 +4343 +2302 +34 +34", "2 +0 +198 +195 +133 +138 +58", "100 +0 +5098 +5291 +3171 +3176 +940"} {
		assert.Regexp(t, "(?m)^ +"+row+"$", out)
	}
}

func TestLinux_BenchCallsAFunctionOfAModule(t *testing.T) {
	for _, series := range kernels.CallOps {
		t.Run(series, func(t *testing.T) {
			image := kernels.Path(t, series)
			module := kernels.Module(t, series, "cordic")
			code, out, errs := runIn(nil, "bench", "--image", image, "--module", module, "--tracee", "cordic_calc_iq", "--args", "100", "--trampoline", "ours",
				"--engine", "interp", "--calls", "2", "--relevant", "0,1,2")
			require.Equal(t, exitDone, code, errs)
			assert.Regexp(t, `(?m)^ +1 +0 +\d+ +34 `, out)
			assert.Regexp(t, `(?m)^ +2 +0 +\d+ +138 `, out)
		})
	}
}

func TestLinux_ItsFunctionsAreTraced(t *testing.T) {
	data := strings.Repeat("callops", 100)
	path := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(path, []byte(data), 0o600))
	want := fmt.Sprintf("000000  %x", sha256.Sum256([]byte(data)))
	for _, series := range append(slices.Clone(kernels.All), kernels.Linux716K) {
		image := kernels.Path(t, series)
		code, out, errs := runIn(nil, "trace", "--image", image, "--filter", "sha256*", "sha256", "@"+path, fmt.Sprint(len(data)), "buf:32")
		require.Equal(t, exitDone, code, errs)
		assert.Contains(t, out, ": sha256 <-return_to_host")
		assert.Regexp(t, `: sha256_(transform_blocks|update|blocks) <-`, out)
		assert.Contains(t, out, want)
	}
}

func TestLinux_WhatIsLoggedIsShownAndMemoryIsReported(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			image := kernels.Path(t, series)
			code, out, errs := runIn(nil, "call", "--image", image, "_printk", "a\x1b[31mb")
			assert.Equal(t, exitDone, code, errs)
			assert.Contains(t, out, ") = 7 (0x7)\n")
			assert.Equal(t, `a\x1b[31mb`+"\n", errs, "escaped, and though it has no newline")

			code, out, errs = runIn(nil, "trace", "--image", image, "--filter", "vprintk_emit", "__warn_printk", "stuck")
			assert.Equal(t, exitDone, code, errs)
			assert.Contains(t, out, ": vprintk_emit <-")
			assert.Contains(t, errs, "------------[ cut here ]------------\nstuck\n")

			code, out, errs = runIn(nil, "call", "--image", image, "kstrdup", "hello", "0xcc0", "--", "strlen", "result:1", "--", "kfree", "result:1", "--", "kfree", "result:1")
			assert.Equal(t, exitFailed, code)
			assert.Contains(t, out, "strlen(result:1) = 0x5 (5)\n")
			assert.Regexp(t, `^callops: kfree\+0x0/0x[0-9a-f]+: stopped in kfree\+0x[0-9a-f/x]+: slab allocator: double free: kfree of 0x[0-9a-f]+, what kstrdup\+0x`, errs)

			code, out, errs = runIn(nil, "call", "--image", image, "--fail-alloc", "2", "kstrdup", "a", "0xcc0", "--", "kstrdup", "hello", "0xcc0", "--", "kstrdup", "c", "0xcc0")
			assert.Equal(t, exitDone, code, errs)
			assert.Regexp(t, `(?s)^kstrdup\("a", 0xcc0\) = 0x.*\nkstrdup\("hello", 0xcc0\) = NULL\n.*\nkstrdup\("c", 0xcc0\) = 0x`, out)
			assert.Regexp(t, `^callops: allocation 2 failed: __kmalloc\w* of 6 bytes by \w+\+0x[0-9a-f/x]+\n$`, errs)
			code, _, errs = runIn(nil, "trace", "--image", image, "--fail-alloc", "2", "kstrdup", "a", "0xcc0")
			assert.Equal(t, exitDone, code, errs)
			assert.Contains(t, errs, "callops: --fail-alloc 2: there were 1 allocations\n")

			code, out, errs = runIn(nil, "call", "--image", image, "alloc_buffer_head", "0xcc0")
			assert.Equal(t, exitFailed, code)
			assert.Empty(t, out)
			assert.Regexp(t, `: stopped in kmem_cache_alloc\w*\+0x[0-9a-f/x]+: slab caches: kmem_cache_alloc\w* was called by alloc_buffer_head\+0x[0-9a-f/x]+, and the cache, which boot makes, is NULL`, errs)
		})
	}
}
