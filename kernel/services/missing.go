package services

import (
	"fmt"

	"callops/emu"
	"callops/internal/errno"
)

// MissingError is a function that guest code called and that nothing stands in for. It
// matches ENOSYS. The kernel's own code would wait for, or fault on, what is not booted.
type MissingError struct {
	Func   string // the function
	What   string // what it belongs to, as in docs/services.md
	Caller string // what called it, as %pS; "" where the call itself did
}

func (e *MissingError) Error() string {
	by := ""
	if e.Caller != "" {
		by = " by " + e.Caller
	}
	return fmt.Sprintf("%s was called%s, and callops has no %s for a kernel that is not booted", e.Func, by, e.What)
}

// Is reports ENOSYS.
func (e *MissingError) Is(target error) bool { return target == errno.ENOSYS }

// missing makes functions that end the call: nothing would do what they start.
func missing(what string) func(*Services, Replaced) emu.GateFunc {
	return serving(func(c *request) (uint64, error) {
		return 0, &MissingError{Func: c.r.Name, What: what, Caller: c.caller()}
	})
}
