package gdb

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"callops/emu"
	"callops/internal/errno"
)

// objects are what qXfer reads.
var objects = map[string]func(c *client, annex string) (string, error){
	"features": func(_ *client, annex string) (string, error) {
		if annex != "target.xml" {
			return "", fmt.Errorf("no feature file %q: %w", annex, errno.ENOENT)
		}
		return targetXML, nil
	},
	"memory-map": func(c *client, _ string) (string, error) { return c.stub.memoryMap(), nil },
	"threads":    func(c *client, _ string) (string, error) { return c.stub.threadsXML(), nil },
	"exec-file":  func(c *client, _ string) (string, error) { return c.stub.symbolFileName(), nil },
}

// transfer is qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH. An object stays what it was when its first part was
// read.
func (c *client) transfer(args string) (string, error) {
	parts := strings.SplitN(args, ":", 4)
	if len(parts) != 4 || parts[1] != "read" {
		return "", nil
	}
	read, ok := objects[parts[0]]
	if !ok {
		return "", nil
	}
	offset, length, err := pair(parts[3])
	if err != nil {
		return "", err
	}
	object := parts[0] + ":" + parts[2]
	text, ok := c.xfers[object]
	if !ok || offset == 0 {
		if text, err = read(c, parts[2]); err != nil {
			return "", err
		}
		c.xfers = map[string]string{object: text}
	}
	off := min(offset, uint64(len(text)))
	part := text[off:][:min(length, uint64(len(text))-off, packetSize/2)]
	if off+uint64(len(part)) == uint64(len(text)) {
		return "l" + part, nil
	}
	return "m" + part, nil
}

// memoryMap is all that is mapped, and the gates. The debugger may write all of it.
func (s *Stub) memoryMap() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" "http://sourceware.org/gdb/gdb-memory-map.dtd">` + "\n<memory-map>\n")
	for _, r := range ranges(s.m.Kernel.Mem) {
		fmt.Fprintf(&b, `<memory type="ram" start="%#x" length="%#x"/>`+"\n", r.start, r.size)
	}
	b.WriteString("</memory-map>\n")
	return b.String()
}

// threadsXML is the list of threads; CPUs are cores.
func (s *Stub) threadsXML() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\"?>\n<threads>\n")
	for _, t := range s.threads {
		core := ""
		if t.cpu != nil {
			core = fmt.Sprintf(` core="%d"`, t.cpu.ID())
		}
		fmt.Fprintf(&b, `<thread id="%x"%s name="%s">%s</thread>`+"\n", t.id, core, escaped(t.name), escaped(s.extra(t)))
	}
	b.WriteString("</threads>\n")
	return b.String()
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// extra is what the debugger shows of a thread beside its name.
func (s *Stub) extra(t *thread) string {
	switch {
	case t.waits != "":
		return "waits in " + t.waits
	case t.cpu == nil:
		return "ftrace's core"
	case !t.parked:
		return "in Go code"
	}
	return "task " + s.m.Kernel.Symbols.Format(t.cpu.Regs().SPEL0)
}

func (c *client) threadInfo(args string) (string, error) {
	id, err := number(args)
	if err != nil {
		return "", err
	}
	s := c.stub
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.thread(int(id))
	if t == nil {
		return "", fmt.Errorf("no thread %d: %w", id, errno.ENOENT)
	}
	return hex.EncodeToString([]byte(t.name + ", " + s.extra(t))), nil
}

// Errors of the file protocol, which has numbers of its own.
const (
	fileNotFound = "F-1,2"
	fileNotOpen  = "F-1,9"
	fileReadOnly = "F-1,1e"
)

// file is vFile: the file of symbols, for reading.
func (c *client) file(args string) (string, error) {
	op, args, _ := strings.Cut(args, ":")
	switch op {
	case "setfs":
		return "F0", nil
	case "open":
		return c.openFile(args)
	case "close":
		if !c.open {
			return fileNotOpen, nil
		}
		c.open = false
		return "F0", nil
	case "pread":
		return c.readFile(args)
	case "fstat":
		return c.statFile(args)
	}
	return "", nil
}

func (c *client) openFile(args string) (string, error) {
	words := strings.Split(args, ",")
	name, err := hex.DecodeString(words[0])
	if err != nil || len(words) != 3 {
		return "", malformed("vFile:open")
	}
	flags, err := number(words[1])
	switch {
	case err != nil:
		return "", err
	case string(name) != c.stub.symbolFileName():
		return fileNotFound, nil
	case flags != 0:
		return fileReadOnly, nil
	}
	c.open = true
	return "F" + strconv.FormatInt(fileNumber, 16), nil
}

const fileNumber = 3

// opened checks the number of the file that comes first in args, and returns the rest.
func (c *client) opened(args string) (rest string, ok bool) {
	fd, rest, _ := strings.Cut(args, ",")
	n, err := number(fd)
	return rest, err == nil && n == fileNumber && c.open
}

func (c *client) readFile(args string) (string, error) {
	rest, ok := c.opened(args)
	if !ok {
		return fileNotOpen, nil
	}
	count, offset, err := pair(rest)
	if err != nil {
		return "", err
	}
	all := c.stub.elf
	off := min(offset, uint64(len(all)))
	part := all[off:][:min(count, uint64(len(all))-off, packetSize/2)]
	return fmt.Sprintf("F%x;%s", len(part), part), nil
}

// statFile answers with the struct stat of the protocol, big-endian.
func (c *client) statFile(args string) (string, error) {
	if _, ok := c.opened(args); !ok {
		return fileNotOpen, nil
	}
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b[8:], 0o100444) // st_mode
	binary.BigEndian.PutUint32(b[12:], 1)       // st_nlink
	binary.BigEndian.PutUint64(b[28:], uint64(len(c.stub.elf)))
	return fmt.Sprintf("F%x;%s", len(b), b), nil
}

// span is a range of addresses that holds something.
type span struct {
	name        string
	start, size uint64
	perm        emu.Perm
}

// ranges are the regions and the gates, in address order.
func ranges(mem *emu.Memory) (list []span) {
	for _, r := range mem.Regions() {
		list = append(list, span{r.Name, r.Base, r.Size, r.Perm})
	}
	at, _ := slices.BinarySearchFunc(list, gates.start, func(r span, addr uint64) int { return cmp.Compare(r.start, addr) })
	return slices.Insert(list, at, gates)
}
