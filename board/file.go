package board

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"callops/internal/errno"
)

// Numbers of arm64's system calls (include/uapi/linux/fcntl.h, asm-generic/fcntl.h).
const (
	atFDCWD     = -100
	atRemovedir = 0x200
)

// NonBlock is a flag of [Machine.OpenFile] beside those of package os: O_NONBLOCK, which not all hosts have.
const NonBlock = 1 << 30

// openFlags are what os' flags are to the kernel.
var openFlags = []struct {
	host  int
	guest uint64
}{
	{os.O_WRONLY, 0o1}, {os.O_RDWR, 0o2}, {os.O_CREATE, 0o100}, {os.O_EXCL, 0o200}, {os.O_TRUNC, 0o1000}, {os.O_APPEND, 0o2000},
	{os.O_SYNC, 0o4010000}, {NonBlock, 0o4000},
}

// File is a file of the kernel's, open in its first process. Its operations end with the context that it was
// opened with, and belong to the goroutine of the [Machine].
type File struct {
	m    *Machine
	ctx  context.Context //nolint:containedctx // io's interfaces have none
	name string
	fd   uint64
	done bool // it is closed, and fd may be another file's
}

var _ io.ReadWriteCloser = (*File)(nil)

// OpenFile opens a file by its path in the kernel's own file systems, with flags of package os. Errors are
// *fs.PathError, and match the kernel's errno.
func (m *Machine) OpenFile(ctx context.Context, name string, flag int, perm fs.FileMode) (*File, error) {
	var guest uint64
	for _, f := range openFlags {
		if flag&f.host == f.host {
			guest |= f.guest
		}
	}
	fd, err := m.onPath(ctx, "openat", name, guest, uint64(perm.Perm()))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &File{m: m, ctx: ctx, name: name, fd: fd}, nil
}

// onPath makes a system call whose first arguments are AT_FDCWD and a path.
func (m *Machine) onPath(ctx context.Context, call, name string, args ...uint64) (uint64, error) {
	addrs, err := m.strings(name)
	if err != nil {
		return 0, err
	}
	at := int64(atFDCWD)
	return m.syscall(ctx, call, slices.Concat([]uint64{uint64(at), addrs[0]}, args)...)
}

// Name returns the path that the file was opened by.
func (f *File) Name() string { return f.name }

// syscall makes a system call whose first argument is the file.
func (f *File) syscall(name string, args ...uint64) (uint64, error) {
	if f.done {
		return 0, fs.ErrClosed
	}
	return f.m.syscall(f.ctx, name, slices.Insert(args, 0, f.fd)...)
}

func (f *File) error(op string, err error) error { return pathError(op, f.name, err) }

// maxTransfer is how much one system call reads or writes.
const maxTransfer = 1 << 20

// Read is one read of the kernel's, of at most a mebibyte.
func (f *File) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := f.syscall("read", windowBase, uint64(min(len(p), maxTransfer)))
	if err != nil {
		return 0, f.error("read", err)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return copy(p, f.m.window()[:min(n, windowSize)]), nil
}

// Write writes all of p, in pieces of at most a mebibyte. What the kernel does not take of one is an error.
func (f *File) Write(p []byte) (done int, err error) {
	for {
		part := p[done:min(len(p), done+maxTransfer)]
		copy(f.m.window(), part)
		n, err := f.syscall("write", windowBase, uint64(len(part)))
		if err != nil {
			return done, f.error("write", err)
		}
		done += int(min(n, uint64(len(part))))
		switch {
		case done == len(p):
			return done, nil
		case n == 0:
			return done, f.error("write", io.ErrShortWrite)
		}
	}
}

// Seek sets the file's position.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	n, err := f.syscall("lseek", uint64(offset), uint64(whence))
	return int64(n), f.error("seek", err)
}

// Truncate sets the file's size.
func (f *File) Truncate(size int64) error {
	_, err := f.syscall("ftruncate", uint64(size))
	return f.error("truncate", err)
}

// Close closes the file. What is done with it afterwards fails with [fs.ErrClosed].
func (f *File) Close() error {
	_, err := f.syscall("close")
	var failed *SyscallError
	if err == nil || errors.As(err, &failed) {
		f.done = true // the kernel has freed fd, error or not
	}
	return f.error("close", err)
}

// names reads a folder's entries, . and .. left out.
func (f *File) names() (names []string, err error) {
	const header = 19 // of struct linux_dirent64, before its name
	for {
		n, err := f.syscall("getdents64", windowBase, maxTransfer)
		if err != nil || n == 0 {
			return names, f.error("readdir", err)
		}
		for b := f.m.window()[:min(n, windowSize)]; len(b) > 0; {
			if len(b) < header {
				return nil, f.error("readdir", io.ErrUnexpectedEOF)
			}
			size := int(binary.LittleEndian.Uint16(b[16:]))
			if size <= header || size > len(b) {
				return nil, f.error("readdir", fmt.Errorf("an entry of %d bytes: %w", size, io.ErrUnexpectedEOF))
			}
			name, _, _ := strings.Cut(string(b[header:size]), "\x00")
			if name != "." && name != ".." {
				names = append(names, name)
			}
			b = b[size:]
		}
	}
}

// readSize is what cat reads at once.
const readSize = 128 << 10

// ReadFile reads a whole file, up to the first read that finds no more. One that grows with each read, such as trace where reads
// themselves are traced, does not end before ctx does.
func (m *Machine) ReadFile(ctx context.Context, name string) ([]byte, error) {
	f, err := m.OpenFile(ctx, name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = io.CopyBuffer(struct{ io.Writer }{&b}, struct{ io.Reader }{f}, make([]byte, readSize))
	return b.Bytes(), errors.Join(err, f.Close())
}

// WriteFile writes to a file as a shell's redirection does: flag is os.O_TRUNC for >, and os.O_APPEND for >>. One that is not there is made.
func (m *Machine) WriteFile(ctx context.Context, name string, flag int, data string) error {
	f, err := m.OpenFile(ctx, name, os.O_WRONLY|os.O_CREATE|flag, 0o666)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, data)
	return errors.Join(err, f.Close())
}

// ReadDir returns the sorted names in a folder.
func (m *Machine) ReadDir(ctx context.Context, name string) ([]string, error) {
	f, err := m.OpenFile(ctx, name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	names, err := f.names()
	slices.Sort(names)
	return names, errors.Join(err, f.Close())
}

// Mkdir makes a folder.
func (m *Machine) Mkdir(ctx context.Context, name string, perm fs.FileMode) error {
	_, err := m.onPath(ctx, "mkdirat", name, uint64(perm.Perm()))
	return pathError("mkdir", name, err)
}

// Remove removes a file or an empty folder.
func (m *Machine) Remove(ctx context.Context, name string) error {
	_, err := m.onPath(ctx, "unlinkat", name, 0)
	if errors.Is(err, errno.EISDIR) {
		_, err = m.onPath(ctx, "unlinkat", name, atRemovedir)
	}
	return pathError("remove", name, err)
}

// Mount mounts a file system of the given type on a folder.
func (m *Machine) Mount(ctx context.Context, kind, dir string) error {
	addrs, err := m.strings(kind, dir)
	if err == nil {
		_, err = m.syscall(ctx, "mount", addrs[0], addrs[1], addrs[0], 0, 0)
	}
	return pathError("mount "+kind, dir, err)
}

func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
