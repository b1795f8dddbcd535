package mount

import (
	"fmt"
	"io"
	"log"
	"os"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"callops/board"
)

// Server is a mounted folder.
type Server struct {
	fuse *fuse.Server
	t    *tree
	dir  string
}

// Mount shows the guest's folder at dir. The machine belongs to the server until it is unmounted. It needs /dev/fuse and root.
func Mount(m *board.Machine, guest, dir string) (*Server, error) {
	s, err := newTree(m).mount(guest, dir)
	if err != nil {
		return nil, fmt.Errorf("mount on %s: %w", dir, err)
	}
	return s, nil
}

// maxRead is how much one read asks for, in bytes.
const maxRead = 128 << 10

// mount shows the guest's folder at dir, in the mount namespace of the thread. Programs that are started do not get the
// connection: it ends with this process.
func (t *tree) mount(guest, dir string) (*Server, error) {
	fd, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/dev/fuse", Err: err}
	}
	opts := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d", fd, syscall.S_IFDIR, os.Geteuid(), os.Getegid(), maxRead)
	if err := syscall.Mount("callops", dir, "fuse.tracefs", syscall.MS_NOSUID|syscall.MS_NODEV, opts); err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	none := time.Duration(0)
	raw := fs.NewNodeFS(&node{t: t, path: guest}, &fs.Options{EntryTimeout: &none, AttrTimeout: &none})
	s, err := fuse.NewServer(raw, fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{MaxWrite: maxRead, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		_ = syscall.Unmount(dir, syscall.MNT_DETACH)
		return nil, err
	}
	go func() {
		s.Serve()
		t.close()
	}()
	return &Server{s, t, dir}, nil
}

// Died gets the error that ends the guest, such as a panic. Its files fail with EIO from then on.
func (s *Server) Died() <-chan error { return s.t.died }

// Wait returns once the folder is unmounted.
func (s *Server) Wait() { s.fuse.Wait() }

// Unmount ends the mount. What is still open in it fails with ENODEV from then on, and the machine is the caller's again.
func (s *Server) Unmount() error {
	err := syscall.Unmount(s.dir, syscall.MNT_DETACH)
	s.t.close()
	return err
}
