package mount

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"callops/board"
)

// nameTimeout is how long the host takes it that a name it has found is still there. Its attributes and its open are the guest's in any
// case, and say ENOENT for one that has gone meanwhile.
const nameTimeout = time.Minute

// Server is a mounted folder.
type Server struct {
	fuse *fuse.Server
	conn *conn
	t    *tree
	dir  string
}

// Mount shows the guest's folder at dir. The machine belongs to the server until it is unmounted. It needs /dev/fuse and root.
func Mount(m *board.Machine, guest, dir string, opts *Options) (*Server, error) {
	if opts == nil {
		opts = &Options{}
	}
	t := newTree(m)
	s, err := t.mount("fuse.tracefs", guest, dir, opts)
	if err != nil {
		t.close()
		return nil, fmt.Errorf("mount on %s: %w", dir, err)
	}
	return s, nil
}

// maxRead is how much one read asks for and one write has at most, in bytes: with a header, a message of a socket.
const maxRead = 64 << 10

// mount shows the guest's folder at dir as a file system of a type, in the mount namespace of the thread. Programs that are started do not get the connection: it
// ends with this process.
func (t *tree) mount(kind, guest, dir string, opts *Options) (*Server, error) {
	dev, err := syscall.Open("/dev/fuse", syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/dev/fuse", Err: err}
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d", dev, syscall.S_IFDIR, os.Geteuid(), os.Getegid(), maxRead)
	if err := syscall.Mount("callops", dir, kind, syscall.MS_NOSUID|syscall.MS_NODEV, data); err != nil {
		return nil, errors.Join(err, syscall.Close(dev))
	}
	c, err := newConn(dev)
	if err != nil {
		return nil, errors.Join(err, syscall.Close(dev), syscall.Unmount(dir, syscall.MNT_DETACH))
	}
	none, names := time.Duration(0), nameTimeout
	files := raw{fs.NewNodeFS(&node{t: t, path: guest}, &fs.Options{EntryTimeout: &names, AttrTimeout: &none}), opts.Poll}
	t.polled = opts.Poll
	if opts.Poll {
		c.poll = files.poll
	}
	c.start()
	server, err := fuse.NewServer(files, fmt.Sprintf("/dev/fd/%d", c.fd), &fuse.MountOptions{
		MaxWrite: maxRead, DisableSplice: true, Logger: log.New(io.Discard, "", 0),
		MaxReadAhead: 1, // none: what is not asked for is not read
	})
	if err != nil {
		c.close()
		return nil, errors.Join(err, syscall.Unmount(dir, syscall.MNT_DETACH))
	}
	go func() {
		server.Serve()
		t.close()
	}()
	if !opts.Poll {
		if err := noPoll(dir); err != nil {
			c.close()
			return nil, errors.Join(err, syscall.Unmount(dir, syscall.MNT_DETACH))
		}
	}
	return &Server{server, c, t, dir}, nil
}

// noPoll has the host's kernel learn that the file system has no POLL: go-fuse answers ENOSYS to the poll of a file of this name.
func noPoll(dir string) error {
	fd, err := syscall.Open(filepath.Join(dir, ".go-fuse-epoll-hack"), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	fds := syscall.FdSet{}
	fds.Bits[fd/wordBits] = 1 << (fd % wordBits)
	_, err = syscall.Select(fd+1, &fds, nil, nil, &syscall.Timeval{})
	return errors.Join(err, syscall.Close(fd))
}

const wordBits = strconv.IntSize // of an FdSet

// Died gets the error that ends the guest, such as a panic. Its files fail with EIO from then on.
func (s *Server) Died() <-chan error { return s.t.died }

// Wait returns once the folder is unmounted.
func (s *Server) Wait() { s.fuse.Wait() }

// Unmount ends the mount. What is still open in it fails from then on, and the machine is the caller's again.
func (s *Server) Unmount() error {
	err := syscall.Unmount(s.dir, syscall.MNT_DETACH)
	s.t.close()
	s.conn.close()
	s.fuse.Wait()
	return err
}
