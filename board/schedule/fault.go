package schedule

import (
	"encoding/binary"
	"fmt"

	"callops/board"
	"callops/internal/errno"
)

// Fault is a deliberate fault in the kernel's machine code, which a search has to find.
type Fault struct {
	Name     string
	What     string // in words
	Workload string // that shows it

	plant func(m *board.Machine) error
}

func (f *Fault) name() string {
	if f == nil {
		return ""
	}
	return f.Name
}

// text is the code of a function.
type text struct {
	m     *board.Machine
	start uint64
	words []uint32
}

func function(m *board.Machine, name string) (*text, error) {
	start, end, err := m.Extent(name)
	if err != nil {
		return nil, err
	}
	b := make([]byte, end-start)
	if err := m.ReadMemory(start, b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t := &text{m: m, start: start}
	for ; len(b) >= 4; b = b[4:] {
		t.words = append(t.words, binary.LittleEndian.Uint32(b))
	}
	return t, nil
}

func (t *text) addr(i int) uint64 { return t.start + 4*uint64(i) }

func (t *text) put(i int, w uint32) error {
	return t.m.PatchText(t.addr(i), binary.LittleEndian.AppendUint32(nil, w))
}

// calls are the places at which the function calls, or jumps to, another one.
func (t *text) calls(target uint64) (at []int) {
	for i, w := range t.words {
		if w&0x7c000000 == 0x14000000 && t.addr(i)+uint64(int64(int32(w<<6))>>4) == target {
			at = append(at, i)
		}
	}
	return at
}

// noCall has those of the functions that the kernel has not call the targets.
func noCall(callers []string, targets ...string) func(*board.Machine) error {
	return instead(callers, nop, targets...)
}

// instead has them execute another instruction in the place of the calls. A tail call becomes RET.
func instead(callers []string, word uint32, targets ...string) func(*board.Machine) error {
	return eachCall(callers, targets, func(t *text, i int) error {
		if t.words[i]&linkBit == 0 {
			return t.put(i, ret)
		}
		return t.put(i, word)
	})
}

// eachCall does something at each call of a target in those of the functions that the kernel has. ENOENT where there is none.
func eachCall(callers, targets []string, do func(t *text, i int) error) func(*board.Machine) error {
	return func(m *board.Machine) error {
		found := 0
		for _, caller := range callers {
			t, err := function(m, caller)
			if err != nil {
				continue // inlined into another one of them
			}
			for _, target := range targets {
				addr, err := m.Symbol(target)
				if err != nil {
					continue
				}
				for _, i := range t.calls(addr) {
					found++
					if err := do(t, i); err != nil {
						return err
					}
				}
			}
		}
		if found == 0 {
			return fmt.Errorf("no call of %v in %v: %w", targets, callers, errno.ENOENT)
		}
		return nil
	}
}
