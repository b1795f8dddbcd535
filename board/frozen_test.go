package board

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/internal/kernels"
)

// snapshot saves a machine that has made a file, and returns where.
func snapshot(t *testing.T) (path, key string) {
	t.Helper()
	if !hostmem.Mapped {
		t.Skip("files can't be mapped here")
	}
	m := booted(t)
	require.NoError(t, m.WriteFile(t.Context(), "/tmp/file", 0, "in the snapshot"))
	path, key = filepath.Join(t.TempDir(), "a.board"), "the key"
	require.NoError(t, m.saveTo(path, key))
	return path, key
}

func TestSnapshot_GoesOnFromIt(t *testing.T) {
	path, key := snapshot(t)
	z := frozen(t)
	m, err := startFrom(path, key, z.img, &Options{})
	require.NoError(t, err)
	b, err := m.ReadFile(t.Context(), "/tmp/file")
	require.NoError(t, err)
	assert.Equal(t, "in the snapshot", string(b))
	require.NoError(t, m.WriteFile(t.Context(), "/tmp/file", os.O_TRUNC, "elsewhere"))
	require.NoError(t, m.Close())

	again, err := startFrom(path, key, z.img, &Options{})
	require.NoError(t, err)
	b, err = again.ReadFile(t.Context(), "/tmp/file")
	require.NoError(t, err)
	assert.Equal(t, "in the snapshot", string(b), "a machine's stores stay its own")
	require.NoError(t, again.Close())
}

func TestSnapshot_RefusesWhatIsDamaged(t *testing.T) {
	path, key := snapshot(t)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	tests := []struct {
		name   string
		key    string
		damage func(b []byte) []byte
		want   error
	}{
		{"another key", "other", func(b []byte) []byte { return b }, errno.ESTALE},
		{"the first bit of RAM", key, func(b []byte) []byte { b[headerSize] ^= 1; return b }, errno.EINVAL},
		{"the last bit of RAM", key, func(b []byte) []byte { b[len(b)-1] ^= 1 << 7; return b }, errno.EINVAL},
		{"a digit of a register", key, func(b []byte) []byte { b[bytes.Index(b, []byte(`"PC":`))+5] ^= 1; return b }, errno.EINVAL},
		{"short RAM", key, func(b []byte) []byte { return b[:len(b)-chunkSize] }, errno.EINVAL},
		{"no header", key, func(b []byte) []byte { return b[:10] }, io.ErrUnexpectedEOF},
		{"empty", key, func([]byte) []byte { return nil }, io.EOF},
		{"another file", key, func(b []byte) []byte { b[0]++; return b }, errno.EINVAL},
		{"no state", key, func(b []byte) []byte { return header(`{"Key":"the key"}`) }, errno.EINVAL},
		{"RAM that the board has not", key, func(b []byte) []byte {
			return header(`{"Key":"the key","Parts":[{"At":1073741824,"Size":65536}],"State":{}}`)
		}, errno.EINVAL},
		{"RAM twice", key, func(b []byte) []byte {
			return header(`{"Key":"the key","Parts":[{"At":0,"Size":65536},{"At":0,"Size":65536}],"State":{}}`)
		}, errno.EINVAL},
		{"RAM without end", key, func(b []byte) []byte {
			return header(`{"Key":"the key","Parts":[{"At":0,"Size":9223372036854775807}],"State":{}}`)
		}, errno.EINVAL},
		{"no JSON", key, func(b []byte) []byte { return header(`{`) }, errno.EINVAL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, tt.damage(bytes.Clone(good)), 0o600))
			_, err := startFrom(path, tt.key, frozen(t).img, &Options{})
			require.ErrorIs(t, err, tt.want)
		})
	}
}

// header is a snapshot's beginning with that JSON.
func header(json string) []byte { return append(snapshotHead([]byte(json)), json...) }

func TestRestore_RefusesAnotherBoardsState(t *testing.T) {
	m := booted(t)
	for name, spoil := range map[string]func(*state){
		"CPUs":             func(s *state) { s.CPUs = nil },
		"a GIC's CPUs":     func(s *state) { s.GIC.CPUs = append(s.GIC.CPUs, gicCPU{}) },
		"the running one":  func(s *state) { s.Running = 7 },
		"init's":           func(s *state) { s.Init = -1 },
		"the console line": func(s *state) { s.Line = make([]byte, maxLine+1) },
	} {
		s := m.save()
		spoil(s)
		require.ErrorIs(t, m.restore(s), errno.EINVAL, name)
	}
}

