package emu

import (
	"errors"
	"fmt"
)

// UnsupportedError is an instruction that the architecture defines and no
// engine executes; emu/isa has which. PC stands on it, and nothing of it was
// done. errors.Is(err, errors.ErrUnsupported) holds.
type UnsupportedError struct {
	PC   uint64
	Word uint32
	Text string // disassembled
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("instruction %s (%#08x) at %#x is not supported: no FP, no SIMD, no access to translation, exception level or debug state", e.Text, e.Word, e.PC)
}

// Is reports that the error is one of a missing feature.
func (e *UnsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }
