package guestcore

import (
	"encoding/binary"
	"errors"
	"fmt"

	"callops/ftrace"
	"callops/internal/errno"
)

// Filters with commands (FUNC:mod:MODULE) are those of a trace array's control files,
// set_ftrace_filter and set_ftrace_notrace. An ops that is given one gets a trace array of its own, of
// which no more is there than what these files use: it is listed, names the ops, and keeps what
// waits for modules. From then on Linux takes the sites of a module that goes out of
// the ops' filters (clear_mod_from_hashes), as it does for no other ops.

// Of struct ftrace_iterator's flags (kernel/trace/ftrace.c).
const (
	iterFilter  = 1 << 0
	iterNotrace = 1 << 1
)

// fmodeWrite is FMODE_WRITE (include/linux/fs.h), oTrunc O_TRUNC.
const (
	fmodeWrite = 2
	oTrunc     = 0o1000
)

// prepareFiles does what has been done when control files can be written: tracing is not disabled
// (tracer_alloc_buffers), and the command mod is known (ftrace_mod_cmd_init).
func (c *Core) prepareFiles() error {
	s := c.sym
	if s.modCommand == 0 || s.tracingOff == 0 {
		return nil
	}
	if err := c.k.Mem.Store32(s.tracingOff, 0); err != nil {
		return err
	}
	return c.status("ftrace_mod_cmd_init", s.modCommand)
}

// arrayOf returns the trace array of an ops, which it gets if it has none.
func (c *Core) arrayOf(o *ftrace.Ops) (uint64, error) {
	at := o.Addr() + uint64(c.k.Layout.Ops.Private)
	if tr, ok := c.arrays[o]; ok {
		return tr, nil
	}
	s, l := c.sym, &c.pack.Array
	for _, addr := range []uint64{s.modCommand, s.regexOpen, s.filterWrite, s.notraceWrite, s.regexRelease, s.traceArrays, s.tracingOff} {
		if addr == 0 {
			return 0, fmt.Errorf("the kernel's control files for filters: %w", errno.EOPNOTSUPP)
		}
	}
	tr, err := c.place("trace_array of "+o.Name, make([]byte, l.Size))
	if err != nil {
		return 0, err
	}
	for _, head := range []int{l.ModTrace, l.ModNotrace} {
		if err := c.link(tr+uint64(head), tr+uint64(head)); err != nil {
			return 0, err
		}
	}
	last, err := c.k.Mem.Load64(s.traceArrays + 8)
	if err != nil {
		return 0, err
	}
	err = errors.Join(
		c.k.Mem.Store64(tr+uint64(l.Ops), o.Addr()),
		c.link(last, tr+uint64(l.List), s.traceArrays),
		c.k.Mem.Store64(at, tr),
	)
	if err == nil {
		c.arrays[o] = tr
	}
	return tr, err
}

// writeFilter writes a pattern to the control file of an ops' trace array.
//
// Differs: where the kernel refuses the pattern, the file is closed as one that was only read. In
// Linux closing it makes what was read before the filter; here the filter stays as it was.
func (c *Core) writeFilter(o *ftrace.Ops, notrace bool, pat string, reset bool) error {
	tr, err := c.arrayOf(o)
	if err != nil {
		return err
	}
	flag, name, write := uint64(iterFilter), "ftrace_filter_write", c.sym.filterWrite
	if notrace {
		flag, name, write = iterNotrace, "ftrace_notrace_write", c.sym.notraceWrite
	}
	l := &c.pack.File
	file := make([]byte, l.Size)
	put32(file, l.Mode, fmodeWrite)
	if reset {
		put32(file, l.Flags, oTrunc)
	}
	return c.with("file", file, func(file uint64) error {
		args := []uint64{o.Addr(), flag, 0, file}
		if c.opensArray() {
			args = append([]uint64{tr}, args...)
		}
		if err := c.status("ftrace_regex_open", c.sym.regexOpen, args...); err != nil {
			return err
		}
		err := c.writeText(name, write, file, append([]byte(pat), '\n'))
		if err != nil && c.crash == nil {
			if err := c.k.Mem.Store32(file+uint64(l.Mode), 0); err != nil {
				return err
			}
		}
		if released := c.status("ftrace_regex_release", c.sym.regexRelease, 0, file); err == nil {
			err = released
		}
		return err
	})
}

