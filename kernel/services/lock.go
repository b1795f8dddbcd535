package services

import (
	"fmt"
	"strings"

	"callops/asm"
	"callops/emu"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// Lock is a lock that a task waits for.
type Lock struct {
	Kind  string // mutex, rwsem, spin lock, rwlock
	Addr  uint64
	Name  string // as %pS, or the object of the heap that it is in; "" where it is in neither
	Owner Owner  // what holds it
}

// Owner is a task, as far as a lock tells which.
type Owner struct {
	Task uint64 // its task_struct; 0: the lock does not tell
	Comm string
	Pid  uint32
}

func (o Owner) String() string {
	if o.Task == 0 {
		return "a task that it does not name"
	}
	return fmt.Sprintf("%s (pid %d)", o.Comm, o.Pid)
}

// DeadlockError is a task that waits for what nothing does. It matches EDEADLK.
type DeadlockError struct {
	Func   string // the function that waits
	Caller string // what called it, as %pS; "" where the call itself did
	Waiter Owner
	Lock   Lock     // has no Kind where the task waits to be woken
	Trace  []string // what led there, innermost first, as %pS
}

func (e *DeadlockError) Error() string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "deadlock: %s waits", e.Waiter)
	if e.Lock.Kind == "" {
		fmt.Fprintf(&sb, " in %s to be woken, and nothing that can run does", e.Func)
	} else {
		fmt.Fprintf(&sb, " for the %s %#x", e.Lock.Kind, e.Lock.Addr)
		if e.Lock.Name != "" {
			fmt.Fprintf(&sb, " (%s)", e.Lock.Name)
		}
		if e.Lock.Owner == e.Waiter {
			sb.WriteString(", which it holds itself")
		} else {
			fmt.Fprintf(&sb, ", which %s holds, and nothing that can run releases it", e.Lock.Owner)
		}
	}
	if e.Caller != "" {
		fmt.Fprintf(&sb, ": called by %s", e.Caller)
	}
	return sb.String()
}

// Is reports EDEADLK.
func (e *DeadlockError) Is(target error) bool { return target == errno.EDEADLK }

func (c *request) deadlock(lock *Lock) error {
	e := &DeadlockError{Func: c.r.Name, Caller: c.caller(), Waiter: c.s.owner(c.task())}
	if lock != nil {
		e.Lock = *lock
		e.Lock.Name = c.s.nameOf(lock.Addr)
	}
	l := &c.s.k.Layout.Task
	if base, err := c.s.k.Mem.Load64(c.task() + uint64(l.Stack)); err == nil && l.Stack != kernelimage.Absent {
		stack := kernelimage.Range{Start: base, End: base + c.s.k.Image.ThreadSize()}
		for _, pc := range c.s.k.Unwind(stack, c.cpu.Regs())[1:] {
			e.Trace = append(e.Trace, c.s.k.Where(pc))
		}
	}
	return e
}

// owner describes a task.
func (s *Services) owner(task uint64) Owner {
	o := Owner{Task: task}
	l := &s.k.Layout.Task
	if task == 0 || l.Comm == kernelimage.Absent || l.Pid == kernelimage.Absent {
		return o
	}
	o.Comm, _ = s.k.Mem.ReadString(task+uint64(l.Comm), 16)
	o.Pid, _ = s.k.Mem.Load32(task + uint64(l.Pid))
	return o
}

// nameOf names the lock at an address.
func (s *Services) nameOf(addr uint64) string {
	if _, _, ok := s.k.Symbols.At(addr); ok {
		return s.k.Symbols.Format(addr)
	}
	if o, ok := s.k.Heap.Lookup(addr); ok {
		return fmt.Sprintf("at %d of %s", addr-o.Addr, o.Name)
	}
	return ""
}

// ownerMask leaves the address of the task of mutex.owner and of rw_semaphore.owner
// (kernel/locking/mutex.h, rwsem.c): the rest are flags.
const ownerMask = ^uint64(7)

// mutexLock is __mutex_lock_slowpath(lock) and its variants: the mutex was not free. It takes no
// place in the queue, so its unlock needs none either.
func mutexLock(s *Services, r Replaced) emu.GateFunc {
	try, err := s.k.Symbols.Lookup("mutex_trylock")
	if err != nil {
		return nil
	}
	return serving(func(c *request) (uint64, error) {
		if err := c.maySleep(); err != nil {
			return 0, err
		}
		lock := &Lock{Kind: "mutex", Addr: c.args[0]}
		for {
			if got, err := c.s.guest(background, c.cpu, try.Addr, lock.Addr); err != nil || got&0xffff_ffff != 0 {
				return 0, err
			}
			if err := c.await(lock, 0, func(owner uint64) bool { return owner&ownerMask == 0 }); err != nil {
				return 0, err
			}
		}
	})(s, r)
}

// Bits of rw_semaphore.count, and of its owner, which follows it (kernel/locking/rwsem.c).
const (
	rwsemWriterLocked = 1 << 0
	rwsemReaderMask   = ^uint64(0xff)
	rwsemReaderOwned  = 1 << 0
	rwsemOwner        = 8
)

