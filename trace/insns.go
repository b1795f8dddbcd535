package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Insn is one instruction that a CPU has executed, or a gate that it reached.
type Insn struct {
	CPU     int
	Number  uint64 // of the CPU's instructions, from 1
	Addr    uint64
	Where   string // symbol+0xoff; "" where there is none
	Word    uint32
	Text    string
	Changes []RegChange
	Gate    string // the Go function that was called next; "": none
}

// RegChange is a register that an instruction changed.
type RegChange struct{ Reg, Value string }

// Patch is one store to the kernel's text.
type Patch struct {
	CPU      int    // that patched
	Number   uint64 // of the instructions that it had executed
	Addr     uint64
	Where    string
	Size     int    // bytes
	OldValue uint64 // before, and after
	Value    uint64
	Old, New string // as instructions, or as what a literal names
}

// InsnWriter gets events in their order, from any goroutine.
type InsnWriter interface {
	Insn(Insn)
	Patch(Patch)
}

// Columns of the text. On a terminal the registers come nearer.
const (
	textColumn  = 55
	regsColumn  = 76
	unboundRegs = 95
)

// InsnText is an InsnWriter of lines.
type InsnText struct {
	mu    sync.Mutex
	w     io.Writer
	width int
}

// NewInsnText writes the head. Lines are at most width columns long, and what does
// not fit goes on in the next one; a name that is longer than a line is not broken.
// Width 0 is a line an event, however long, as suits a pipe.
func NewInsnText(w io.Writer, width int) *InsnText {
	fmt.Fprintln(w, "# CPU  NUMBER  ADDRESS           WHERE                 INSTRUCTION, CHANGED REGISTERS")
	return &InsnText{w: w, width: width}
}

// Insn writes an instruction.
func (t *InsnText) Insn(e Insn) {
	regs := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		regs[i] = c.Reg + "=" + c.Value
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line(fmt.Sprintf("[%03d] %7d", e.CPU, e.Number), e.Addr, e.Where, e.Text, regs)
	if e.Gate != "" {
		fmt.Fprintf(t.w, "gate           %s\n", e.Gate)
	}
}

// Patch writes a store.
func (t *InsnText) Patch(e Patch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line(patchHead, e.Addr, e.Where, e.Old, []string{"-> " + e.New})
}

// patchHead stands where instructions have their CPU and number.
const patchHead = "patch"

// line writes one event; more are the pieces that may go on in further lines.
func (t *InsnText) line(head string, addr uint64, where, text string, more []string) {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%-13s  %016x  %s", head, addr, where)
	column := textColumn
	if sb.Len() > column-2 {
		column = sb.Len() + 2
	}
	fmt.Fprintf(&sb, "%*s%s", column-sb.Len(), "", text)
	regs := regsColumn
	if t.width == 0 {
		regs = unboundRegs
	}
	start := 0 // of the line that is being written
	for i, piece := range more {
		gap := 1
		if at := sb.Len() - start; i == 0 && head != patchHead {
			gap = max(regs-at, 2)
		}
		if t.width > 0 && sb.Len()-start+gap+len(piece) > t.width {
			sb.WriteString("\n")
			start, gap = sb.Len(), textColumn+2
		}
		fmt.Fprintf(&sb, "%*s%s", gap, "", piece)
	}
	fmt.Fprintln(t.w, strings.TrimRight(sb.String(), " "))
}

// InsnJSON is an InsnWriter of JSON objects, one a line, for others to put into an
// array. Addresses and registers are hexadecimal strings.
type InsnJSON struct {
	mu    sync.Mutex
	w     io.Writer
	first bool
	err   error
}

// NewInsnJSON writes nothing yet.
func NewInsnJSON(w io.Writer) *InsnJSON { return &InsnJSON{w: w, first: true} }

// Insn writes an instruction.
func (j *InsnJSON) Insn(e Insn) {
	regs := make(map[string]string, len(e.Changes))
	for _, c := range e.Changes {
		regs[c.Reg] = c.Value
	}
	j.write(struct {
		Event   string            `json:"event"`
		CPU     int               `json:"cpu"`
		Number  uint64            `json:"number"`
		Addr    string            `json:"address"`
		Where   string            `json:"where"`
		Word    string            `json:"word"`
		Text    string            `json:"text"`
		Changes map[string]string `json:"changes"`
		Gate    string            `json:"gate,omitempty"`
	}{"insn", e.CPU, e.Number, hex(e.Addr), e.Where, fmt.Sprintf("%08x", e.Word), e.Text, regs, e.Gate})
}

// Patch writes a store.
func (j *InsnJSON) Patch(e Patch) {
	j.write(struct {
		Event string `json:"event"`
		Addr  string `json:"address"`
		Where string `json:"where"`
		Old   string `json:"old"`
		New   string `json:"new"`
	}{"patch", hex(e.Addr), e.Where, e.Old, e.New})
}

// Err returns the first error of a write.
func (j *InsnJSON) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

func (j *InsnJSON) write(v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // "<ftrace_caller>" is not for a browser
	err := e.Encode(v)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil && j.err == nil {
		sep := ",\n"
		if j.first {
			sep = "\n"
		}
		j.first = false
		_, err = fmt.Fprintf(j.w, "%s    %s", sep, bytes.TrimSpace(b.Bytes()))
	}
	if j.err == nil {
		j.err = err
	}
}

func hex(v uint64) string { return fmt.Sprintf("%#x", v) }