// opensArray reports whether ftrace_regex_open takes the trace array in front of the ops, as it does
// in later 6.12 and 7.x.
func (c *Core) opensArray() bool {
	if c.openParams == 0 {
		if p, err := c.k.Image.Prototype("ftrace_regex_open"); err == nil {
			c.openParams = len(p.Params)
		}
	}
	return c.openParams == 5
}

// writeText is write(2), until all is written.
func (c *Core) writeText(name string, write, file uint64, text []byte) error {
	return c.with("position", make([]byte, 8), func(pos uint64) error {
		return c.with("written", text, func(buf uint64) error {
			for n := uint64(0); n < uint64(len(text)); {
				x0, err := c.call(name, write, file, buf+n, uint64(len(text))-n, pos)
				if err != nil {
					return err
				}
				switch got := int64(x0); {
				case got < 0:
					return &StatusError{name, int32(got)}
				case got == 0 || uint64(got) > uint64(len(text))-n:
					return &CorruptError{"write", file, fmt.Sprintf("%s returned %d for %d bytes", name, got, uint64(len(text))-n)}
				default:
					n += uint64(got)
				}
			}
			return nil
		})
	})
}

// emptyArray has nothing wait for modules in an ops' trace array any more. Its filters are empty
// afterwards.
func (c *Core) emptyArray(o *ftrace.Ops) error {
	if _, ok := c.arrays[o]; !ok {
		return nil
	}
	for _, notrace := range []bool{false, true} { // opening it with O_TRUNC empties it
		if err := c.writeFilter(o, notrace, "", true); err != nil {
			return err
		}
	}
	return nil
}

// unlistArray takes an ops' trace array away.
func (c *Core) unlistArray(o *ftrace.Ops) error {
	tr, ok := c.arrays[o]
	if !ok {
		return nil
	}
	delete(c.arrays, o)
	words, err := c.k.Mem.ReadWords(tr+uint64(c.pack.Array.List), 2)
	if err != nil {
		return err
	}
	return errors.Join(
		c.link(words[1], words[0]),
		c.k.Mem.Store64(o.Addr()+uint64(c.k.Layout.Ops.Private), 0),
		c.k.Heap.Free(tr),
	)
}

// Waiting returns what the filter of an ops is to get of modules that are not loaded, the
// newest first.
func (c *Core) Waiting(o *ftrace.Ops, notrace bool) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, _ := c.waiting(o, notrace)
	return list
}

func (c *Core) waiting(o *ftrace.Ops, notrace bool) (list []string, err error) {
	tr, ok := c.arrays[o]
	if !ok {
		return nil, nil
	}
	head := tr + uint64(c.pack.Array.ModTrace)
	if notrace {
		head = tr + uint64(c.pack.Array.ModNotrace)
	}
	l := &c.pack.ModLoad
	at, err := c.k.Mem.Load64(head)
	for ; err == nil && at != head; at, err = c.k.Mem.Load64(at) {
		b := make([]byte, l.Size)
		if err := c.k.Mem.Read(at-uint64(l.List), b); err != nil {
			return list, err
		}
		fn := "*"
		if p := binary.LittleEndian.Uint64(b[l.Func:]); p != 0 {
			if fn, err = c.k.Mem.ReadString(p, maxPattern); err != nil {
				return list, err
			}
		}
		module, err := c.k.Mem.ReadString(binary.LittleEndian.Uint64(b[l.Module:]), maxPattern)
		if err != nil {
			return list, err
		}
		if list = append(list, fn+":mod:"+module); len(list) > maxList {
			return list, &CorruptError{"what waits for modules", head, "it does not end"}
		}
	}
	return list, err
}
