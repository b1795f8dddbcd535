package kernel

import (
	"encoding/binary"
	"fmt"
	"iter"
	"sync"

	"callops/asm"
	"callops/emu"
	"callops/internal/text"
	"callops/kernelimage"
)

// bugBrkImm is BUG_BRK_IMM (arch/arm64/include/asm/brk-imm.h).
const bugBrkImm = 0x800

// Flags of struct bug_entry (include/asm-generic/bug.h).
const (
	bugWarning = 1 << 0
	bugOnce    = 1 << 1
	bugDone    = 1 << 2
)

// maxBugFile bounds the name of a source file.
const maxBugFile = 1024

// Bug is a BUG() or WARN() that a CPU has come to, as the kernel's table of
// them (__bug_table) describes it.
type Bug struct {
	Addr    uint64 // the BRK
	Where   string // as %pS
	File    string // of the source, with its line; "": the table has none
	Line    int
	Warning bool // WARN(): the kernel goes on
	CPU     int
	Pid     uint32 // of the task

	entry uint64
	flags uint16
}

// String is the line that the kernel prints (lib/bug.c, kernel/panic.c).
func (b *Bug) String() string {
	at := ""
	if b.File != "" {
		at = fmt.Sprintf("%s:%d", b.File, b.Line)
	}
	switch {
	case b.Warning && at != "":
		return fmt.Sprintf("WARNING: CPU: %d PID: %d at %s %s", b.CPU, b.Pid, at, b.Where)
	case b.Warning:
		return fmt.Sprintf("WARNING: CPU: %d PID: %d at %s", b.CPU, b.Pid, b.Where)
	case at != "":
		return "kernel BUG at " + at + "!"
	}
	return fmt.Sprintf("Kernel BUG at %s [verbose debug info unavailable]", b.Where)
}

// BugError is a call that reached a BUG(), or a WARN() without a handler. It
// unwraps to the *emu.ExitError.
type BugError struct {
	Bug
	Err *emu.ExitError
}

func (e *BugError) Error() string { return e.Bug.String() }

func (e *BugError) Unwrap() error { return e.Err }

// Caller returns what calls the kernel's functions: it serves the kernel's gates,
// and handles BUG() and WARN(), and faults that the kernel expects (__ex_table).
func (k *Kernel) Caller() *emu.Caller { return &emu.Caller{Gates: k.Gates, Exception: k.exception} }

// exception handles what ended execution on a CPU. A BRK is bug_brk_handler's and report_bug's
// (arch/arm64/kernel/traps.c, lib/bug.c).
func (k *Kernel) exception(cpu emu.CPU, exit emu.Exit) error {
	if exit.Reason == emu.ExitFault {
		return k.fault(cpu, exit)
	}
	err := &emu.ExitError{Exit: exit}
	if imm, ok := asm.DecodeBrk(exit.Word); !ok || imm != bugBrkImm {
		return err
	}
	bug, again := k.hit(exit.PC)
	if bug == nil {
		return err
	}
	bug.CPU, bug.Pid = cpu.ID(), k.pid(cpu)
	if !bug.Warning || k.warn == nil {
		return &BugError{*bug, err}
	}
	if !again {
		k.warn(bug)
	}
	cpu.Regs().PC += 4
	return nil
}

// hit finds the entry for the BRK at pc; again: it is a WARN_ONCE() that has been
// told of, which the table remembers.
func (k *Kernel) hit(pc uint64) (b *Bug, again bool) {
	k.bugs.mu.Lock()
	defer k.bugs.mu.Unlock()
	b = k.bugAt(pc)
	if b == nil || !b.Warning || b.flags&bugOnce == 0 || k.warn == nil {
		return b, false
	}
	again = b.flags&bugDone != 0
	done := binary.LittleEndian.AppendUint16(nil, b.flags|bugDone)
	_ = k.Mem.Write(b.entry+uint64(k.Layout.Bug.Flags), done) // where it was read from
	return b, again
}

// pid is that of a CPU's task; 0 where that can't be told.
func (k *Kernel) pid(cpu emu.CPU) uint32 {
	if k.Layout.Task.Pid == kernelimage.Absent {
		return 0
	}
	pid, err := k.Mem.Load32(cpu.Regs().SPEL0 + uint64(k.Layout.Task.Pid))
	if err != nil {
		return 0
	}
	return pid
}

// bugAt is find_bug; nil where no table has an entry for the BRK at pc. bugs.mu is
// held.
func (k *Kernel) bugAt(pc uint64) *Bug {
	if b := k.bugEntry(k.bugs.entries[pc], pc); b != nil {
		return b
	}
	for _, s := range k.imageOf(pc).Segments() {
		for at := range k.displacements(s, pc) {
			if b := k.bugEntry(at-uint64(k.Layout.Bug.Addr), pc); b != nil {
				if k.bugs.entries == nil {
					k.bugs.entries = make(map[uint64]uint64)
				}
				k.bugs.entries[pc] = b.entry
				return b
			}
		}
	}
	return nil
}

// bugs are the entries of tables that were looked for, by the address of the BRK.
type bugs struct {
	mu      sync.Mutex // guards what follows, and the tables' flags
	entries map[uint64]uint64
}

// imageOf is the module that pc is in, or the kernel itself.
func (k *Kernel) imageOf(pc uint64) *kernelimage.Image {
	for _, m := range k.loaded.modules {
		if m.Image.Bounds().Contains(pc) {
			return m.Image
		}
	}
	return k.Image
}

// displacements yields the addresses of those words in a segment that hold the
// distance from themselves to pc. Few kernels name the ends of their table, and
// modules have one each; that what points at a BRK is its entry tells as much.
func (k *Kernel) displacements(s kernelimage.Segment, pc uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		chunk := make([]byte, min(s.FileSize()&^3, 64<<10))
		first := (s.Addr + 3) &^ 3
		for at := first; at+uint64(len(chunk)) <= s.Addr+s.FileSize() && len(chunk) > 0; {
			if k.Mem.Read(at, chunk) != nil {
				return
			}
			for i := 0; i < len(chunk); i += 4 {
				d := binary.LittleEndian.Uint32(chunk[i:])
				if p := at + uint64(i); d == uint32(pc-p) && p+uint64(int64(int32(d))) == pc && !yield(p) {
					return
				}
			}
			at += uint64(len(chunk))
			chunk = chunk[:min(uint64(len(chunk)), (s.Addr+s.FileSize()-at)&^3)]
		}
	}
}

// bugEntry reads the struct bug_entry at addr; nil where that is none for pc.
func (k *Kernel) bugEntry(addr, pc uint64) *Bug {
	l := &k.Layout.Bug
	entry := make([]byte, l.Size)
	if k.Mem.Read(addr, entry) != nil {
		return nil
	}
	relative := func(off int) uint64 {
		return addr + uint64(off) + uint64(int64(int32(binary.LittleEndian.Uint32(entry[off:]))))
	}
	if relative(l.Addr) != pc {
		return nil
	}
	b := &Bug{Addr: pc, Where: k.Where(pc), entry: addr, flags: binary.LittleEndian.Uint16(entry[l.Flags:])}
	b.Warning = b.flags&bugWarning != 0
	if l.File != kernelimage.Absent && l.Line != kernelimage.Absent {
		file, err := k.Mem.ReadString(relative(l.File), maxBugFile)
		if err != nil || file == "" || file != text.Printable(file) {
			return nil // some other word with that value
		}
		b.File, b.Line = file, int(binary.LittleEndian.Uint16(entry[l.Line:]))
	}
	return b
}
