// Package packtest makes compressed streams for tests.
package packtest

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

// All compresses b in each format, by the name that package packing has for it.
func All(tb testing.TB, b []byte) map[string][]byte {
	tb.Helper()
	packed := make(map[string][]byte)
	for name, newWriter := range map[string]func(w io.Writer) (io.WriteCloser, error){
		"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) },
		"xz": func(w io.Writer) (io.WriteCloser, error) {
			return xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 1 << 20, BlockSize: 1 << 20}.NewWriter(w)
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
