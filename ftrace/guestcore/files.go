package guestcore

import (
	"encoding/binary"
	"fmt"
	"io"

	"callops/internal/errno"
)

// WriteAvailable writes available_filter_functions, or available_filter_functions_addrs.
func (c *Core) WriteAvailable(w io.Writer, addrs bool) error {
	if addrs {
		return c.writeFile(w, "ftrace_avail_addrs_open", c.sym.addrsOpen)
	}
	return c.writeFile(w, "ftrace_avail_open", c.sym.availOpen)
}

// WriteEnabled writes enabled_functions.
func (c *Core) WriteEnabled(w io.Writer) error {
	return c.writeFile(w, "ftrace_enabled_open", c.sym.enabledOpen)
}

// WriteTouched writes touched_functions. Kernels before 6.4 have no such file, and print
// nothing.
func (c *Core) WriteTouched(w io.Writer) error {
	if c.sym.touchedOpen == 0 {
		return nil
	}
	return c.writeFile(w, "ftrace_touched_open", c.sym.touchedOpen)
}

// fmodeRead is FMODE_READ (include/linux/fs.h).
const fmodeRead = 1

// chunk is how much is read at once, as cat does.
const chunk = 128 << 10

// maxFile bounds a control file: a line of 256 bytes for each of the most records. A read counts
// as a line at least.
const (
	minRead = 256
	maxFile = maxRecords * minRead
)

// iterDest is ITER_DEST (include/linux/uio.h): the iterator's buffer is written.
const iterDest = 0

// writeFile opens a control file, reads it to its end and closes it, all by the kernel's own
// functions.
func (c *Core) writeFile(w io.Writer, name string, open uint64) error {
	if open == 0 {
		return fmt.Errorf("the kernel has no %s: %w", name, errno.EOPNOTSUPP)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.pack
	file := make([]byte, l.File.Size)
	put32(file, l.File.Mode, fmodeRead)
	return c.with("inode", make([]byte, l.Inode), func(inode uint64) error {
		return c.with("file", file, func(file uint64) error {
			if err := c.status(name, open, inode, file); err != nil {
				return err
			}
			err := c.with("kiocb", make([]byte, l.Kiocb.Size), func(iocb uint64) error {
				if err := c.k.Mem.Store64(iocb+uint64(l.Kiocb.Filp), file); err != nil {
					return err
				}
				return c.readAll(w, iocb)
			})
			if released := c.status("seq_release_private", c.sym.seqRelease, inode, file); err == nil {
				err = released
			}
			return err
		})
	})
}

// readAll is read(2) until it returns 0.
func (c *Core) readAll(w io.Writer, iocb uint64) error {
	return c.with("buffer", make([]byte, chunk), func(buf uint64) error {
		return c.with("iov_iter", make([]byte, c.pack.IovIter), func(iter uint64) error {
			return c.with("kvec", make([]byte, 16), func(kvec uint64) error {
				for total := 0; ; {
					n, err := c.readOnce(iocb, iter, kvec, buf)
					if n == 0 || err != nil {
						return err
					}
					if total += max(n, minRead); total > maxFile {
						return &CorruptError{"read", iocb, "the control file does not end"}
					}
					text := make([]byte, n)
					if err := c.k.Mem.Read(buf, text); err != nil {
						return err
					}
					if _, err := w.Write(text); err != nil {
						return err
					}
				}
			})
		})
	})
}

func (c *Core) readOnce(iocb, iter, kvec, buf uint64) (int, error) {
	vec := binary.LittleEndian.AppendUint64(appendWord(nil, buf), chunk)
	if err := c.k.Mem.Write(kvec, vec); err != nil {
		return 0, err
	}
	if _, err := c.call("iov_iter_kvec", c.sym.iovIterKvec, iter, iterDest, kvec, 1, chunk); err != nil {
		return 0, err
	}
	x0, err := c.call("seq_read_iter", c.sym.seqRead, iocb, iter)
	if err != nil {
		return 0, err
	}
	n := int64(x0)
	switch {
	case n < 0:
		return 0, &StatusError{"seq_read_iter", int32(n)}
	case n > chunk:
		return 0, &CorruptError{"read", iocb, fmt.Sprintf("seq_read_iter returned %d for a buffer of %d", n, chunk)}
	}
	return int(n), nil
}
