package ftrace

import (
	"errors"
	"fmt"
	"strings"

	"callops/internal/errno"
)

// bugType is enum ftrace_bug_type: what was being done to the site.
type bugType uint8

const (
	bugUnknown bugType = iota
	bugInit
	bugNop
	bugCall
	bugUpdate
)

var bugTypes = map[bugType]string{
	bugInit:   "Initializing ftrace call sites\n",
	bugNop:    "Setting ftrace call site to NOP\n",
	bugCall:   "Setting ftrace call site to call ftrace function\n",
	bugUpdate: "Updating ftrace call site to call a different ftrace function\n",
}

// BugError is a site that could not be patched, after which ftrace is dead. It
// unwraps to the reason: EFAULT, EINVAL, EPERM and what was found.
type BugError struct {
	IP     uint64
	Report string // as the kernel logs it
	Err    error
}

func (e *BugError) Error() string { return "ftrace bug: " + e.Err.Error() }

func (e *BugError) Unwrap() error { return e.Err }

// reportBug is ftrace_bug: it reports the site and kills ftrace. arm64 does not
// set ftrace_expected, so there is no line for it.
func (r *Registry) reportBug(typ bugType, err error, rec *Record) {
	var b strings.Builder
	b.WriteString("------------[ ftrace bug ]------------\n")
	where := fmt.Sprintf("[<%016x>] %s\n", rec.IP, r.sym(rec.IP))
	switch {
	case errors.Is(err, errno.EPERM):
		b.WriteString("ftrace faulted on writing " + where)
	case errors.Is(err, errno.EINVAL):
		b.WriteString("ftrace failed to modify " + where)
		b.WriteString(" actual:   " + r.bytesAt(rec.IP) + "\n")
	case errors.Is(err, errno.EFAULT):
		b.WriteString("ftrace faulted on modifying " + where)
	default:
		b.WriteString("ftrace faulted on unknown error " + where)
	}
	b.WriteString(bugTypes[typ])
	fmt.Fprintf(&b, "ftrace record flags: %x\n", uint32(rec.Flags))
	fmt.Fprintf(&b, " (%d)%s%s%s", r.prof.count(rec.Flags),
		letter(rec.is(RecRegs), " R"), r.callOpsLetter(rec), r.trampolines(rec))
	fmt.Fprintf(&b, "\n expected tramp: %x\n", r.currentAddr(rec))

	r.bug = &BugError{IP: rec.IP, Report: b.String(), Err: err}
	for line := range strings.Lines(r.bug.Report) {
		r.printk(strings.TrimSuffix(line, "\n"))
	}
	r.printk("WARNING: ftrace is disabled")
	r.kill()
}

func (r *Registry) bytesAt(ip uint64) string {
	w, err := r.mem.Load32(ip)
	if err != nil {
		return fmt.Sprintf("[FAULT] %x", ip)
	}
	return fmt.Sprintf("%02x:%02x:%02x:%02x", byte(w), byte(w>>8), byte(w>>16), byte(w>>24))
}

// kill is ftrace_kill: it disables ftrace for good, after an anomaly. Only an
// operation that is under way still changes sites; enabled sites stay enabled.
func (r *Registry) kill() { r.disabled.Store(true) }

// Kill is ftrace_kill, which whoever finds ftrace broken calls: ftrace is disabled for
// good, and enabled sites go on calling.
func (r *Registry) Kill() { r.kill() }

// Dead reports whether ftrace has been killed (ftrace_is_dead).
func (r *Registry) Dead() bool { return r.disabled.Load() }

// on reports whether sites are to call: ftrace_enabled, which ftrace_kill clears.
func (r *Registry) on() bool { return r.enabled != 0 && !r.Dead() }

// wantedFunc is ftrace_trace_function, which ftrace_kill makes ftrace_stub.
func (r *Registry) wantedFunc() uint64 {
	if r.Dead() {
		return r.code.Stub
	}
	return r.traceFunc
}

// printk writes a line of the kernel's log.
func (r *Registry) printk(line string) {
	r.consoleMu.Lock()
	defer r.consoleMu.Unlock()
	if r.console != nil {
		r.console(line)
	}
}

// dead is the error of an operation on a dead ftrace, with what killed it.
func (r *Registry) dead() error {
	if r.bug != nil {
		return fmt.Errorf("ftrace is dead: %w: %w", errno.ENODEV, r.bug)
	}
	return fmt.Errorf("ftrace is dead: %w", errno.ENODEV)
}
