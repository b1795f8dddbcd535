package main

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
)

func TestBoot_PrintsTheConsoleAndWhereABudgetEnds(t *testing.T) {
	code, out, errs := runIn(nil, "boot", "--image", kernels.Path(t, kernels.Linux612), "--budget", "30000000", "--append", "one=\x1b[1m")
	require.Equal(t, exitFailed, code, errs)
	assert.Contains(t, out, "[    0.000000] Booting Linux on physical CPU 0x0000000000")
	assert.Contains(t, out, "Kernel command line: earlycon")
	assert.NotContains(t, out, "\x1b", "the kernel's text is made printable")
	assert.Contains(t, errs, "instruction budget used up")
	assert.Contains(t, errs, "start_kernel+")
}

func TestBoot_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	root := newRoot(strings.NewReader(""), t.Output(), t.Output())
	root.SetArgs([]string{"boot", "--image", kernels.Path(t, kernels.Linux612)})
	require.ErrorIs(t, root.ExecuteContext(ctx), context.Canceled)
}

func TestBoot_RefusesWrongUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"--image", ""}, {"--cpus", "9", "--image", "x"}, {"--image", "x", "extra"}} {
		code, _, errs := runIn(nil, append([]string{"boot"}, args...)...)
		assert.Equal(t, exitUsage, code, "%q: %s", args, errs)
	}
	code, _, errs := runIn(nil, "boot", "--image", "../../kernelimage/testdata/workload/workload-callops.elf")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errs, "it is no raw Image of a Linux kernel")
}
