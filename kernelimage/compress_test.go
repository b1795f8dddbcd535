package kernelimage

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ulikunitz "github.com/ulikunitz/xz"

	"callops/internal/errno"
)

// pack compresses b in each format, by the name that package kernelimage has for it.
func pack(tb testing.TB, b []byte) map[string][]byte {
	tb.Helper()
	packed := make(map[string][]byte)
	for name, newWriter := range map[string]func(w io.Writer) (io.WriteCloser, error){
		"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) },
		"xz": func(w io.Writer) (io.WriteCloser, error) {
			return ulikunitz.WriterConfig{CheckSum: ulikunitz.CRC32, DictCap: 1 << 20}.NewWriter(w)
		},
		"lz4": func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil },
		"lz4 (legacy)": func(w io.Writer) (io.WriteCloser, error) {
			z := lz4.NewWriter(w)
			return z, z.Apply(lz4.LegacyOption(true))
		},
	} {
		var buf bytes.Buffer
		w, err := newWriter(&buf)
		require.NoError(tb, err, name)
		_, err = w.Write(b)
		require.NoError(tb, err, name)
		require.NoError(tb, w.Close(), name)
		packed[name] = buf.Bytes()
	}
	return packed
}

// zboot puts a compressed kernel into an EFI program. Behind it lies what the
// program itself consists of.
func zboot(payload []byte) []byte {
	b := make([]byte, 0x200)
	copy(b, "MZ\x00\x00zimg")
	binary.LittleEndian.PutUint32(b[zbootPayloadOff:], uint32(len(b)))
	binary.LittleEndian.PutUint32(b[zbootPayloadOff+4:], uint32(len(payload)))
	copy(b[rawMagicOff:], "\xcd\x23\x82\x81") // another magic than a raw Image's
	return append(append(b, payload...), "more of the program"...)
}

func TestParse_CompressedKernels(t *testing.T) {
	want := buildRaw(t, rawSpec{callOps: true})
	for name, b := range pack(t, want.b) {
		t.Run(name, func(t *testing.T) {
			img := parsed(t, b)
			checkRaw(t, want, img, rawSpec{callOps: true})
			assert.Equal(t, []string{name}, img.Linux.Packed)
			img = parsed(t, zboot(b))
			checkRaw(t, want, img, rawSpec{callOps: true})
			assert.Equal(t, []string{"EFI zboot", name}, img.Linux.Packed)
		})
	}
	img := parsed(t, zboot(want.b))
	assert.Equal(t, []string{"EFI zboot"}, img.Linux.Packed)
	assert.Nil(t, workload(t, "workload-callops.elf").Linux)
}

func TestParse_RefusesDamagedCompressedKernels(t *testing.T) {
	packed := pack(t, buildRaw(t, rawSpec{}).b)
	for name, b := range packed {
		_, err := parse(b[:len(b)/2])
		assert.ErrorIs(t, err, errno.ENOEXEC, "%s cut short", name)
		bad := bytes.Clone(b)
		for i := range 64 {
			bad[len(bad)/3+i] ^= 0x5a
		}
		_, err = parse(bad)
		assert.Error(t, err, "%s corrupt", name)
		_, err = parse(b[:4])
		assert.ErrorIs(t, err, errno.ENOEXEC, "%s magic alone", name)
	}
	// Zeros shrink much further than any kernel.
	for name, b := range pack(t, make([]byte, 32<<20)) {
		_, err := parse(b)
		if name == "lz4" || name == "lz4 (legacy)" { // which shrink to no less than a 255th
			assert.ErrorIs(t, err, errno.ENOEXEC, name)
			continue
		}
		assert.ErrorContains(t, err, "which no kernel does", name)
	}
	nested := packed["gzip"]
	for range maxPackings {
		nested = pack(t, nested)["gzip"]
	}
	_, err := parse(nested)
	assert.ErrorContains(t, err, "unknown format")
	assert.ErrorContains(t, err, "inside gzip, gzip, gzip it starts with")

	z := zboot(packed["zstd"])
	binary.LittleEndian.PutUint32(z[zbootPayloadOff:], 0xffff_fff0)
	_, err = parse(z)
	assert.EqualError(t, err, "Image: zboot header at 0x8: the kernel is "+hex(len(packed["zstd"]))+" bytes at 0xfffffff0, the file "+hex(len(z)))
}

func hex(n int) string {
	const digits = "0123456789abcdef"
	s := ""
	for ; n > 0; n /= 16 {
		s = string(digits[n%16]) + s
	}
	return "0x" + s
}

// FuzzPacked: any stream unpacks within its bounds, or is an error.
func FuzzPacked(f *testing.F) {
	for _, b := range pack(f, bytes.Repeat([]byte("kernel"), 100)) {
		f.Add(b)
		f.Add(zboot(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if p := packingOf(b); p != nil {
			out, err := p.unpack(bytes.NewReader(b), int64(len(b)), "fuzz")
			if err == nil {
				require.LessOrEqual(t, len(out), unpackFactor*len(b)+unpackSlack)
			}
		}
		img, err := parse(b)
		if err != nil {
			assert.NotContains(t, err.Error(), "\n")
			return
		}
		require.NoError(t, img.Close())
	})
}
