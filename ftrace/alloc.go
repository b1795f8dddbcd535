package ftrace

import (
	"fmt"

	"callops/internal/errno"
)

// Working copies of hashes live in Go, and a committed one is one object. Linux allocates
// a struct ftrace_hash, its buckets and each entry of every hash, and any of these can
// fail: so the core asks, in Linux's order, where Linux allocates.

// alloc asks for n allocations of what; ENOMEM where one fails.
func (r *Registry) alloc(what string, n int) error {
	for ; n > 0 && r.failAlloc != nil; n-- {
		if r.failAlloc(what) {
			return fmt.Errorf("%s: %w", what, errno.ENOMEM)
		}
	}
	return nil
}

// allocHash is alloc_ftrace_hash.
func (r *Registry) allocHash() error { return r.alloc("hash", 2) }

// addEntry is add_hash_entry.
func (r *Registry) addEntry(h *hash, e entry) error {
	if err := r.alloc("entry of a hash", 1); err != nil {
		return err
	}
	h.add(e)
	return nil
}

// copyHash is alloc_and_copy_ftrace_hash.
func (r *Registry) copyHash(h *hash) (*hash, error) {
	if err := r.allocHash(); err != nil {
		return nil, err
	}
	if !h.empty() {
		if err := r.alloc("entry of a hash", h.count); err != nil {
			return nil, err
		}
	}
	return h.clone(), nil
}
