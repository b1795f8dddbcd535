package asm

import (
	"errors"
	"fmt"
)

// Categories of errors, for errors.Is. They are always returned wrapped.
var (
	ErrRange      = errors.New("out of range")
	ErrImmediate  = errors.New("immediate cannot be encoded")
	ErrRegister   = errors.New("register not allowed here")
	ErrMisaligned = errors.New("misaligned")
	ErrLabel      = errors.New("bad label")
)

// RangeError reports a PC-relative operand that does not reach its target. The
// distance To-From has to be in [Min, Max). It matches [ErrRange].
type RangeError struct {
	Op       string // mnemonic
	From, To uint64
	Min, Max int64
}

func (e *RangeError) Error() string {
	d := int64(e.To - e.From)
	return fmt.Sprintf("%s from %#x to %#x: distance %s is not in [%s, %s): %v",
		e.Op, e.From, e.To, signedHex(d), signedHex(e.Min), signedHex(e.Max), ErrRange)
}

func (e *RangeError) Is(target error) bool { return target == ErrRange }

func signedHex(v int64) string {
	if v < 0 {
		return fmt.Sprintf("-%#x", -uint64(v))
	}
	return fmt.Sprintf("+%#x", v)
}
