package emu

import (
	"fmt"
	"slices"

	"callops/internal/errno"
)

// Translation is told of what guest code does to the translation of addresses, by the CPU
// that did it, between two instructions.
type Translation interface {
	// Invalidate is TLBI: of everything, or of the page that holds addr.
	Invalidate(all bool, addr uint64)
}

// UnmapObserver is a [TextObserver] that keeps what it derived from where a region lies.
type UnmapObserver interface {
	// Unmapped says that nothing is at [addr, addr+size) any more.
	Unmapped(addr, size uint64)
}

// SetTranslation has t told of TLB maintenance, which otherwise does nothing. It is called before a
// CPU is made.
func (m *Memory) SetTranslation(t Translation) { m.translation = t }

// Translation returns what SetTranslation has set.
func (m *Memory) Translation() Translation { return m.translation }

// Alias adds a region over host memory that another region or the caller owns: guest code sees
// the same bytes at several addresses. host is whole pages. Errors are those of [Memory.Map].
//
// A store through one alias to what is executed through another is seen after cache maintenance at
// the latter's address, as on hardware.
func (m *Memory) Alias(name string, base uint64, host []byte, perm Perm) (*Region, error) {
	if err := checkRange(name, base, uint64(len(host))); err != nil {
		return nil, err
	}
	r := &Region{Name: name, Base: base, Size: uint64(len(host)), Perm: perm, host: host, alias: true}
	if err := m.insert(r); err != nil {
		return nil, err
	}
	return r, nil
}

// Unmap removes aliases from [base, base+size): those that it cuts keep the rest. EINVAL
// where a region lies there that is no alias. CPUs may be between two instructions.
func (m *Memory) Unmap(base, size uint64) error {
	if size == 0 || base%PageSize != 0 || size%PageSize != 0 || base+size-1 < base {
		return fmt.Errorf("unmap %#x, %#x bytes: %w", base, size, errno.EINVAL)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, last := *m.regions.Load(), base+size-1
	first, _ := slices.BinarySearchFunc(old, base, func(r *Region, at uint64) int {
		if r.End()-1 < at {
			return -1
		}
		return 1
	})
	end := first
	for ; end < len(old) && old[end].Base <= last; end++ {
		if !old[end].alias {
			return fmt.Errorf("unmap %#x, %#x bytes: %s is no alias: %w", base, size, old[end].Name, errno.EINVAL)
		}
	}
	if end == first {
		return nil
	}
	var kept []*Region
	if r := old[first]; r.Base < base {
		kept = append(kept, r.part(r.Base, base))
	}
	if r := old[end-1]; r.End()-1 > last {
		kept = append(kept, r.part(last+1, r.End()))
	}
	regions := slices.Concat(old[:first], kept, old[end:])
	m.regions.Store(&regions)
	for _, o := range m.observers {
		if u, ok := o.(UnmapObserver); ok {
			u.Unmapped(base, size)
		}
	}
	return nil
}

// part is an alias of a part of r.
func (r *Region) part(start, end uint64) *Region {
	return &Region{Name: r.Name, Base: start, Size: end - start, Perm: r.Perm, alias: true, host: r.host[start-r.Base : end-r.Base : end-r.Base]}
}

// IsUser reports whether unprivileged code reaches all of [addr, addr+size).
func (m *Memory) IsUser(addr, size uint64) bool {
	user := func(at uint64) bool {
		r := m.Region(at)
		return r != nil && r.Perm&User != 0
	}
	return user(addr) && user(addr+size-1)
}
