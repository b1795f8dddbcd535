package gdb

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"callops/emu"
	"callops/internal/errno"
)

// errNoReply is a command that is answered later, or not at all.
var errNoReply = errors.New("gdb: no reply yet")

// textError is an error that the debugger shows.
type textError struct{ error }

func (e textError) Unwrap() error { return e.error }

func textErrorf(format string, args ...any) error { return textError{fmt.Errorf(format, args...)} }

// errorReply is E. and a text where the debugger shows that, or else E and an errno.
func errorReply(err error) string {
	var shown textError
	if errors.As(err, &shown) {
		return "E." + strings.Map(printable, shown.Error())
	}
	if errors.Is(err, errno.EFAULT) {
		return "E0e"
	}
	return "E16" // EINVAL; debuggers look at no more than that it is an error
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return ' '
	}
	return r
}

// commands are what a debugger may ask, by letter, or by the name of what begins with q, Q and v.
var commands map[string]func(c *client, args string) (string, error)

func init() {
	commands = map[string]func(c *client, args string) (string, error){
		"?": (*client).why,
		"!": func(*client, string) (string, error) { return "", nil },
		"g": (*client).readRegisters, "G": (*client).writeRegisters,
		"p": (*client).readRegister, "P": (*client).writeRegister,
		"m": (*client).readMemory, "M": (*client).writeHex, "X": (*client).writeBinary,
		"c": (*client).goOn, "C": (*client).goOnSignal,
		"s": (*client).stepOne, "S": (*client).stepSignal,
		"b": (*client).goBack,
		"Z": (*client).insert, "z": (*client).remove,
		"H": (*client).selectThread, "T": (*client).alive,
		"D": (*client).detach, "k": (*client).kill, "vKill": (*client).kill,

		"vCont?": func(*client, string) (string, error) { return "vCont;c;C;s;S", nil },
		"vCont":  (*client).resume,
		"vFile":  (*client).file,

		"qSupported":       (*client).supported,
		"QStartNoAckMode":  (*client).noAcks,
		"qAttached":        func(*client, string) (string, error) { return "1", nil },
		"qC":               func(c *client, _ string) (string, error) { return fmt.Sprintf("QC%x", c.current), nil },
		"qfThreadInfo":     (*client).firstThreads,
		"qsThreadInfo":     (*client).moreThreads,
		"qThreadExtraInfo": (*client).threadInfo,
		"qXfer":            (*client).transfer,
		"qRcmd":            (*client).monitor,
		"qSymbol":          func(*client, string) (string, error) { return "OK", nil },
	}
}

// command answers a packet. What is not known is answered by an empty packet, as the protocol asks.
func (c *client) command(data string) (string, error) {
	if data == "" {
		return "", nil
	}
	name, args := data[:1], data[1:]
	if strings.Contains("qQv", name) {
		n := strings.IndexAny(data, ":;,")
		if n < 0 {
			n = len(data)
		}
		name, args = data[:n], data[n:]
		if args != "" {
			args = args[1:]
		}
	}
	run, ok := commands[name]
	if !ok {
		return "", nil
	}
	if c.waits {
		return "", fmt.Errorf("%s: the guest runs: %w", name, errno.EBUSY)
	}
	return run(c, args)
}

func malformed(what string) error { return fmt.Errorf("malformed %s: %w", what, errno.EINVAL) }

// number reads a hexadecimal number of at most 64 bits.
func number(s string) (uint64, error) {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, malformed("number")
	}
	return v, nil
}

// pair reads two hexadecimal numbers with a comma between them.
func pair(s string) (a, b uint64, err error) {
	first, second, ok := strings.Cut(s, ",")
	if !ok {
		return 0, 0, malformed("pair of numbers")
	}
	if a, err = number(first); err == nil {
		b, err = number(second)
	}
	return a, b, err
}

func (c *client) supported(string) (string, error) {
	features := fmt.Sprintf("PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;qXfer:memory-map:read+;qXfer:threads:read+;"+
		"qXfer:exec-file:read+;swbreak+;hwbreak+;vContSupported+", packetSize)
	if c.stub.canReverse() {
		features += ";ReverseStep+;ReverseContinue+"
	}
	return features, nil
}

func (c *client) noAcks(string) (string, error) {
	c.acks = false
	return "OK", nil
}

