package mount

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"callops/board"
)

// processes has each process of the host below this one as a task of the guest, with the same number: it forks, executes a program, does what it
// asks of the guest's files, and exits in the guest as on the host. What else it does, and its threads, are not seen there.
//
// The host's kernel tells of processes by the proc connector (drivers/connector/cn_proc.c): of a fork before the child runs, so what is
// in the socket when a request comes is all that led to it.
type processes struct {
	fd    int
	first *board.Task
	tasks map[int]*board.Task // by the host's number
	batch []byte
}

// The connector's messages (include/uapi/linux/connector.h, cn_proc.h).
const (
	netlinkConnector = 11
	connectorProc    = 1 // CN_IDX_PROC, CN_VAL_PROC
	listen           = 1 // PROC_CN_MCAST_LISTEN

	headerSize  = 16 + 20 // struct nlmsghdr, struct cn_msg
	eventHeader = 16      // struct proc_event up to its data

	eventFork = 0x00000001
	eventExec = 0x00000002
	eventExit = 0x80000000

	socketBuffer = 4 << 20
)

// newProcesses listens, with this process as the guest's first.
func newProcesses(ctx context.Context, m *board.Machine) (p *processes, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("processes as tasks: %w", err)
		}
	}()
	first, err := m.FirstTask(ctx)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, netlinkConnector)
	if err != nil {
		return nil, err
	}
	p = &processes{fd: fd, first: first, tasks: map[int]*board.Task{os.Getpid(): first}, batch: make([]byte, 64<<10)}
	le := binary.LittleEndian
	msg := le.AppendUint32(nil, headerSize+4)
	msg = le.AppendUint16(msg, syscall.NLMSG_DONE)
	msg = append(msg, make([]byte, 10)...)
	msg = le.AppendUint32(msg, connectorProc)
	msg = le.AppendUint32(msg, connectorProc)
	msg = append(msg, make([]byte, 8)...)
	msg = le.AppendUint16(msg, 4)
	msg = le.AppendUint16(msg, 0)
	msg = le.AppendUint32(msg, listen)
	for _, err := range []error{
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, socketBuffer),
		syscall.Bind(fd, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK, Groups: connectorProc}),
		syscall.Sendto(fd, msg, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}),
	} {
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	return p, nil
}

func (p *processes) close() error { return syscall.Close(p.fd) }

// enter has the guest do what a process of the host asks, after what has happened on the host so far. One that is none of ours is the first,
// and what none asks for (pid 0), such as the release of a file, any does.
func (p *processes) enter(ctx context.Context, pid int) error {
	if err := p.follow(ctx); err != nil || pid == 0 {
		return err
	}
	t, ok := p.tasks[pid]
	if !ok {
		t, ok = p.tasks[threadGroup(pid)]
	}
	if !ok {
		t = p.first
	}
	return t.Enter(ctx)
}

// follow has happen in the guest what did on the host.
func (p *processes) follow(ctx context.Context) error {
	for {
		n, _, err := syscall.Recvfrom(p.fd, p.batch, 0)
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return nil
		case errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ENOBUFS): // some are lost
			continue
		case err != nil:
			return fmt.Errorf("processes as tasks: %w", err)
		}
		if err := p.event(ctx, p.batch[:n]); err != nil {
			return err
		}
	}
}

// event is one message.
func (p *processes) event(ctx context.Context, msg []byte) error {
	const data = headerSize + eventHeader
	if len(msg) < data+16 {
		return nil
	}
	le := binary.LittleEndian
	word := func(i int) int { return int(int32(le.Uint32(msg[data+4*i:]))) }
	switch le.Uint32(msg[headerSize:]) {
	case eventFork:
		parent, ok := p.tasks[word(1)]
		if pid := word(3); ok && word(2) == pid { // and not a thread
			t, err := parent.Fork(ctx, pid)
			if err != nil {
				return err
			}
			p.tasks[pid] = t
		}
	case eventExec:
		if t, ok := p.tasks[word(1)]; ok && t != p.first {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", word(1)))
			if err != nil {
				return nil //nolint:nilerr // it has exited
			}
			return t.SetName(ctx, strings.TrimSuffix(string(name), "\n"))
		}
	case eventExit:
		pid := word(1)
		if t, ok := p.tasks[pid]; ok && word(0) == pid && t != p.first {
			delete(p.tasks, pid)
			return t.Exit(ctx, word(2))
		}
	}
	return nil
}

// threadGroup is the process of a thread; 0 where there is none.
func threadGroup(tid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "Tgid:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(v)) // 0 where it is no number
			return n
		}
	}
	return 0
}
