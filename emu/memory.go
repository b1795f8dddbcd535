package emu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"callops/internal/errno"
	"callops/internal/hostmem"
)

// PageSize is the granule: regions begin and end on it.
const PageSize = 4096

// Perm is what guest code may do with a region. The host (the patcher, a
// loader) reaches every mapped byte whatever its Perm, as Linux does through
// an alias mapping.
type Perm uint8

// Permissions of a region.
const (
	Read Perm = 1 << iota
	Write
	Exec
	// User is that unprivileged loads and stores (LDTR, STTR) reach it too.
	User
)

func (p Perm) String() string {
	s := []byte("---")
	for i, c := range "rwx" {
		if p&(1<<i) != 0 {
			s[i] = byte(c)
		}
	}
	return string(s)
}

// Region is one mapped range of guest addresses.
type Region struct {
	Name string
	Base uint64
	Size uint64
	Perm Perm

	host  []byte
	alias bool        // host is another's
	filed atomic.Bool // some of host is a file's pages
}

// Filed reports whether pages of the region come from a file: what nothing has
// touched of another one is zero.
func (r *Region) Filed() bool { return r.filed.Load() }

// Host returns the host memory that backs the region. Where there is an engine in C
// it is mapped, not Go heap, so that the engine may keep its address until the
// Memory is closed.
func (r *Region) Host() []byte { return r.host }

// End is the first address after the region.
func (r *Region) End() uint64 { return r.Base + r.Size }

// TextObserver is notified of changed instructions. Every CPU of an engine that
// keeps decoded or translated code is one.
type TextObserver interface {
	// TextChanged says that the words in [addr, addr+size) may have changed:
	// whatever the observer derived from them is void before its next
	// instruction.
	TextChanged(addr, size uint64)
}

// Memory is guest memory: regions of mmap'd host memory, shared by all CPUs.
// Accesses from Go check the mapping and alignment, not the permissions, and
// fail with a [*Fault].
type Memory struct {
	mu        sync.Mutex // guards the slow paths: mapping and observers
	regions   atomic.Pointer[[]*Region]
	observers []TextObserver
	registers map[uint16]uint64
	stores    atomic.Pointer[StoreObserver]

	translation Translation // nil: addresses are what regions say
}

// SetRegister has CPUs read a constant system register as something else than package isa says. id is
// bits 20:5 of its MRS. It is called before a CPU is made.
func (m *Memory) SetRegister(id uint16, value uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.registers == nil {
		m.registers = make(map[uint16]uint64)
	}
	m.registers[id] = value
}

// Register returns what SetRegister has set.
func (m *Memory) Register(id uint16) (value uint64, ok bool) {
	value, ok = m.registers[id]
	return value, ok
}

// CopyRegisters sets what another memory's SetRegister has set.
func (m *Memory) CopyRegisters(from *Memory) {
	for id, v := range from.registers {
		m.SetRegister(id, v)
	}
}

// NewMemory returns an empty address space.
func NewMemory() *Memory {
	m := &Memory{}
	m.regions.Store(&[]*Region{})
	return m
}

// Map adds a zeroed region. base and size are multiples of [PageSize]; a
// region that overlaps another or the gates, is empty or wraps is refused with
// EINVAL.
func (m *Memory) Map(name string, base, size uint64, perm Perm) (*Region, error) {
	host, err := m.hostPages(name, base, size)
	if err != nil {
		return nil, err
	}
	r := &Region{Name: name, Base: base, Size: size, Perm: perm, host: host}
	if err := m.insert(r); err != nil {
		return nil, errors.Join(err, hostmem.Free(host))
	}
	return r, nil
}

func checkRange(name string, base, size uint64) error {
	if base%PageSize != 0 || size%PageSize != 0 || size == 0 || base+size-1 < base || size > 1<<40 {
		return fmt.Errorf("map %s at %#x, %#x bytes: %w", name, base, size, errno.EINVAL)
	}
	if base < GateBase+GateSize && base+size-1 >= GateBase {
		return fmt.Errorf("map %s at %#x, %#x bytes: overlaps the gates: %w", name, base, size, errno.EINVAL)
	}
	return nil
}

