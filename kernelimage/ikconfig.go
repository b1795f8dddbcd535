package kernelimage

import (
	"bytes"
)

// A kernel that was built with CONFIG_IKCONFIG has its configuration in it, as a
// gzip stream between two marks (kernel/configs.c).
const (
	configStart = "IKCFG_ST\x1f\x8b\x08"
	configEnd   = "IKCFG_ED"
)

// findConfig returns the configuration in b; nil where there is none, or none
// that unpacks.
func findConfig(b []byte) []byte {
	at := bytes.Index(b, []byte(configStart))
	if at < 0 {
		return nil
	}
	b = b[at+8:] // from gzip's magic on
	end := bytes.Index(b, []byte(configEnd))
	if end < 0 {
		return nil
	}
	config, err := packingOf(b).unpack(bytes.NewReader(b[:end]), int64(end), "config")
	if err != nil {
		return nil
	}
	return config
}
