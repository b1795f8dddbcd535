package mount

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// Messages of /dev/fuse (include/uapi/linux/fuse.h).
const (
	opRelease   = 18
	opInterrupt = 36
	opPoll      = 40

	inHeader    = 40 // struct fuse_in_header
	outHeader   = 16 // struct fuse_out_header
	interruptIn = 8
	writeHeader = inHeader + 40 // and struct fuse_write_in
	pollIn      = 24            // struct fuse_poll_in: file handle, kernel's handle, flags, events

	scheduleNotify = 1 // FUSE_POLL_SCHEDULE_NOTIFY
	notifyPoll     = 1 // FUSE_NOTIFY_POLL

	errEvents = 0x8 | 0x10 | 0x20 // POLLERR, POLLHUP, POLLNVAL: of all files, asked for or not
)

// conn carries FUSE's messages between the kernel and go-fuse, which has no POLL: conn answers it. Its end does not depend on unmounting:
// open files may keep a file system.
type conn struct {
	dev    *os.File                                                     // /dev/fuse
	server *os.File                                                     // go-fuse
	fd     int                                                          // go-fuse's end
	poll   func(node, fh uint64, events uint16) (uint16, syscall.Errno) // nil: go-fuse says that there is none

	mu      sync.Mutex // held while a file that is waited for is polled
	waiting map[uint64]waiter
	once    sync.Once
	ended   chan struct{}
	gone    chan struct{} // go-fuse has closed its end
}

// waiter is a file of which the kernel wants to be told that an event can be had.
type waiter struct {
	node, fh uint64
	events   uint16
}

// newConn makes a connection of an open /dev/fuse that was mounted: before, it can't be waited for. The end that is fd belongs to go-fuse.
func newConn(dev int) (*conn, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	if err := syscall.SetNonblock(pair[0], true); err != nil {
		return nil, errors.Join(err, syscall.Close(pair[0]), syscall.Close(pair[1]))
	}
	return &conn{
		dev: os.NewFile(uintptr(dev), "/dev/fuse"), server: os.NewFile(uintptr(pair[0]), "go-fuse"), fd: pair[1],
		waiting: make(map[uint64]waiter), ended: make(chan struct{}), gone: make(chan struct{}),
	}, nil
}

func (c *conn) start() {
	go c.requests()
	go c.replies()
	go c.notify()
}

// requests carries what the kernel asks, until the file system is unmounted or c is closed.
func (c *conn) requests() {
	// The kernel fills it with what it has to forget, and go-fuse cuts what is more than its own.
	b := make([]byte, maxRead+writeHeader)
	for {
		n, err := c.dev.Read(b)
		switch {
		case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EINTR): // the request was interrupted
			continue
		case err != nil || n < inHeader:
			c.close()
			return
		}
		switch op := binary.LittleEndian.Uint32(b[4:]); {
		case op == opPoll && c.poll != nil && n >= inHeader+pollIn:
			go c.answer([inHeader + pollIn]byte(b[:]))
			continue
		case op == opRelease && n >= inHeader+8:
			c.forget(binary.LittleEndian.Uint64(b[inHeader:]))
		}
		if _, err := c.server.Write(b[:n]); err != nil {
			c.close()
			return
		}
	}
}

// replies carries what go-fuse answers, until it has closed its end.
func (c *conn) replies() {
	b := make([]byte, maxRead+4096)
	for {
		n, err := c.server.Read(b)
		if err != nil {
			close(c.gone)
			_ = c.server.Close()
			c.close()
			return
		}
		// ENOENT of a request that was interrupted, and what fails as the file system ends.
		_, _ = c.dev.Write(b[:n])
	}
}

// close ends the connection: the kernel fails what is open and asked for with ENOTCONN.
func (c *conn) close() {
	c.once.Do(func() {
		close(c.ended)
		_ = c.dev.Close()
		_ = syscall.SetNonblock(c.fd, true)
		go c.wake()
	})
}

// wake has each of go-fuse's readers look again: it ends where there is nothing to read, and it need not wait.
func (c *conn) wake() {
	msg := make([]byte, inHeader+interruptIn)
	binary.LittleEndian.PutUint32(msg, uint32(len(msg)))
	binary.LittleEndian.PutUint32(msg[4:], opInterrupt) // of no request
	for {
		if _, err := c.server.Write(msg); err != nil {
			return
		}
		select {
		case <-c.gone:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// answer answers POLL.
func (c *conn) answer(msg [inHeader + pollIn]byte) {
	le, in := binary.LittleEndian, msg[inHeader:]
	w := waiter{node: le.Uint64(msg[16:]), fh: le.Uint64(in), events: uint16(le.Uint32(in[20:]))}
	if le.Uint32(in[16:])&scheduleNotify != 0 {
		c.mu.Lock()
		c.waiting[le.Uint64(in[8:])] = w
		c.mu.Unlock()
	}
	ready, errno := c.poll(w.node, w.fh, w.events)
	out := make([]byte, outHeader, outHeader+8)
	if errno == 0 {
		out = le.AppendUint32(out, uint32(ready))
		out = le.AppendUint32(out, 0)
	}
	le.PutUint32(out, uint32(len(out)))
	le.PutUint32(out[4:], uint32(-int32(errno)))
	copy(out[8:], msg[8:16])
	_, _ = c.dev.Write(out)
}

// notify tells the kernel of files that it waits for.
func (c *conn) notify() {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-tick.C:
			c.mu.Lock()
			for kh, w := range c.waiting {
				if ready, errno := c.poll(w.node, w.fh, w.events); errno == 0 && ready&(w.events|errEvents) == 0 {
					continue
				}
				delete(c.waiting, kh)
				out := binary.LittleEndian.AppendUint32(nil, outHeader+8)
				out = binary.LittleEndian.AppendUint32(out, notifyPoll)
				out = binary.LittleEndian.AppendUint64(out, 0)
				out = binary.LittleEndian.AppendUint64(out, kh)
				_, _ = c.dev.Write(out)
			}
			c.mu.Unlock()
		}
	}
}

// forget stops waiting for a file, before it is closed.
func (c *conn) forget(fh uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for kh, w := range c.waiting {
		if w.fh == fh {
			delete(c.waiting, kh)
		}
	}
}
