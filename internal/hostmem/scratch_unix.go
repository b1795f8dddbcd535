//go:build unix && !linux && !nommap

package hostmem

import "os"

// scratchFile makes a file that has lost its name.
func scratchFile(string) (*os.File, error) {
	f, err := os.CreateTemp("", "callops")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
