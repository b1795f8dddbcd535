//go:build !linux

package kernelimage

import (
	"os"
)

// newMemFile makes a file that has no name.
func newMemFile(string) (*os.File, error) {
	f, err := os.CreateTemp("", "callops")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