func TestSnapshotFile_IsOfOneKernelAndOneBoard(t *testing.T) {
	img := frozen(t).img // before the kernels can't be found
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	seen := map[string]bool{}
	for _, opts := range []*Options{{}, {CPUs: 2}, {Append: "quiet"}} {
		path, key, err := snapshotFile(t.Context(), img, opts)
		require.NoError(t, err)
		assert.False(t, seen[path] || seen[key], opts)
		seen[path], seen[key] = true, true
		again, _, err := snapshotFile(t.Context(), img, opts)
		require.NoError(t, err)
		assert.Equal(t, path, again)
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add(header(`{"Key":"k","Parts":[{"At":65536,"Size":65536}],"Sum":1,"State":{"Now":1,"CPUs":[{"System":{"49664":1}}]}}`))
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := readHeader(bytes.NewReader(b))
		if err != nil {
			return
		}
		if h.State == nil {
			t.Fatal("no state and no error")
		}
		if n := h.dataSize(); n < 0 || n > ramSize+windowSize {
			t.Fatalf("%d bytes of RAM", n)
		}
	})
}

// What runs after a restore is whatever the file says. It ends, by an error or its budget.
func FuzzRestore(f *testing.F) {
	m := bare(f, 2)
	m.init = m.cpus[0]
	m.cpus[0].reset(ramBase, 0)
	for _, spoil := range []func(s *state){
		func(*state) {},
		func(s *state) { s.CPUs[0].Trapped = map[asm.SysReg]uint64{vbar: 1<<64 - 1} },
		func(s *state) { s.Now, s.CPUs[0].Control, s.CPUs[0].Compare = 1<<64-1, 1, 1<<63 },
		func(s *state) { s.CPUs[1].Online, s.CPUs[1].Waits, s.GIC.CPUs[0].SGI[3] = true, false, 255 },
		func(s *state) {
			s.CPUs[0].System[sctlr], s.CPUs[0].System[tcr], s.CPUs[0].System[ttbr1] = 1, 16|16<<16|2<<30, ramBase
		},
	} {
		s := m.save()
		spoil(s)
		b, err := json.Marshal(s)
		require.NoError(f, err)
		f.Add(b, []byte("\x1f\x20\x03\xd5\x02\x00\x00\xd4\xe0\x03\x9f\xd6"))
	}
	f.Fuzz(func(t *testing.T, b, ram []byte) {
		var s state
		if json.Unmarshal(b, &s) != nil {
			return
		}
		m := bare(t, 2)
		copy(m.ram, ram)
		if err := m.restore(&s); err != nil {
			require.ErrorIs(t, err, errno.EINVAL)
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.NotErrorIs(t, m.run(ctx, 20_000), context.DeadlineExceeded)
	})
}

// The kernel that Start boots is in a snapshot already, so the test boots none.
func TestStart_FromTheCacheWithTheUsualMounts(t *testing.T) {
	z, first := frozen(t), booted(t) // before the kernels can't be found
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	path, key, err := snapshotFile(t.Context(), z.img, &Options{})
	require.NoError(t, err)
	require.NoError(t, first.mountUsual(t.Context()))
	require.NoError(t, first.saveTo(path, key))

	m, err := Start(t.Context(), z.img, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	assert.Equal(t, first.Count(), m.Count())
	b, err := m.ReadFile(t.Context(), "/sys/kernel/tracing/current_tracer")
	require.NoError(t, err)
	assert.Equal(t, "nop\n", string(b))
	b, err = m.ReadFile(t.Context(), "/proc/version")
	require.NoError(t, err)
	assert.Contains(t, string(b), "Linux version 6.12.")
}

func TestStart_NeedsNoCache(t *testing.T) {
	img := open(t, kernels.Linux612)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(t.TempDir(), "file"))
	require.NoError(t, os.WriteFile(os.Getenv("XDG_CACHE_HOME"), nil, 0o600))
	m, err := Start(t.Context(), img, nil)
	require.NoError(t, err)
	require.NoError(t, m.Close())
}
