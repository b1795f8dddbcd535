package emu

import (
	"fmt"

	"callops/internal/errno"
)

// PermObserver is a [TextObserver] that keeps what it derived from a region's permissions.
type PermObserver interface {
	// PermChanged says that guest code may no longer store to the region.
	PermChanged(r *Region)
}

// WriteProtect takes the right to store to a region from guest code, for good, on every CPU
// (set_memory_ro). EINVAL for a region of another memory, and for one that may be executed too:
// what engines know of its words depends on who may write them. No CPU may run meanwhile.
func (m *Memory) WriteProtect(r *Region) error {
	if r == nil || m.Region(r.Base) != r || r.Perm&Exec != 0 {
		return fmt.Errorf("write-protect: not a region of data of this memory: %w", errno.EINVAL)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Perm &^= Write
	for _, o := range m.observers {
		if p, ok := o.(PermObserver); ok {
			p.PermChanged(r)
		}
	}
	return nil
}
