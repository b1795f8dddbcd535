// Package ikconfig finds the configuration that is embedded in a kernel built with
// CONFIG_IKCONFIG: a gzip stream between two marks (kernel/configs.c).
package ikconfig

import (
	"bytes"
	"context"

	"callops/kernelimage/internal/packing"
)

const (
	start = "IKCFG_ST\x1f\x8b\x08"
	end   = "IKCFG_ED"

	maxSize = 16 << 20 // of a configuration, in bytes. Debian's has 270 KiB
)

// Find returns the configuration in b; nil where there is none, or none that
// unpacks before ctx ends.
func Find(ctx context.Context, b []byte) []byte {
	at := bytes.Index(b, []byte(start))
	if at < 0 {
		return nil
	}
	b = b[at+8:] // from gzip's magic on
	n := bytes.Index(b, []byte(end))
	if n < 0 {
		return nil
	}
	src := packing.Source{R: bytes.NewReader(b[:n]), Size: int64(n), Name: "config"}
	config, err := packing.Of(b).Unpack(ctx, src, maxSize)
	if err != nil {
		return nil
	}
	return config
}
