//go:build !nommap

package hostmem

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func scratchFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate("callops", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