// why waits until the guest stands still, which it does not before there is guest code to stop.
func (c *client) why(string) (string, error) {
	c.waits = true
	t, why := c.stub.standing()
	if why == nil {
		return "", errNoReply
	}
	c.waits, c.current = false, t.id
	return stopReply(t, why), nil
}

// monitor is the command of that name; its output is sent line by line as far as it doesn't fit into a packet.
func (c *client) monitor(args string) (string, error) {
	line, err := hex.DecodeString(args)
	if err != nil {
		return "", malformed("qRcmd")
	}
	var out strings.Builder
	c.stub.monitor(&out, string(line))
	text := out.String()
	for len(text) > 0 {
		n := min(len(text), packetSize/4)
		if err := c.send("O" + hex.EncodeToString([]byte(text[:n]))); err != nil {
			return "", err
		}
		text = text[n:]
	}
	return "OK", nil
}

func (c *client) readMemory(args string) (string, error) {
	addr, size, err := pair(args)
	if err != nil {
		return "", err
	}
	b := make([]byte, min(size, packetSize/2))
	n := c.stub.read(addr, b)
	if n == 0 && len(b) > 0 {
		return "", fmt.Errorf("read %#x: %w", addr, errno.EFAULT)
	}
	return hex.EncodeToString(b[:n]), nil
}

func (c *client) writeHex(args string) (string, error) {
	where, data, ok := strings.Cut(args, ":")
	b, err := hex.DecodeString(data)
	if !ok || err != nil {
		return "", malformed("M")
	}
	return c.write(where, b)
}

func (c *client) writeBinary(args string) (string, error) {
	where, data, ok := strings.Cut(args, ":")
	if !ok {
		return "", malformed("X")
	}
	return c.write(where, []byte(data))
}

func (c *client) write(where string, b []byte) (string, error) {
	addr, size, err := pair(where)
	if err != nil {
		return "", err
	}
	if size != uint64(len(b)) {
		return "", malformed("length")
	}
	if err := c.stub.write(addr, b); err != nil {
		return "", err
	}
	return "OK", nil
}

// pointsOf are the kinds of Z and z: breakpoints in software and hardware, and watchpoints.
var watchKinds = map[string]emu.Watchpoint{"2": {Store: true}, "3": {Load: true}, "4": {Load: true, Store: true}}

// maxWatched is how many bytes a watchpoint may be for, and maxPoints how many points there may be.
const (
	maxWatched = 1 << 16
	maxPoints  = 1 << 12
)

func (c *client) insert(args string) (string, error) { return c.point(args, true) }
func (c *client) remove(args string) (string, error) { return c.point(args, false) }

func (c *client) point(args string, insert bool) (string, error) {
	kind, where, _ := strings.Cut(args, ",")
	where, _, conditional := strings.Cut(where, ";")
	if conditional {
		return "", malformed("condition of a breakpoint")
	}
	addr, size, err := pair(where)
	if err != nil {
		return "", err
	}
	s := c.stub
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.setTraps()
	if insert && len(s.breakpoints)+len(s.watchpoints) >= maxPoints {
		return "", fmt.Errorf("more than %d breakpoints: %w", maxPoints, errno.ENOSPC)
	}
	if w, ok := watchKinds[kind]; ok {
		w.Addr, w.Size = addr, size
		if w.Size == 0 || w.Size > maxWatched || w.Addr+w.Size < w.Addr {
			return "", fmt.Errorf("watch %d bytes at %#x: %w", w.Size, w.Addr, errno.EINVAL)
		}
		s.watchpoints = slices.DeleteFunc(s.watchpoints, func(have emu.Watchpoint) bool { return have == w })
		if insert {
			s.watchpoints = append(s.watchpoints, w)
		}
		return "OK", nil
	}
	b := s.breakpoints[addr]
	switch kind {
	case "0":
		b.software = insert
	case "1":
		b.hardware = insert
	default:
		return "", nil
	}
	s.breakpoints[addr] = b
	if b == (inserted{}) {
		delete(s.breakpoints, addr)
	}
	return "OK", nil
}

// little is v as the 2*size hexadecimal digits that the protocol has for a register.
func little(v uint64, size int) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return hex.EncodeToString(b[:size])
}
