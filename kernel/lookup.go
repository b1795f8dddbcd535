package kernel

import (
	"errors"
	"fmt"
	"strings"

	"callops/internal/errno"
	"callops/internal/near"
	"callops/kernelimage"
)

// Func returns the address of a function, named as [Symbols.Lookup] takes names.
// The error for an unknown one is ENOENT and names functions with similar
// names.
func (k *Kernel) Func(name string) (uint64, error) {
	sym, err := k.Symbols.Lookup(name)
	if err == nil && k.inFreedInit(sym.Addr) {
		return 0, fmt.Errorf("%s was in init text, which has been freed: %w", name, errno.ENOENT)
	}
	if err == nil && sym.Func {
		return sym.Addr, nil
	}
	if err == nil {
		return 0, fmt.Errorf("%s is an object, not a function: %w", name, errno.ENOENT)
	}
	if !errors.Is(err, errno.ENOENT) {
		return 0, err // several have that name
	}
	if addr, parsed := parseAddr(name); parsed == nil {
		if in, off, ok := k.Symbols.At(addr); ok {
			return 0, fmt.Errorf("no function begins at %s: it is %s+%#x: %w", name, in.Name, off, errno.ENOENT)
		}
	}
	return 0, k.suggest(err, name, func(sym kernelimage.Symbol) bool { return sym.Func })
}

// Symbol is [Symbols.Lookup] with an error that names symbols with similar names.
func (k *Kernel) Symbol(name string) (kernelimage.Symbol, error) {
	sym, err := k.Symbols.Lookup(name)
	if errors.Is(err, errno.ENOENT) {
		err = k.suggest(err, name, func(kernelimage.Symbol) bool { return true })
	}
	return sym, err
}

func (k *Kernel) suggest(err error, name string, may func(kernelimage.Symbol) bool) error {
	near := k.Symbols.Near(name, 3, may)
	if len(near) == 0 {
		return err
	}
	return fmt.Errorf("%w; is one of these meant: %s?", err, strings.Join(near, ", "))
}

// Near returns up to n names of symbols that may be meant, the most similar first.
func (s *Symbols) Near(name string, n int, may func(kernelimage.Symbol) bool) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return near.Names(name, func(yield func(string) bool) {
		for _, t := range s.tables() {
			for sym := range t.All() {
				if may(sym) && !yield(sym.Name) {
					return
				}
			}
		}
	}, n)
}