func (m *Memory) hostPages(name string, base, size uint64) ([]byte, error) {
	if err := checkRange(name, base, size); err != nil {
		return nil, err
	}
	host, err := hostmem.Alloc(int(size))
	if err != nil {
		return nil, fmt.Errorf("map %s at %#x, %#x bytes: %w", name, base, size, err)
	}
	return host, nil
}

func (m *Memory) insert(r *Region) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.regions.Load()
	i := sort.Search(len(old), func(i int) bool { return old[i].Base > r.Base })
	for _, n := range []int{i - 1, i} {
		if n >= 0 && n < len(old) && r.Base <= old[n].End()-1 && old[n].Base <= r.End()-1 {
			return fmt.Errorf("map %s at %#x, %#x bytes: overlaps %s: %w", r.Name, r.Base, r.Size, old[n].Name, errno.EINVAL)
		}
	}
	regions := make([]*Region, 0, len(old)+1)
	regions = append(append(append(regions, old[:i]...), r), old[i:]...)
	m.regions.Store(&regions)
	return nil
}

// Regions returns the regions in address order.
func (m *Memory) Regions() []*Region { return *m.regions.Load() }

// Region returns the region that holds addr, or nil.
func (m *Memory) Region(addr uint64) *Region {
	regions := *m.regions.Load()
	lo, hi := 0, len(regions)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if regions[mid].Base <= addr {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 || addr-regions[lo-1].Base >= regions[lo-1].Size {
		return nil
	}
	return regions[lo-1]
}

// FreeRange returns the lowest page-aligned address in [lo, hi) from which
// size bytes are unmapped.
func (m *Memory) FreeRange(lo, hi, size uint64) (uint64, bool) {
	addr := (lo + PageSize - 1) &^ (PageSize - 1)
	for _, r := range m.Regions() {
		if r.End()-1 < addr {
			continue
		}
		if r.Base >= addr && r.Base-addr >= size {
			break
		}
		addr = r.End()
	}
	return addr, addr >= lo && addr < hi && hi-addr >= size
}

// bytes returns n bytes of host memory at addr, which lie in one region.
func (m *Memory) bytes(addr, n uint64, access Access) ([]byte, error) {
	r := m.Region(addr)
	if r == nil {
		return nil, &Fault{Addr: addr, Size: n, Access: access, Kind: Unmapped}
	}
	off := addr - r.Base
	if n > r.Size-off {
		return nil, &Fault{Addr: r.End(), Size: n, Access: access, Kind: Unmapped}
	}
	return r.host[off : off+n : off+n], nil
}

// word returns the host address of an aligned word of size bytes.
func (m *Memory) word(addr, size uint64, access Access) (unsafe.Pointer, error) {
	if addr%size != 0 {
		return nil, &Fault{Addr: addr, Size: size, Access: access, Kind: Misaligned}
	}
	b, err := m.bytes(addr, size, access)
	if err != nil {
		return nil, err
	}
	return unsafe.Pointer(unsafe.SliceData(b)), nil
}

// Load32 reads the aligned word at addr, atomically.
func (m *Memory) Load32(addr uint64) (uint32, error) {
	p, err := m.word(addr, 4, Load)
	if err != nil {
		return 0, err
	}
	return atomic.LoadUint32((*uint32)(p)), nil
}

// Load64 reads the aligned doubleword at addr, atomically.
func (m *Memory) Load64(addr uint64) (uint64, error) {
	p, err := m.word(addr, 8, Load)
	if err != nil {
		return 0, err
	}
	return atomic.LoadUint64((*uint64)(p)), nil
}

// Store32 writes the aligned word at addr, atomically.
func (m *Memory) Store32(addr uint64, v uint32) error {
	p, err := m.word(addr, 4, Store)
	if err != nil {
		return err
	}
	if o := m.stores.Load(); o != nil {
		(*o).HostStore(addr, 4, func() { atomic.StoreUint32((*uint32)(p), v) })
		return nil
	}
	atomic.StoreUint32((*uint32)(p), v)
	return nil
}

// Store64 writes the aligned doubleword at addr, atomically.
func (m *Memory) Store64(addr uint64, v uint64) error {
	p, err := m.word(addr, 8, Store)
	if err != nil {
		return err
	}
	if o := m.stores.Load(); o != nil {
		(*o).HostStore(addr, 8, func() { atomic.StoreUint64((*uint64)(p), v) })
		return nil
	}
	atomic.StoreUint64((*uint64)(p), v)
	return nil
}

// Read copies from guest memory; the range may span adjacent regions. It is
// not atomic.
func (m *Memory) Read(addr uint64, p []byte) error {
	return m.each(addr, p, Load, func(guest, part []byte) { copy(part, guest) })
}

// Write copies into guest memory, whatever the region's Perm. It is not
// atomic. Nothing is written when part of the range is unmapped.
func (m *Memory) Write(addr uint64, p []byte) error {
	if err := m.each(addr, p, Store, func(_, _ []byte) {}); err != nil {
		return err
	}
	write := func(guest, part []byte) { copy(guest, part) }
	if o := m.stores.Load(); o != nil {
		(*o).HostStore(addr, uint64(len(p)), func() { _ = m.each(addr, p, Store, write) }) // all of it is mapped
		return nil
	}
	return m.each(addr, p, Store, write)
}

func (m *Memory) each(addr uint64, p []byte, access Access, f func(guest, part []byte)) error {
	for len(p) > 0 {
		r := m.Region(addr)
		if r == nil {
			return &Fault{Addr: addr, Size: uint64(len(p)), Access: access, Kind: Unmapped}
		}
		off := addr - r.Base
		n := min(uint64(len(p)), r.Size-off)
		f(r.host[off:off+n], p[:n])
		addr, p = addr+n, p[n:]
	}
	return nil
}

// ReadString reads the NUL-terminated string at addr, at most limit bytes.
func (m *Memory) ReadString(addr uint64, limit int) (string, error) {
	var sb strings.Builder
	for sb.Len() < limit {
		b, err := m.bytes(addr+uint64(sb.Len()), 1, Load)
		if err != nil {
			return "", err
		}
		if b[0] == 0 {
			break
		}
		sb.WriteByte(b[0])
	}
	return sb.String(), nil
}

// ReadWords reads n doublewords at addr.
func (m *Memory) ReadWords(addr uint64, n int) ([]uint64, error) {
	b := make([]byte, 8*n)
	if err := m.Read(addr, b); err != nil {
		return nil, err
	}
	w := make([]uint64, n)
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return w, nil
}

// ObserveText adds an observer of instruction changes.
func (m *Memory) ObserveText(o TextObserver) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.observers = append(m.observers, o)
}

// IgnoreText removes an observer.
func (m *Memory) IgnoreText(o TextObserver) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, have := range m.observers {
		if have == o {
			m.observers = append(m.observers[:i:i], m.observers[i+1:]...)
			return
		}
	}
}

// SyncText makes every CPU see the instructions now in [addr, addr+size): the
// analogue of clean and invalidate to the point of unification.
func (m *Memory) SyncText(addr, size uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.observers {
		o.TextChanged(addr, size)
	}
}

// SyncAllText is SyncText of all regions that can be executed.
func (m *Memory) SyncAllText() {
	for _, r := range m.Regions() {
		if r.Perm&Exec != 0 {
			m.SyncText(r.Base, r.Size)
		}
	}
}

// Close unmaps everything. No engine may use the Memory any more.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, r := range *m.regions.Load() {
		if !r.alias {
			errs = append(errs, hostmem.Free(r.host))
		}
		r.host = nil
	}
	m.regions.Store(&[]*Region{})
	return errors.Join(errs...)
}
