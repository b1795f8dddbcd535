package kernelimage

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/edits"
	"callops/internal/errno"
	"callops/kernelimage/ctype"
	"callops/kernelimage/internal/elffile"
)

func TestPrototype_OfAnELFFileWithDWARF(t *testing.T) {
	for _, file := range []string{"debug-4.elf", "debug-5.elf"} {
		t.Run(file, func(t *testing.T) {
			img := workload(t, file)
			for name, want := range map[string]string{
				"add":     "int add(int a, int b)",
				"crc":     "u32 crc(u32 seed, const u8 *p, unsigned long n)",
				"nothing": "void nothing(void)",
				"is_even": "bool is_even(long n)",
				"tail":    "struct list *tail(struct list *l)",
				"apply":   "int apply(int (*fn)(int, int), int a, ...)",
				"invert":  "enum color invert(enum color c)",
				"half":    "int half(unsigned short v)",
			} {
				p, err := img.Prototype(name)
				require.NoError(t, err, name)
				assert.Equal(t, want, p.String())
			}
			p, err := img.Prototype("apply")
			require.NoError(t, err)
			assert.True(t, p.Variadic)
			assert.Equal(t, []ctype.Type{{Kind: ctype.Pointer, Size: 8, Func: true}, {Kind: ctype.Int, Size: 4, Signed: true}}, p.Params)
			p, err = img.Prototype("invert")
			require.NoError(t, err)
			assert.Equal(t, ctype.Type{Kind: ctype.Int, Size: 4, Signed: true}, p.Result)
			_, err = img.Prototype("missing")
			assert.ErrorIs(t, err, errno.ENOENT)
		})
	}
}

// compressed packs a section's bytes as the linker's --compress-debug-sections
// does, and says that they unpack to size bytes.
func compressed(t *testing.T, b []byte, size int) []byte {
	t.Helper()
	out := make([]byte, 24)
	binary.LittleEndian.PutUint32(out, uint32(elf.COMPRESS_ZLIB))
	binary.LittleEndian.PutUint64(out[8:], uint64(size))
	z := bytes.NewBuffer(out)
	w := zlib.NewWriter(z)
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return z.Bytes()
}

func TestDebugSection_MayBeCompressed(t *testing.T) {
	text := bytes.Repeat([]byte("unsigned long "), 100)
	for name, c := range map[string]struct {
		b    []byte
		want string // of the error
	}{
		"whole":     {compressed(t, text, len(text)), ""},
		"too_short": {compressed(t, text, len(text)+1), "1400 of 1401 bytes unpack"},
		"no_header": {[]byte("short"), "shorter than its header"},
		"zstd":      {append(binary.LittleEndian.AppendUint32(nil, 2), make([]byte, 20)...), "compressed as COMPRESS_ZSTD, only zlib is read"},
		"a_bomb":    {compressed(t, text, maxDebug+1), "debug information of more than"},
		"damaged":   {append(compressed(t, text, len(text))[:30], 1, 2, 3), "unpack"},
	} {
		t.Run(name, func(t *testing.T) {
			f := elffile.Headless(bytes.NewReader(c.b), int64(len(c.b)), "x")
			s := &elffile.Section{Section64: elf.Section64{Size: uint64(len(c.b)), Flags: uint64(elf.SHF_COMPRESSED)}, Name: ".debug_str"}
			got, err := (&elfLoad{File: f}).debugSection(s, maxDebug)
			if c.want != "" {
				assert.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, text, got)
		})
	}
}

// FuzzDWARF: any debug information tells a prototype or is an error, in bounded
// time.
func FuzzDWARF(f *testing.F) {
	var files []map[string][]byte
	for _, file := range []string{"debug-4.elf", "debug-5.elf"} {
		b, err := os.ReadFile(workloadPath(file))
		require.NoError(f, err)
		img, err := Parse(f.Context(), bytes.NewReader(b), int64(len(b)), file, nil)
		require.NoError(f, err)
		f.Add(uint8(len(files)), edits.At(2, 1), edits.At(20, 1), edits.At(3, 1))
		files = append(files, img.debug.dwarf)
	}
	f.Fuzz(func(t *testing.T, which uint8, abbrev, info, str []byte) {
		file := files[int(which)%len(files)]
		abbrev, info, str = edits.Apply(file["abbrev"], abbrev), edits.Apply(file["info"], info), edits.Apply(file["str"], str)
		img := &Image{name: "fuzz", debug: &debugInfo{dwarf: map[string][]byte{"abbrev": abbrev, "info": info, "str": str}}}
		if p, err := img.Prototype("apply"); err == nil {
			require.NotEmpty(t, p.String())
			require.Less(t, len(p.String()), mostDeclared)
		}
	})
}
