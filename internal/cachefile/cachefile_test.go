package cachefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
)

func TestPath_IsOfOneKey(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	a, err := Path("things", "a", ".thing")
	require.NoError(t, err)
	b, err := Path("things", "b", ".thing")
	require.NoError(t, err)
	assert.NotEqual(t, a, b)
	assert.Equal(t, ".thing", filepath.Ext(a))
	assert.Equal(t, "things", filepath.Base(filepath.Dir(a)))
}

func TestOpen_RefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir)
	require.ErrorIs(t, err, errno.EINVAL)
	_, err = Open(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestSave_IsWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new folder", "file.thing")
	failed := errors.New("failed")
	require.ErrorIs(t, Save(path, func(f *os.File) error { _, _ = io.WriteString(f, "half"); return failed }), failed)
	assert.NoFileExists(t, path)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			assert.NoError(t, Save(path, func(f *os.File) error { _, err := io.WriteString(f, "whole"); return err }))
			b, err := os.ReadFile(path)
			assert.NoError(t, err)
			assert.Equal(t, "whole", string(b))
		})
	}
	wg.Wait()
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, left, 1, "nothing unfinished is left")
}

func TestPrune_KeepsTheNewest(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, age time.Duration) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		made := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(path, made, made))
		return path
	}
	newest, newer, old := write("a.thing", 0), write("b.thing", time.Minute), write("c.thing", 2*time.Minute)
	other := write("d.other", time.Hour)
	saving, killed := write(unfinished+"1", 0), write(unfinished+"2", 2*abandoned)
	require.NoError(t, Prune(newest, 2))
	for _, path := range []string{newest, newer, other, saving} {
		assert.FileExists(t, path)
	}
	assert.NoFileExists(t, old)
	assert.NoFileExists(t, killed)
}

func TestProgram_IsTheSameInOneProgram(t *testing.T) {
	a, err := Program()
	require.NoError(t, err)
	b, err := Program()
	require.NoError(t, err)
	assert.NotEmpty(t, a)
	assert.Equal(t, a, b)
}
