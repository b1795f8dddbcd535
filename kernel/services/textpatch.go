package services

import (
	"errors"

	"callops/emu"
	"callops/internal/errno"
)

// TextWrite is a store to text that the kernel makes through an alias.
type TextWrite struct {
	Addr     uint64
	Size     int // in bytes: 4 is an instruction, 8 a literal
	Old, New uint64
}

// TextWriter is what stores to text go through. store makes it, and may be called once
// or not at all. An error number becomes what the kernel's function returns; any other
// error ends the call.
type TextWriter func(cpu emu.CPU, w TextWrite, store func() error) error

// Error numbers of the guest.
const (
	guestEFAULT = 14
	guestENXIO  = 6
)

// guestErrnos are Linux's numbers of the errors that hooks return.
var guestErrnos = map[errno.Errno]int64{
	errno.EPERM: 1, errno.ENOENT: 2, errno.EIO: 5, errno.ENOMEM: 12, errno.EFAULT: guestEFAULT, errno.EBUSY: 16, errno.ENODEV: 19,
	errno.EINVAL: 22, errno.ENOSPC: 28, errno.EDEADLK: 35, errno.ENOSYS: 38, errno.EOPNOTSUPP: 95, errno.ETIMEDOUT: 110,
}

// negative is -n as a function returns it.
func negative(n int64) uint64 { return uint64(-n) }

// returned is what a function returns for an error of the host. ok: it is one that
// the guest knows.
func returned(err error) (x0 uint64, ok bool) {
	if err == nil {
		return 0, true
	}
	e, is := err.(errno.Errno) //nolint:errorlint // an error that says more is not for the guest
	n, known := guestErrnos[e]
	return negative(n), is && known
}

// writeText makes functions that write size bytes to text: an instruction
// (aarch64_insn_write, arch/arm64/kernel/patching.c) or a literal. Both store through an
// alias that they map, and return -EFAULT where there is nothing to map.
//
// A kernel patches all its sites in one operation. So a store that nobody is told of makes no
// request; one that can't be made is repeated with one.
func writeText(size int) func(*Services, Replaced) emu.GateFunc {
	told := serving(func(c *request) (uint64, error) { return c.writeText(size) })
	return func(s *Services, r Replaced) emu.GateFunc {
		tell := told(s, r)
		if s.opts.Text != nil || s.opts.Event != nil {
			return tell
		}
		return func(cpu emu.CPU, args [8]uint64) (uint64, error) {
			if storeText(s.k.Mem, args[0], args[1], size) != nil {
				return tell(cpu, args)
			}
			return 0, nil
		}
	}
}

func storeText(mem *emu.Memory, addr, v uint64, size int) error {
	if size == 4 {
		return mem.Store32(addr, uint32(v))
	}
	return mem.Store64(addr, v)
}

// writeText is such a store.
func (c *request) writeText(size int) (uint64, error) {
	w := TextWrite{Addr: c.args[0], Size: size, New: c.args[1]}
	var err error
	if size == 4 {
		w.New &= 0xffff_ffff
		var old uint32
		old, err = c.s.k.Mem.Load32(w.Addr)
		w.Old = uint64(old)
	} else {
		w.Old, err = c.s.k.Mem.Load64(w.Addr)
	}
	if err != nil {
		return c.nothingMapped(err)
	}
	return c.write(w)
}

func (c *request) nothingMapped(err error) (uint64, error) {
	var fault *emu.Fault
	if errors.As(err, &fault) {
		return negative(guestEFAULT), nil
	}
	return 0, err
}

func (c *request) write(w TextWrite) (uint64, error) {
	write := func() error {
		if err := storeText(c.s.k.Mem, w.Addr, w.New, w.Size); err != nil {
			return err
		}
		c.s.event(c.cpu, Event{Kind: TextWritten, Func: c.r.Name, Addr: w.Addr, Value: w.New, Size: w.Size})
		return nil
	}
	var err error
	if c.s.opts.Text == nil {
		err = write()
	} else {
		err = c.s.opts.Text(c.cpu, w, write)
	}
	if x0, ok := returned(err); ok {
		return x0, nil
	}
	return 0, err
}

// maintenance tells of text that every CPU sees from now on, whoever changed it. The kernel's own code
// maintains caches, instruction by instruction (caches_clean_inval_pou,
// arch/arm64/mm/cache.S); each IC IVAU is one line.
type maintenance struct{ s *Services }

// TextChanged implements [emu.TextObserver].
func (m maintenance) TextChanged(addr, size uint64) {
	m.s.opts.Event(Event{Kind: TextMaintained, CPU: -1, Addr: addr, Size: int(size)})
}
