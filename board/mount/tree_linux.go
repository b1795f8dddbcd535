package mount

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	iofs "io/fs"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"callops/board"
	"callops/kernel"
)

// poll is how often a read that waits looks for data.
const poll = 10 * time.Millisecond

// tree is the guest's folder. Its mutex is held while the guest executes.
type tree struct {
	mu     sync.Mutex
	m      *board.Machine
	open   map[string][]*handle  // by path
	known  map[string]board.Info // what lstat said by path, since something happened that could change it
	seed   maphash.Seed
	polled bool          // as in Options
	busy   time.Duration // in which the guest executed since it slept
	closed bool          // the machine is another's again
	done   chan struct{} // is closed with it
	dead   error         // what ended the guest
	died   chan error    // gets it

	last    sync.Mutex // held by what lets others go first
	asked   time.Time  // when something was asked of the guest
	askedBy uint32     // the process

	processes *processes // nil: all that is asked of the guest is the first process'
}

func newTree(m *board.Machine) *tree {
	t := &tree{m: m, open: make(map[string][]*handle), known: make(map[string]board.Info), seed: maphash.MakeSeed(), done: make(chan struct{}), died: make(chan error, 1)}
	go t.idle()
	return t
}

// Time passes in the guest as on the host, about: after each pause it sleeps for what it did not execute in it, and for shortest at least, so
// that its threads get their turn however much is asked of it.
const (
	pause    = 10 * time.Millisecond
	shortest = time.Millisecond
)

// idle has time pass in the guest.
func (t *tree) idle() {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-t.done:
			return
		case <-tick.C:
		}
		_ = t.do(context.Background(), func(ctx context.Context) error {
			if t.dead != nil {
				return nil
			}
			if err := t.enterFirst(ctx); err != nil {
				return err
			}
			d := max(shortest, pause-t.busy)
			t.busy = 0
			return t.m.Sleep(ctx, d)
		})
	}
}

// close gives the machine back.
func (t *tree) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		close(t.done)
	}
}

// identity is a file's inode number on the host. The guest's do not tell files apart: those of other file systems there are the
// same, and so are all that eventfs has.
func (t *tree) identity(path string) uint64 {
	const reserved = 1 << 63 // the inode numbers that go-fuse has for itself are above
	return maphash.String(t.seed, path)&(reserved-1) | 2
}

// node is a file or folder of the guest.
type node struct {
	fs.Inode
	t    *tree
	path string // in the guest
}

// handle is a file that is open in the guest.
type handle struct {
	n     *node
	flags int
	file  *board.File // nil: closed by a flush
	at    int64       // its position
	used  bool        // it has been read or written

	nonblock bool // it was opened so. Go's runtime sets O_NONBLOCK later, of which nothing is to be seen where it can't poll
}

var (
	_ fs.NodeLookuper  = (*node)(nil)
	_ fs.NodeReaddirer = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeMkdirer   = (*node)(nil)
	_ fs.NodeRmdirer   = (*node)(nil)
	_ fs.FileReader    = (*handle)(nil)
	_ fs.FileLseeker   = (*handle)(nil)
	_ fs.FileWriter    = (*handle)(nil)
	_ fs.FileFlusher   = (*handle)(nil)
	_ fs.FileReleaser  = (*handle)(nil)
)

// status is the guest's errno, which is the host's: both are Linux.
func status(err error) syscall.Errno {
	var call *board.SyscallError
	var own syscall.Errno
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return 0
	case errors.As(err, &call):
		return syscall.Errno(call.Number)
	case !ended(err) && errors.As(err, &own):
		return own
	}
	return syscall.EIO
}

// ended reports whether an error is that the guest can't go on.
func ended(err error) bool {
	var run *kernel.RunError
	return errors.As(err, &run)
}

// do has the guest execute. What it does is not interrupted: that would end it halfway.
func (t *tree) do(request context.Context, f func(ctx context.Context) error) syscall.Errno {
	return t.look(request, func(ctx context.Context) error {
		defer clear(t.known)
		return f(ctx)
	})
}

// look is do of what changes no file's attributes and no folder.
func (t *tree) look(request context.Context, f func(ctx context.Context) error) syscall.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return syscall.ENODEV
	}
	begin := time.Now()
	err := t.enter(request)
	if err == nil {
		err = f(context.Background())
	}
	t.busy += time.Since(begin)
	if caller, ok := fuse.FromContext(request); ok && caller.Pid != 0 {
		t.asked, t.askedBy = time.Now(), caller.Pid
	}
	if t.dead == nil && ended(err) {
		t.dead = err
		t.died <- err
	}
	return status(err)
}

// Making and removing an instance takes the guest milliseconds. What lists thousands of files would wait for one or more of them at each, so
// they let it go first: as long as others ask without a pause, and for patience at most.
const (
	gap      = 2 * time.Millisecond
	patience = 100 * time.Millisecond
)

