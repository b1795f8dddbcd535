package kernelimage

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestBTF_OffsetsAreReadThroughAnonymousMembers(t *testing.T) {
	types, err := readBTF(bytes.NewReader(fixtureBTF(t)))
	require.NoError(t, err)
	l, err := types.layout()
	require.NoError(t, err)
	assert.Equal(t, 8, l.Task.PreemptCount, "in an anonymous structure of thread_info")
	assert.Equal(t, 80, l.Ops.Trampoline, "behind two structures")
	assert.Equal(t, Absent, l.Ops.List)
	assert.Equal(t, HashLayout{Size: 32, SizeBits: 0, Buckets: 8, Count: 16, Flags: 24}, l.Hash)
	assert.Equal(t, EntryLayout{Size: 32, Next: 0, Pprev: 8, IP: 16, Direct: 24}, l.Entry)
	off, ok := types.perCPUVar("context_tracking")
	assert.True(t, ok)
	assert.Equal(t, stateOff, off)
	_, ok = types.perCPUVar("nothing")
	assert.False(t, ok)
}

func TestBTF_NamesEverythingThatIsMissingInOneLine(t *testing.T) {
	section := bytes.ReplaceAll(fixtureBTF(t), []byte("func_hash\x00"), []byte("func_hush\x00"))
	section = bytes.ReplaceAll(section, []byte("size_bits\x00"), []byte("size_bats\x00"))
	types, err := readBTF(bytes.NewReader(section))
	require.NoError(t, err)
	_, err = types.layout()
	assert.ErrorIs(t, err, unix.ENOENT)
	assert.EqualError(t, err, "has no ftrace_ops.func_hash, ftrace_hash.size_bits: no such file or directory")
}

func TestFindBTF_TakesTheLargestThatIsWhole(t *testing.T) {
	section := fixtureBTF(t)
	b := append([]byte("........"+btfHeader+"and no more that makes sense......"), section...)
	got, at := findBTF(append(b, "behind it"...))
	assert.Equal(t, section, got)
	assert.Equal(t, len(b)-len(section), at)
	got, _ = findBTF(b[:len(b)-1])
	assert.Nil(t, got)
	got, _ = findBTF([]byte(btfHeader))
	assert.Nil(t, got)
}

// FuzzBTF: any section gives a layout whose offsets lie in its structures, or
// an error.
func FuzzBTF(f *testing.F) {
	f.Add(fixtureBTF(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		types, err := readBTF(bytes.NewReader(b))
		if err != nil {
			return
		}
		types.perCPUVars()
		types.perCPUVar("context_tracking")
		if l, err := types.layout(); err == nil {
			require.NoError(t, l.check())
		}
	})
}
