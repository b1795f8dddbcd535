package mount

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// raw tells handles what go-fuse's package fs does not pass on.
type raw struct {
	fuse.RawFileSystem
	polled bool // files can be waited for by poll
}

// Reads that do not wait have one of these in the place of what cancels them.
var (
	nonblock = make(chan struct{}) // the file is O_NONBLOCK, at its open or since
	splice   = make(chan struct{}) // it is for the host's page cache, and can't be interrupted
)

// readLockOwner is FUSE_READ_LOCKOWNER: reads that go past the page cache have it. As files are opened with FOPEN_DIRECT_IO, others are splice's (or
// of a private mapping).
const readLockOwner = 1 << 1

// Read implements [fuse.RawFileSystem].
func (r raw) Read(cancel <-chan struct{}, in *fuse.ReadIn, b []byte) (fuse.ReadResult, fuse.Status) {
	switch {
	case in.ReadFlags&readLockOwner == 0:
		cancel = splice
	case r.polled && in.Flags&syscall.O_NONBLOCK != 0:
		cancel = nonblock
	}
	return r.RawFileSystem.Read(cancel, in, b)
}

// whencePoll is what Lseek is called with for a poll, which has no method. The kernel lets none such pass.
const whencePoll = 0x706f6c6c

// poll returns which events can be had of an open file.
func (r raw) poll(node, fh uint64, events uint16) (uint16, syscall.Errno) {
	in := &fuse.LseekIn{Fh: fh, Offset: uint64(events), Whence: whencePoll}
	in.NodeId = node
	var out fuse.LseekOut
	s := r.RawFileSystem.Lseek(nil, in, &out)
	return uint16(out.Offset), syscall.Errno(s)
}

// Lseek implements [fs.FileLseeker]: SEEK_DATA, SEEK_HOLE, and whencePoll.
func (h *handle) Lseek(ctx context.Context, off uint64, whence uint32) (result uint64, errno syscall.Errno) {
	if whence != whencePoll {
		return 0, syscall.EINVAL
	}
	errno = h.n.t.look(ctx, func(ctx context.Context) error {
		if h.file == nil { // a flush has closed it
			result = off
			return nil
		}
		ready, err := h.file.Poll(uint16(off))
		result = uint64(ready)
		return err
	})
	return result, errno
}
