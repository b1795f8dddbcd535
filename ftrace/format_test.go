package ftrace

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/kernel"
	"callops/kernelimage"
)

func TestWriteEnabled_IsLinuxsByteForByte(t *testing.T) {
	k := bootIdle(t, nil, nil)
	fn := k.sym(k.code.OpsFuncNop)
	plain := k.ops("plain", k.code.OpsFuncNop, 0, "tracee_relevant")
	regs := k.ops("regs", k.code.OpsFuncNop, OpsSaveRegsIfSupported, "tracee_irrelevant")
	rcu := k.ops("rcu", k.code.OpsFuncNop, OpsRCU, "fib")
	two := k.ops("two", k.code.OpsFuncNop, 0, "strlen")
	deux := k.ops("deux", k.code.OpsFuncNop, 0, "strlen")
	k.register(plain, regs, rcu, two, deux)
	want := map[string]string{
		"tracee_relevant":   fmt.Sprintf("tracee_relevant (1)       O   \tops: %#x (%s)", plain.Addr(), fn),
		"tracee_irrelevant": fmt.Sprintf("tracee_irrelevant (1) R     O   \tops: %#x (%s)", regs.Addr(), fn),
		"fib":               "fib (1)           ",
		"strlen":            "strlen (2)           ",
	}
	lines := strings.Split(strings.TrimSuffix(k.enabledLines(), "\n"), "\n")
	assert.Len(t, lines, len(want))
	for _, l := range lines {
		name, _, _ := strings.Cut(l, " ")
		assert.Equal(t, want[name], l)
	}
}

func TestWriteTouched_KeepsWhatWasEverEnabled(t *testing.T) {
	touched := func(k *testKernel) string {
		var b strings.Builder
		require.NoError(t, k.WriteTouched(&b))
		return b.String()
	}
	k := bootIdle(t, nil, nil)
	o := k.ops("o", k.code.OpsFuncNop, OpsIPModify, "tracee_relevant")
	assert.Empty(t, touched(k))
	k.register(o)
	k.unregister(o)
	assert.Equal(t, "tracee_relevant (0)         M \n", touched(k))

	before := bootIdle(t, &kernelimage.BuiltinOptions{Profile: kernelimage.ProfileV3}, nil)
	before.register(before.ops("o", before.code.OpsFuncNop, 0, "tracee_relevant"))
	assert.Empty(t, touched(before))
}

func TestWriteEnabled_OfEarlierKernels(t *testing.T) {
	for profile, want := range map[kernelimage.Profile]string{
		kernelimage.ProfileV3: "tracee_relevant (1)       O\tops: ",
		kernelimage.Profile61: "tracee_relevant (1)      \n",
	} {
		k := bootIdle(t, &kernelimage.BuiltinOptions{Profile: profile}, nil)
		k.register(k.ops("o", k.code.OpsFuncNop, 0, "tracee_relevant"))
		assert.True(t, strings.HasPrefix(k.enabledLines(), want), "%s: %q", profile, k.enabledLines())
	}
}

func TestWriteAvailable_ListsSitesInOrder(t *testing.T) {
	k := bootIdle(t, nil, nil)
	var names, addrs strings.Builder
	require.NoError(t, k.WriteAvailable(&names, false))
	require.NoError(t, k.WriteAvailable(&addrs, true))
	lines := strings.Split(strings.TrimSuffix(addrs.String(), "\n"), "\n")
	require.Len(t, lines, len(k.Records()))
	for i, name := range strings.Fields(names.String()) {
		rec := k.Records()[i]
		assert.Equal(t, fmt.Sprintf("%x %s", rec.IP, name), lines[i])
		assert.EqualValues(t, k.fn(name)+4, rec.IP)
	}
}

func TestWriteAvailable_SiteWithoutSymbolIsItsAddress(t *testing.T) {
	image, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	parts := image.Parts()
	parts.Symbols = nil
	image = kernelimage.New(parts)
	k, err := kernel.Boot(image, newIdle, nil)
	require.NoError(t, err)
	defer k.Close()
	r, err := New(k, nil)
	require.NoError(t, err)
	var b strings.Builder
	require.NoError(t, r.WriteAvailable(&b, false))
	first, _, _ := strings.Cut(b.String(), "\n")
	assert.Equal(t, fmt.Sprintf("%#x", image.Sites()[0].IP), first)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestWrite_TheWriterMayUseTheRegistry(t *testing.T) {
	k := bootIdle(t, nil, nil)
	k.register(k.ops("o", k.code.OpsFuncNop, 0))
	for name, write := range map[string]func(io.Writer) error{
		"available": func(w io.Writer) error { return k.WriteAvailable(w, false) },
		"enabled":   k.WriteEnabled,
		"touched":   k.WriteTouched,
	} {
		free := false
		require.NoError(t, write(writerFunc(func(p []byte) (int, error) {
			if free = k.mu.TryLock(); free {
				k.mu.Unlock()
			}
			return len(p), nil
		})))
		assert.True(t, free, name)
	}
}
