package kernelimage

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// OpenOptions say what a file does not; the zero value will do.
type OpenOptions struct {
	// Profile is the kernel whose ftrace the image follows; "" means 6.12.
	// An image without literals is run as one, whatever its profile.
	Profile Profile
}

// Open reads an image from a file. See [Parse].
func Open(path string, opts *OpenOptions) (*Image, error) {
	// Not to wait at a FIFO for somebody who writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &FormatError{File: path, Msg: "is not a regular file", Errno: unix.ENOEXEC}
	}
	return Parse(f, info.Size(), filepath.Base(path), opts)
}

// Parse reads an image of size bytes from r; name is for messages. What the
// file holds is found out from its first bytes.
func Parse(r io.ReaderAt, size int64, name string, opts *OpenOptions) (*Image, error) {
	if opts == nil {
		opts = &OpenOptions{}
	}
	profile := opts.Profile
	if profile == "" {
		profile = Profile612
	}
	if layouts[profile] == nil {
		return nil, fmt.Errorf("%s: no profile is called %q: %w", name, profile, unix.EINVAL)
	}
	magic := make([]byte, 4)
	if n, err := r.ReadAt(magic, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", name, err)
	} else if string(magic[:n]) != elf.ELFMAG {
		return nil, &FormatError{File: name, Value: fmt.Sprintf("%q", magic[:n]), Msg: "unknown format: it is no ELF file; it starts with", Errno: unix.ENOEXEC}
	}
	return parseELF(r, size, name, profile)
}
