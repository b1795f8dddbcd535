package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
	assert.Regexp(t, `(?m)^alternatives +- +as built$`, out)
}

func TestLinux_SitesAreTheKernelsOwn(t *testing.T) {
	code, out, errs := runIn(nil, "sites", "--image", kernels.Path(t, kernels.Linux612), "--filter", "vfs_*", "vfs_read")
	require.Equal(t, exitDone, code, errs)
	assert.Regexp(t, `(?m)^ffff80008[0-9a-f]+ +vfs_read +mov x9, x30; bl [0-9a-f]+ <ftrace_caller> +1 `, out)
	assert.Contains(t, out, "(ops vfs_*)")
}

func TestLinux_ItsFunctionsAreTraced(t *testing.T) {
	data := strings.Repeat("callops", 100)
	path := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(path, []byte(data), 0o600))
	want := fmt.Sprintf("000000  %x", sha256.Sum256([]byte(data)))
	for _, series := range []string{kernels.Linux612, kernels.Linux61} {
		image := kernels.Path(t, series)
		code, out, errs := runIn(nil, "trace", "--image", image, "--filter", "sha256*", "sha256", "@"+path, fmt.Sprint(len(data)), "buf:32")
		require.Equal(t, exitDone, code, errs)
		assert.Contains(t, out, ": sha256 <-return_to_host")
		assert.Regexp(t, `: sha256_(transform_blocks|update) <-`, out)
		assert.Contains(t, out, want)
	}
}
