package ftrace

import (
	"fmt"
	"io"
	"strings"

	"callops/internal/errno"
)

// The control files' text, byte for byte as Linux prints it (t_show in
// kernel/trace/ftrace.c).

// WriteAvailable writes available_filter_functions; with addrs,
// available_filter_functions_addrs, each name after its site's address.
func (r *Registry) WriteAvailable(w io.Writer, addrs bool) error {
	text, err := r.available(addrs)
	if err != nil {
		return err
	}
	return writeText(w, text)
}

func writeText(w io.Writer, text string) error {
	if w == nil {
		return fmt.Errorf("nothing to write to: %w", errno.EINVAL)
	}
	_, err := io.WriteString(w, text)
	return err
}

func (r *Registry) available(addrs bool) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Dead() {
		return "", r.dead()
	}
	var b strings.Builder
	for rec := range r.each() {
		if addrs {
			fmt.Fprintf(&b, "%x ", rec.IP)
		}
		b.WriteString(r.siteName(rec.IP))
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// WriteEnabled writes enabled_functions. It is empty once ftrace is dead.
func (r *Registry) WriteEnabled(w io.Writer) error {
	return writeText(w, r.formatRecords(RecEnabled))
}

// WriteTouched writes touched_functions: the sites that were ever enabled.
// Profiles before 6.12 have no such file, and print nothing.
func (r *Registry) WriteTouched(w io.Writer) error {
	return writeText(w, r.formatRecords(r.prof.history&RecTouched))
}

func (r *Registry) formatRecords(with RecFlags) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for rec := range r.each() {
		if rec.is(with) && !r.Dead() {
			b.WriteString(r.formatRecord(rec))
		}
	}
	return b.String()
}

func (r *Registry) formatRecord(rec *Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d)%s%s%s%s", r.siteName(rec.IP), r.prof.count(rec.Flags),
		letter(rec.is(RecRegs), " R"), letter(rec.is(RecIPModify), " I"), letter(rec.is(RecDirect), " D"), r.callOpsLetter(rec))
	if r.prof.history != 0 {
		b.WriteString(letter(rec.is(RecModified), " M") + " ")
	}
	b.WriteString(r.trampolines(rec))
	if r.prof.ifCallOps(rec.Flags)&RecCallOpsEn != 0 {
		if o := r.uniqueOps(rec.IP, nil); o != nil {
			fmt.Fprintf(&b, "\tops: %s (%s)", r.sym(o.addr), r.sym(o.Func()))
		} else {
			b.WriteString("\tops: ERROR!")
		}
	}
	if rec.is(RecDirect) {
		if addr := r.directOf(rec.IP); addr != 0 {
			fmt.Fprintf(&b, "\n\tdirect-->%s", r.sym(addr))
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// trampolines names what a site with TRAMP_EN calls.
func (r *Registry) trampolines(rec *Record) string {
	if !rec.is(RecTrampEn) {
		return ""
	}
	var b strings.Builder
	for _, o := range r.list {
		if o.trampoline != 0 && o.hash.match(rec.IP) {
			fmt.Fprintf(&b, "\ttramp: %s (%s)", r.sym(o.trampoline), r.sym(o.Func()))
		}
	}
	if b.Len() == 0 {
		return "\ttramp: ERROR!"
	}
	return b.String()
}

// siteName is print_rec, which on arm64 is %ps: the function's name and, in
// brackets, its module; the address where it belongs to no symbol.
func (r *Registry) siteName(ip uint64) string {
	name, module, ok := r.k.Symbols.FormatName(ip)
	if !ok {
		return fmt.Sprintf("%#x", ip)
	}
	if module != "" {
		name += " [" + module + "]"
	}
	return name
}

// callOpsLetter is the column that came with CALL_OPS.
func (r *Registry) callOpsLetter(rec *Record) string {
	if !r.prof.callOps {
		return ""
	}
	return letter(rec.is(RecCallOps), " O")
}

// letter is s, or as many spaces.
func letter(on bool, s string) string {
	if on {
		return s
	}
	return strings.Repeat(" ", len(s))
}