// readLock is rwsem_down_read_slowpath(sem, count, state): the reader is in the count already.
func readLock(c *request) (uint64, error) {
	sem := c.args[0]
	lock := &Lock{Kind: "rwsem", Addr: sem}
	err := c.preemptEnabled(func() error {
		return c.await(lock, rwsemOwner, func(count uint64) bool { return count&rwsemWriterLocked == 0 })
	})
	if err != nil {
		return 0, err
	}
	return sem, c.s.k.Mem.Store64(sem+rwsemOwner, c.task()|rwsemReaderOwned) // rwsem_set_reader_owned
}

// writeLock is rwsem_down_write_slowpath(sem, state).
func writeLock(s *Services, r Replaced) emu.GateFunc {
	try, err := s.k.Symbols.Lookup("down_write_trylock")
	if err != nil {
		return nil
	}
	free := func(count uint64) bool { return count&(rwsemWriterLocked|rwsemReaderMask) == 0 }
	return serving(func(c *request) (uint64, error) {
		lock := &Lock{Kind: "rwsem", Addr: c.args[0]}
		return lock.Addr, c.preemptEnabled(func() error {
			for {
				if got, err := c.s.guest(background, c.cpu, try.Addr, lock.Addr); err != nil || got&0xffff_ffff != 0 {
					return err
				}
				if err := c.await(lock, rwsemOwner, free); err != nil {
					return err
				}
			}
		})
	})(s, r)
}

// preemptEnabled has f sleep where the kernel calls with preemption disabled and sleeps by
// schedule_preempt_disabled, as the rwsem's slow paths do from 6.2 on.
func (c *request) preemptEnabled(f func() error) error {
	at := c.s.preemptCount(c.cpu)
	if at == 0 {
		return f()
	}
	n, err := c.s.k.Mem.Load32(at)
	if err != nil {
		return err
	}
	if n == 1 {
		if err := c.s.k.Mem.Store32(at, 0); err != nil {
			return err
		}
	}
	if err := c.maySleep(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return c.s.k.Mem.Store32(at, n)
}

// await sleeps until the first word of a lock is free. The one at owner says what holds it.
func (c *request) await(lock *Lock, owner uint64, free func(uint64) bool) error {
	task, err := c.s.k.Mem.Load64(lock.Addr + owner)
	if err != nil {
		return err
	}
	lock.Owner = c.s.owner(task & ownerMask)
	word := func() (uint64, error) { return c.s.k.Mem.Load64(lock.Addr) }
	if v, err := word(); err != nil || free(v) {
		return err
	}
	if lock.Owner.Task == c.task() {
		return c.deadlock(lock)
	}
	_, err = c.sleep(func() bool { v, err := word(); return err != nil || free(v) }, 0, lock)
	return err
}

// spinLock is queued_spin_lock_slowpath(lock, val): the lock was not free. Its queue stays empty.
func spinLock(c *request) (uint64, error) {
	const locked = 1 // _Q_LOCKED_VAL
	return 0, c.spin(&Lock{Kind: "spin lock", Addr: c.args[0]}, locked)
}

// writeSpinLock is queued_write_lock_slowpath(lock).
func writeSpinLock(c *request) (uint64, error) {
	const locked = 0xff // _QW_LOCKED
	return 0, c.spin(&Lock{Kind: "rwlock", Addr: c.args[0]}, locked)
}

// readSpinLock is queued_read_lock_slowpath(lock): the reader is in the count already.
func readSpinLock(c *request) (uint64, error) {
	const writer = 0xff // _QW_LOCKED
	return 0, c.spinUntil(&Lock{Kind: "rwlock", Addr: c.args[0]}, func(v uint32) bool { return v&writer == 0 })
}

// spin waits until a lock's word is 0 and makes it v.
func (c *request) spin(lock *Lock, v uint64) error {
	for {
		if err := c.spinUntil(lock, func(v uint32) bool { return v == 0 }); err != nil {
			return err
		}
		got, err := c.s.guest(background, c.cpu, c.s.trylock, lock.Addr, v)
		if err != nil || got == 0 {
			return err
		}
	}
}

func (c *request) spinUntil(lock *Lock, free func(v uint32) bool) error {
	if _, err := c.s.k.Mem.Load32(lock.Addr); err != nil {
		return err
	}
	err := c.s.opts.Tasks.Spin(c.cpu, func() bool {
		v, err := c.s.k.Mem.Load32(lock.Addr)
		return err != nil || free(v)
	})
	if err == ErrDeadlock { //nolint:errorlint // it is returned as it is
		return c.deadlock(lock)
	}
	return err
}

// placeTrylock places trylock(word, value), which makes a 32-bit word that is 0 the value and returns what
// it was.
func (s *Services) placeTrylock() error {
	p, err := s.k.PlaceCode("services-trylock", kernel.CodeOptions{Core: true}, func(base uint64) (*asm.Program, error) {
		b := asm.NewBuilder()
		b.Func("callops_trylock")
		b.Emit(asm.Movz(asm.W2, 0, 0), asm.Casa(asm.W2, asm.W1, asm.X0), asm.Mov(asm.W0, asm.W2), asm.Ret())
		b.EndFunc()
		return b.Assemble(base)
	})
	if err != nil {
		return err
	}
	s.trylock = p.Base
	return nil
}
