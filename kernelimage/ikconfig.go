package kernelimage

import (
	"bytes"
	"context"

	"callops/kernelimage/internal/packing"
)

// A kernel that was built with CONFIG_IKCONFIG has its configuration in it, as a
// gzip stream between two marks (kernel/configs.c).
const (
	configStart = "IKCFG_ST\x1f\x8b\x08"
	configEnd   = "IKCFG_ED"
)

// maxConfig bounds a configuration, in bytes. Debian's has 270 KiB.
const maxConfig = 16 << 20

// findConfig returns the configuration in b; nil where there is none, or none
// that unpacks.
func findConfig(ctx context.Context, b []byte) []byte {
	at := bytes.Index(b, []byte(configStart))
	if at < 0 {
		return nil
	}
	b = b[at+8:] // from gzip's magic on
	end := bytes.Index(b, []byte(configEnd))
	if end < 0 {
		return nil
	}
	src := packing.Source{R: bytes.NewReader(b[:end]), Size: int64(end), Name: "config"}
	config, err := packing.Of(b).Unpack(ctx, src, maxConfig)
	if err != nil {
		return nil
	}
	return config
}
