package gdb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"callops/internal/errno"
)

// DefaultListen is where a stub waits for a debugger unless told otherwise.
const DefaultListen = "localhost:1234"

// Listen listens at an address of this host. Whoever reaches it can read and change all that the guest has, and load
// it with work, so an address that other hosts reach is refused with EPERM unless it is wanted.
func Listen(ctx context.Context, addr string, others bool) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("gdb: listen on %q: %w", addr, err)
	}
	if ip := net.ParseIP(host); !others && host != "localhost" && !(ip != nil && ip.IsLoopback()) {
		return nil, fmt.Errorf("gdb: listen on %q: other hosts reach it: %w", addr, errno.EPERM)
	}
	return (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
}

// Serve serves debuggers that connect, one at a time, until the stub is closed or the listener is; it closes the listener.
// A debugger that goes away leaves the guest as it is: stopped, it waits for the next one, and running,
// it runs on without breakpoints.
func (s *Stub) Serve(l net.Listener) error {
	var clients sync.WaitGroup
	defer clients.Wait()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-s.ends:
		case <-done:
		}
		_ = l.Close() // ends Accept
	}()
	busy := make(chan struct{}, 1)
	for {
		conn, err := l.Accept()
		if err != nil {
			select {
			case <-s.ends:
				return nil
			default:
				return fmt.Errorf("gdb: %w", err)
			}
		}
		select {
		case busy <- struct{}{}:
		default:
			s.log(fmt.Sprintf("gdb: %s refused: another debugger is connected", conn.RemoteAddr()))
			_ = conn.Close()
			continue
		}
		clients.Go(func() {
			defer func() { <-busy }()
			s.serve(conn)
		})
	}
}

// serve talks to one debugger until it goes away.
func (s *Stub) serve(conn net.Conn) {
	s.log(fmt.Sprintf("gdb: %s connected", conn.RemoteAddr()))
	err := s.Talk(conn)
	if err == nil || errors.Is(err, io.EOF) {
		s.log(fmt.Sprintf("gdb: %s disconnected", conn.RemoteAddr()))
		return
	}
	s.log(fmt.Sprintf("gdb: %s disconnected: %v", conn.RemoteAddr(), err))
}

// Talk is Serve for one debugger that is connected already. It closes the connection.
func (s *Stub) Talk(conn io.ReadWriteCloser) error {
	c := &client{stub: s, conn: conn, in: make(chan message), gone: make(chan struct{}), acks: true, current: 1}
	var reader sync.WaitGroup
	var read error
	reader.Go(func() {
		defer close(c.in)
		read = c.receive()
	})
	done := make(chan struct{})
	go func() {
		select {
		case <-s.ends:
			hurry(conn)
		case <-done:
		}
	}()
	s.attach()
	err := c.loop()
	close(done)
	close(c.gone)
	err = errors.Join(err, conn.Close())
	reader.Wait()
	c.leave()
	if errors.Is(read, net.ErrClosed) || errors.Is(read, io.EOF) || errors.Is(read, io.ErrClosedPipe) {
		return err // it has been closed here, or there
	}
	return errors.Join(err, read)
}

// lastWords is how long a debugger may take to read what it is told when the guest has ended.
const lastWords = time.Second

// hurry ends writes to a debugger that does not read.
func hurry(conn any) {
	if w, ok := conn.(interface{ SetWriteDeadline(t time.Time) error }); ok {
		_ = w.SetWriteDeadline(time.Now().Add(lastWords)) // one that is closed needs none
	}
}

// client is one debugger that is connected, and the conversation with it.
type client struct {
	stub *Stub
	conn io.ReadWriteCloser
	in   chan message  // what has been received; closed where the debugger has gone away
	gone chan struct{} // closed when nothing is read from in any more

	acks    bool              // packets are acknowledged
	last    []byte            // the packet sent last
	waits   bool              // for a stop reply
	done    bool              // detached, or killed
	current int               // the thread that g, m and so on are about
	resumes int               // the thread that c and s are about; 0: all
	threads []int             // that qsThreadInfo has still to tell of
	open    bool              // the file of symbols
	xfers   map[string]string // of qXfer: objects being read
}

// receive passes on what the debugger sends.
func (c *client) receive() error {
	r := bufio.NewReader(c.conn)
	for {
		m, err := readMessage(r)
		switch {
		case errors.Is(err, errChecksum):
			m = message{single: bad}
		case err != nil:
			return err
		}
		select {
		case c.in <- m:
		case <-c.gone:
			return nil
		}
	}
}

// loop answers the debugger.
func (c *client) loop() error {
	s := c.stub
	for !c.done {
		select {
		case m, ok := <-c.in:
			if !ok {
				return nil
			}
			if err := c.handle(m); err != nil {
				return err
			}
		case <-s.halts:
			if !c.waits {
				break
			}
			if err := c.tellStop(); err != nil {
				return err
			}
		case <-s.ends:
			if !c.waits {
				return nil
			}
			c.waits = false
			return c.send("W00")
		}
	}
	return nil
}

// handle answers one message.
func (c *client) handle(m message) error {
	switch m.single {
	case ack:
		return nil
	case nak:
		_, err := c.conn.Write(c.last)
		return err
	case bad:
		return c.acknowledge(nak)
	case interrupt:
		if c.waits {
			c.stub.interrupt()
		}
		return nil
	}
	if err := c.acknowledge(ack); err != nil {
		return err
	}
	reply, err := c.command(m.data)
	if errors.Is(err, errNoReply) {
		return nil
	}
	if err != nil {
		reply = errorReply(err)
	}
	return c.send(reply)
}

func (c *client) acknowledge(b byte) error {
	if !c.acks {
		return nil
	}
	_, err := c.conn.Write([]byte{b})
	return err
}

func (c *client) send(data string) error {
	c.last = frame(data)
	_, err := c.conn.Write(c.last)
	return err
}

// tellStop tells the debugger why the guest stopped.
func (c *client) tellStop() error {
	t, why := c.stub.settle()
	if why == nil {
		return nil
	}
	c.waits, c.current = false, t.id
	return c.send(stopReply(t, why))
}

func stopReply(t *thread, why *stop) string {
	return fmt.Sprintf("T%02xthread:%x;%s", why.signal, t.id, why.reason)
}

// leave lets go of the guest.
func (c *client) leave() {
	if c.waits || c.done {
		c.stub.release()
	}
}
