package main

import (
	"errors"
	"fmt"

	"callops/internal/errno"
	"callops/kernelimage/ctype"

	"callops/emu"
	"callops/kernel"
)

// check checks the arguments against the function's prototype, where the kernel
// or its module has one.
func (inv *invocation) check(k *kernel.Kernel) error {
	p, err := k.Prototype(inv.name)
	switch {
	case errors.Is(err, errno.ENOENT), errors.Is(err, errno.EINVAL):
		return nil // nothing, or nothing certain, is known
	case err != nil:
		return err
	}
	if have, want := len(inv.args), p.Args(); have < want || have > want && !p.Variadic {
		return usagef("%s: %s, it takes %d: %s", inv.name, plural(have, "argument"), want, p)
	}
	for i, a := range inv.args {
		if t, ok := p.Arg(i); ok {
			if wrong := a.unfit(k, t); wrong != "" {
				return usagef("%s: argument %d %s: %s", inv.name, i+1, wrong, p)
			}
		}
	}
	inv.proto = p
	return nil
}

// unfit describes why an argument does not fit a parameter of type t; "" if it
// does.
func (a *argument) unfit(k *kernel.Kernel, t ctype.Type) string {
	number := a.data == nil && a.symbol == "" && a.from == nil
	switch {
	case a.data != nil && (t.Kind == ctype.Int || t.Kind == ctype.Bool):
		return "is a number, and not the address of " + a.text
	case number && t.Kind == ctype.Int && !fits(a.value, t.Size):
		return fmt.Sprintf("has %d bits, and %s does not fit", 8*t.Size, a.text)
	case number && t.Kind == ctype.Bool && a.value > 1:
		return "is 0 or 1, and not " + a.text
	case t.Func && (a.data != nil || number && a.value != 0 && !executable(k, a.value)):
		return fmt.Sprintf("points to a function, and %s is not the address of one: pass &NAME", a.text)
	}
	return ""
}

// fits reports whether a value fits in the given number of bytes, signed or not.
func fits(v uint64, size int) bool {
	if size >= 8 {
		return true
	}
	top := int64(v) >> (8*size - 1)
	return v>>(8*size) == 0 || top == -1
}

func executable(k *kernel.Kernel, addr uint64) bool {
	r := k.Mem.Region(addr)
	return r != nil && r.Perm&emu.Exec != 0 && addr%4 == 0
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// maxErrno is MAX_ERRNO (include/linux/err.h): pointers from -maxErrno up are
// errors.
const maxErrno = 4095

// returned writes the function's result by its type; without a type, every
// plausible reading of x0.
func (inv *invocation) returned(k *kernel.Kernel, x0 uint64) string {
	if inv.proto == nil {
		if int64(x0) < 0 {
			return fmt.Sprintf("%#x (%d, %d)", x0, x0, int64(x0))
		}
		return fmt.Sprintf("%#x (%d)", x0, x0)
	}
	t := inv.proto.Result
	if t.Size < 8 {
		x0 &= 1<<(8*t.Size) - 1 // the rest of the register is not the result's
	}
	switch t.Kind {
	case ctype.Void:
		return ""
	case ctype.Bool:
		return fmt.Sprintf("%t", x0 != 0)
	case ctype.Pointer:
		return inv.pointer(k, x0)
	}
	if shift := 64 - 8*min(t.Size, 8); t.Signed && int64(x0<<shift) < 0 {
		return fmt.Sprintf("%d", int64(x0<<shift)>>shift)
	}
	return fmt.Sprintf("%d (%#x)", x0, x0)
}

// pointer describes what an address points to: an argument, or a symbol.
func (inv *invocation) pointer(k *kernel.Kernel, addr uint64) string {
	switch {
	case addr == 0:
		return "NULL"
	case -addr <= maxErrno:
		return fmt.Sprintf("%#x (error %d)", addr, int64(addr))
	}
	for _, a := range inv.args {
		if a.data == nil || addr < a.value || addr > a.value+uint64(len(a.data)) {
			continue
		}
		return fmt.Sprintf("%#x (%s+%d)", addr, a.text, addr-a.value)
	}
	if name := (names{k}).short(addr); name != "" {
		return fmt.Sprintf("%#x (%s)", addr, name)
	}
	return fmt.Sprintf("%#x", addr)
}