// doLast is do after what others ask.
func (t *tree) doLast(request context.Context, f func(ctx context.Context) error) syscall.Errno {
	t.last.Lock()
	defer t.last.Unlock()
	for begin := time.Now(); t.othersAsk(request) && time.Since(begin) < patience; {
		time.Sleep(gap / 4)
	}
	return t.do(request, f)
}

// othersAsk reports whether another process has just asked for something.
func (t *tree) othersAsk(request context.Context) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	caller, ok := fuse.FromContext(request)
	return ok && caller.Pid != t.askedBy && time.Since(t.asked) < gap
}

// lstat is called by what looks. Tools open thousands of files by path, whose folders are looked up each time.
func (t *tree) lstat(ctx context.Context, name string) (board.Info, error) {
	if info, ok := t.known[name]; ok {
		return info, nil
	}
	info, err := t.m.Lstat(ctx, name)
	if err == nil {
		t.known[name] = info
	}
	return info, err
}

// do has the guest execute what is done with the file.
func (h *handle) do(request context.Context, f func(ctx context.Context) error) syscall.Errno {
	if h.flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		return h.n.t.look(request, f)
	}
	return h.n.t.do(request, f)
}

// enter has the guest execute as the process that asks.
func (t *tree) enter(request context.Context) error {
	if t.processes == nil {
		return nil
	}
	pid := 0
	if caller, ok := fuse.FromContext(request); ok {
		pid = int(caller.Pid)
	}
	return t.processes.enter(context.Background(), pid)
}

// enterFirst has the guest execute as its first process.
func (t *tree) enterFirst(ctx context.Context) error {
	if t.processes == nil {
		return nil
	}
	return t.processes.first.Enter(ctx)
}

func (n *node) child(ctx context.Context, name string, info board.Info, out *fuse.EntryOut) *fs.Inode {
	full := path.Join(n.path, name)
	fill(full, info, &out.Attr)
	return n.NewInode(ctx, &node{t: n.t, path: full}, fs.StableAttr{Mode: info.Mode & syscall.S_IFMT, Ino: n.t.identity(full)})
}

// endless is the size of what is read by splice: that moves nothing from behind a file's end.
const endless = 1 << 62

func fill(name string, info board.Info, out *fuse.Attr) {
	out.Mode, out.Nlink, out.Size = info.Mode, info.Links, uint64(info.Size)
	out.Uid, out.Gid = info.UID, info.GID
	if base := path.Base(name); base == "trace_pipe_raw" || base == "snapshot_raw" {
		out.Size = endless
	}
}

func (n *node) stat(ctx context.Context, name string) (info board.Info, errno syscall.Errno) {
	errno = n.t.look(ctx, func(ctx context.Context) (err error) {
		info, err = n.t.lstat(ctx, name)
		return err
	})
	return info, errno
}

// Lookup implements [fs.NodeLookuper].
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	info, errno := n.stat(ctx, path.Join(n.path, name))
	if errno != 0 {
		return nil, errno
	}
	return n.child(ctx, name, info, out), 0
}

// Getattr implements [fs.NodeGetattrer].
func (n *node) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	info, errno := n.stat(ctx, n.path)
	fill(n.path, info, &out.Attr)
	return errno
}

// Readdir implements [fs.NodeReaddirer].
func (n *node) Readdir(ctx context.Context) (fs.DirStream, syscall.Errno) {
	var list []fuse.DirEntry
	errno := n.t.look(ctx, func(ctx context.Context) error {
		names, err := n.t.m.ReadDir(ctx, n.path)
		for _, name := range names {
			info, err := n.t.lstat(ctx, path.Join(n.path, name))
			if err == nil {
				list = append(list, fuse.DirEntry{Name: name, Mode: info.Mode & syscall.S_IFMT, Ino: n.t.identity(path.Join(n.path, name))})
			}
		}
		return err
	})
	return fs.NewListDirStream(list), errno
}

// Mkdir implements [fs.NodeMkdirer].
func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	full := path.Join(n.path, name)
	var info board.Info
	errno := n.t.doLast(ctx, func(ctx context.Context) (err error) {
		if err = n.t.m.Mkdir(ctx, full, iofs.FileMode(mode&0o777)); err == nil {
			info, err = n.t.m.Lstat(ctx, full)
		}
		return err
	})
	if errno != 0 {
		return nil, errno
	}
	return n.child(ctx, name, info, out), 0
}

// Rmdir implements [fs.NodeRmdirer].
func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.t.doLast(ctx, func(ctx context.Context) error { return n.t.m.Remove(ctx, path.Join(n.path, name)) })
}

