package kernelimage

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/tools"
)

// What addr2line says of every instruction is the truth.
func TestImage_LinesAreThoseOfAddr2line(t *testing.T) {
	for _, file := range []string{"debug-4.elf", "debug-5.elf"} {
		t.Run(file, func(t *testing.T) {
			path := "testdata/workload/" + file
			img, err := Open(t.Context(), path, nil)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, img.Close()) })
			lines, err := img.Lines()
			require.NoError(t, err)
			add, ok := symbolNamed(img, "add")
			require.True(t, ok)
			assert.Equal(t, 3, lines.At(add+8).Number, "after the call site")
			assert.Contains(t, lines.At(add+8).File, "debug.c")
			assert.Equal(t, Line{}, lines.At(0))
			assert.Equal(t, Line{}, lines.At(^uint64(0)))

			tool := tools.Need(t, "aarch64-linux-gnu-addr2line", "binutils-aarch64-linux-gnu")
			var addrs []string
			for _, s := range img.Symbols() {
				for off := uint64(0); s.Func && off < s.Size; off += 4 {
					addrs = append(addrs, strconv.FormatUint(s.Addr+off, 16))
				}
			}
			require.NotEmpty(t, addrs)
			cmd := exec.Command(tool, "-e", path)
			cmd.Stdin = strings.NewReader(strings.Join(addrs, "\n"))
			out, err := cmd.Output()
			require.NoError(t, err)
			said := bufio.NewScanner(strings.NewReader(string(out)))
			for _, a := range addrs {
				require.True(t, said.Scan())
				addr, err := strconv.ParseUint(a, 16, 64)
				require.NoError(t, err)
				_, number, _ := strings.Cut(said.Text(), "debug.c:")
				number, _, _ = strings.Cut(strings.Replace(number, "?", "0", 1), " (discriminator")
				assert.Equal(t, number, strconv.Itoa(lines.At(addr).Number), a)
			}
		})
	}
}

func symbolNamed(img *Image, name string) (uint64, bool) {
	for _, s := range img.Symbols() {
		if s.Name == name {
			return s.Addr, true
		}
	}
	return 0, false
}

func TestImage_WithoutDwarfHasNoLines(t *testing.T) {
	img, err := Builtin(nil)
	require.NoError(t, err)
	lines, err := img.Lines()
	require.NoError(t, err)
	assert.Equal(t, Line{}, lines.At(img.Segments()[0].Addr))
}

func TestImage_DamagedLines(t *testing.T) {
	img := &Image{debug: &debugInfo{dwarf: map[string][]byte{"line": {1, 2, 3}, "info": {0xff, 0xff}}}}
	_, err := img.Lines()
	assert.ErrorIs(t, err, errno.ENOEXEC)
}

func FuzzImage_Lines(f *testing.F) {
	img, err := Open(f.Context(), "testdata/workload/debug-5.elf", nil)
	require.NoError(f, err)
	d := img.debug.dwarf
	f.Add(d["line"], d["info"], d["abbrev"], d["line_str"])
	f.Fuzz(func(t *testing.T, line, info, abbrev, str []byte) {
		damaged := &Image{debug: &debugInfo{dwarf: map[string][]byte{"line": line, "info": info, "abbrev": abbrev, "line_str": str}}}
		lines, err := damaged.Lines()
		if err != nil {
			assert.ErrorIs(t, err, errno.ENOEXEC)
			return
		}
		lines.At(0)
	})
}
