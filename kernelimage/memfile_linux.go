package kernelimage

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newMemFile makes a file that lies in memory and has no name.
func newMemFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate("callops", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("%s: memfd_create: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