// Open implements [fs.NodeOpener]. The guest's file never waits: handles do.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h := &handle{n: n, flags: int(flags) & (syscall.O_ACCMODE | syscall.O_APPEND | syscall.O_TRUNC), nonblock: flags&syscall.O_NONBLOCK != 0}
	begin := n.t.look
	if h.flags&syscall.O_TRUNC != 0 {
		begin = n.t.do
	}
	errno := begin(ctx, func(ctx context.Context) error { return h.open(ctx, 0) })
	if errno != 0 {
		return nil, 0, errno
	}
	n.t.mu.Lock()
	defer n.t.mu.Unlock()
	n.t.open[n.path] = append(n.t.open[n.path], h)
	return h, fuse.FOPEN_DIRECT_IO, 0
}

// begin is called before a handle is read or written. One that was flushed goes on where it ended.
func (h *handle) begin(ctx context.Context) error {
	h.used = true
	if h.file != nil {
		return nil
	}
	h.flags = h.flags&^syscall.O_TRUNC | syscall.O_APPEND
	return h.open(ctx, 0)
}

// Flush implements [fs.FileFlusher]: it is called before close returns, and the guest does at its own close what was written. The host
// does not wait for Release.
func (h *handle) Flush(ctx context.Context) syscall.Errno {
	return h.do(ctx, func(context.Context) error {
		if !h.used || h.flags&syscall.O_ACCMODE == syscall.O_RDONLY {
			return nil
		}
		return h.close()
	})
}

func (h *handle) close() error {
	if h.file == nil {
		return nil
	}
	f := h.file
	h.file = nil
	return f.Close()
}

func (h *handle) open(ctx context.Context, flags int) (err error) {
	h.file, err = h.n.t.m.OpenFile(ctx, h.n.path, h.flags|flags|board.NonBlock, 0)
	return err
}

// Setattr implements [fs.NodeSetattrer]. The host opens a file with O_TRUNC in two steps: the second is to set its size to
// 0. The guest has to see one, so what was opened in the first is opened again.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if errno := n.setOwner(ctx, in); errno != 0 {
		return errno
	}
	if size, ok := in.GetSize(); ok && size == 0 {
		errno := n.t.do(ctx, func(ctx context.Context) error {
			for _, h := range n.t.open[n.path] {
				if h.used || h.flags&syscall.O_ACCMODE == syscall.O_RDONLY {
					continue
				}
				if err := h.close(); err != nil {
					return err
				}
				if err := h.open(ctx, syscall.O_TRUNC); err != nil {
					return err
				}
			}
			return nil
		})
		if errno != 0 {
			return errno
		}
	}
	return n.Getattr(ctx, f, out)
}

// setOwner sets the owner, the group and the permissions that in has.
func (n *node) setOwner(ctx context.Context, in *fuse.SetAttrIn) syscall.Errno {
	uid, gid := -1, -1
	if v, ok := in.GetUID(); ok {
		uid = int(v)
	}
	if v, ok := in.GetGID(); ok {
		gid = int(v)
	}
	if uid >= 0 || gid >= 0 {
		if errno := n.t.do(ctx, func(ctx context.Context) error { return n.t.m.Lchown(ctx, n.path, uid, gid) }); errno != 0 {
			return errno
		}
	}
	if mode, ok := in.GetMode(); ok {
		return n.t.do(ctx, func(ctx context.Context) error { return n.t.m.Chmod(ctx, n.path, mode) })
	}
	return 0
}

// Read implements [fs.FileReader].
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	cancel := ctx.Done()
	for {
		n := 0
		errno := h.do(ctx, func(ctx context.Context) (err error) {
			if err := h.begin(ctx); err != nil {
				return err
			}
			if cancel == splice {
				n, err = h.file.ReadSplice(dest)
				return err
			}
			if off != h.at {
				if _, err := h.file.Seek(off, io.SeekStart); err != nil {
					return err
				}
				h.at = off
			}
			n, err = h.file.Read(dest)
			h.at += int64(n)
			return err
		})
		if errno != syscall.EAGAIN || cancel == nonblock || cancel == splice || h.nonblock && !h.n.t.polled {
			return fuse.ReadResultData(dest[:n]), errno
		}
		select {
		case <-cancel:
			return nil, syscall.EINTR
		case <-h.n.t.done:
			return nil, syscall.ENODEV
		case <-time.After(poll):
		}
	}
}

// Write implements [fs.FileWriter].
func (h *handle) Write(ctx context.Context, data []byte, _ int64) (written uint32, errno syscall.Errno) {
	errno = h.do(ctx, func(ctx context.Context) error {
		if err := h.begin(ctx); err != nil {
			return err
		}
		n, err := h.file.Write(data)
		if written = uint32(n); n > 0 {
			return nil // the next write is told the error
		}
		return err
	})
	return written, errno
}

// Release implements [fs.FileReleaser].
func (h *handle) Release(ctx context.Context) syscall.Errno {
	return h.do(ctx, func(context.Context) error {
		open := h.n.t.open
		open[h.n.path] = slices.DeleteFunc(open[h.n.path], func(o *handle) bool { return o == h })
		if len(open[h.n.path]) == 0 {
			delete(open, h.n.path)
		}
		return h.close()
	})
}
