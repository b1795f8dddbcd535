package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/internal/kernels"
	"callops/internal/patchimage"
	"callops/kernelimage"
	"callops/try"
)

func TestLinux_TryComparesAKernelWithAPatchedOne(t *testing.T) {
	before := kernels.Path(t, kernels.Linux612)
	img, err := kernelimage.Open(t.Context(), before, nil)
	require.NoError(t, err)
	defer img.Close()
	at := patchimage.Addr(t, img, "ftrace_caller", 0)
	for w, _ := img.Word(at); asm.Disassemble(w, at, nil) != "ldp x4, x5, [sp, #32]"; w, _ = img.Word(at) {
		at += 4
	}
	after := patchimage.Write(t, patchimage.Words(t, img, map[uint64]uint32{at: asm.NOP}))
	args := []string{"try", "--quick", "--operations", "100", "--scenario", "enable", before, after}

	code, out, errs := runIn(nil, append(args, "--format", "json")...)
	assert.Equal(t, exitFailed, code)
	assert.Equal(t, "callops: "+after+" is worse than "+before+": enable: broken: the traced function finds its registers as its caller left them\n", errs)
	var r try.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.Equal(t, before, r.Old.Name)
	assert.Equal(t, after, r.New.Name)
	require.Len(t, r.Text.Changes, 1)
	assert.Equal(t, "ftrace_caller", r.Text.Changes[0].Name)
	require.Len(t, r.Verdicts, 1)
	assert.Equal(t, try.Worse, r.Verdicts[0].Change)

	code, out, errs = runIn(nil, append(args, "--format", "markdown")...)
	assert.Equal(t, exitFailed, code, errs)
	assert.Contains(t, out, "### callops: Worse: enable: broken: the traced function finds its registers")
	assert.Contains(t, out, "\n- +0x74  ldp x4, x5, [sp, #32]\n+ +0x74  nop\n")

	args[len(args)-1] = before
	code, out, errs = runIn(nil, args...)
	assert.Equal(t, exitDone, code, errs)
	assert.Contains(t, out, "\nNothing that held breaks, and no cost rises.\n")
}

// The workflow in docs/ calls the command as it is.
func TestTry_WorkflowUsesFlagsThatThereAre(t *testing.T) {
	workflow, err := os.ReadFile("../../docs/try.yml")
	require.NoError(t, err)
	line := regexp.MustCompile(`\./callops try (.*) (\S+) (\S+) >>`).FindSubmatch(workflow)
	require.NotNil(t, line)
	cmd := newTry()
	require.NoError(t, cmd.ParseFlags(strings.Fields(string(line[1]))))
	assert.Equal(t, "true", cmd.Flag("quick").Value.String())
	assert.Equal(t, "markdown", cmd.Flag("format").Value.String())
}

func TestLinux_TryRefusesKernelsOfTwoSchemes(t *testing.T) {
	code, out, errs := runIn(nil, "try", kernels.Path(t, kernels.Linux61), kernels.Path(t, kernels.Linux612))
	assert.Equal(t, exitFailed, code)
	assert.Empty(t, out)
	assert.Regexp(t, `^callops: try: \S+ and \S+ do not belong together: \S+ has CALL_OPS, \S+ has not\n$`, errs)
}
