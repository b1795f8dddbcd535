package board

import (
	"encoding/binary"
	"fmt"

	"callops/internal/errno"
)

// Poll returns which of the events can be had of the file now, and errors: bits as poll's (include/uapi/asm-generic/poll.h).
func (f *File) Poll(events uint16) (uint16, error) {
	const pollfd, timeout = 0, 8 // where struct pollfd and struct __kernel_timespec lie in the window
	w := f.m.window()
	if w == nil || f.done {
		return 0, f.error("poll", errClosed)
	}
	clear(w[:timeout+16])
	binary.LittleEndian.PutUint32(w[pollfd:], uint32(f.fd))
	binary.LittleEndian.PutUint16(w[pollfd+4:], events)
	if _, err := f.m.syscall(f.ctx, "ppoll", windowBase+pollfd, 1, windowBase+timeout, 0, 0); err != nil {
		return 0, f.error("poll", err)
	}
	return binary.LittleEndian.Uint16(w[pollfd+6:]), nil
}

// ReadSplice reads what splice moves to a pipe: whole sub-buffers alone of trace_pipe_raw. It does not wait: EAGAIN where nothing can be moved.
func (f *File) ReadSplice(p []byte) (n int, err error) {
	const fNonblock = 2 // SPLICE_F_NONBLOCK (include/linux/splice.h)
	if f.m.window() == nil || f.done {
		return 0, f.error("splice", errClosed)
	}
	if _, err := f.m.syscall(f.ctx, "pipe2", windowBase, 0); err != nil {
		return 0, f.error("splice", err)
	}
	r := &File{m: f.m, ctx: f.ctx, name: f.name, fd: uint64(binary.LittleEndian.Uint32(f.m.window()))}
	w := &File{m: f.m, ctx: f.ctx, name: f.name, fd: uint64(binary.LittleEndian.Uint32(f.m.window()[4:]))}
	defer func() {
		for _, end := range []*File{r, w} {
			if e := end.Close(); err == nil {
				err = e
			}
		}
	}()
	moved, err := f.syscall("splice", 0, w.fd, 0, uint64(len(p)), fNonblock)
	if err != nil {
		return 0, f.error("splice", err)
	}
	if moved > uint64(len(p)) {
		return 0, f.error("splice", fmt.Errorf("%d bytes of %d: %w", moved, len(p), errno.EINVAL))
	}
	for n < int(moved) {
		part, err := r.Read(p[n:moved])
		if n += part; err != nil {
			return n, err
		}
	}
	return n, nil
}
