package board

import (
	"encoding/binary"
	"fmt"
	"slices"

	"callops/internal/errno"
)

// sitesImm is the number of the HVC that stands in ftrace_init until it is called.
const sitesImm = 0xca13

// keepSites is the list of call sites that ftrace_init is to find: kept in the kernel's order, with zeros before them, which ftrace_process_locs
// skips as it does padding.
type keepSites struct {
	at    uint64 // the word that the HVC stands in, which is the kernel's before it
	word  uint32
	start uint64 // of the list
	list  []uint64
}

// hookSites has ftrace_init find the sites of some functions alone. The kernel relocates the list before, so that it can't be changed in the image.
func (m *Machine) hookSites(functions []uint64) error {
	start, err := m.symbols.Lookup("__start_mcount_loc")
	if err != nil {
		return err
	}
	stop, err := m.symbols.Lookup("__stop_mcount_loc")
	if err != nil {
		return err
	}
	init, err := m.symbols.Lookup("ftrace_init")
	if err != nil {
		return err
	}
	base, end := m.img.Linux().Base, m.img.Bounds().End
	if start.Addr < base || stop.Addr < start.Addr || stop.Addr > end || init.Addr < base || init.Addr > end-8 {
		return fmt.Errorf("the list of call sites from %#x to %#x: %w", start.Addr, stop.Addr, errno.ENOEXEC)
	}
	k := &keepSites{at: init.Addr, start: start.Addr, list: make([]uint64, (stop.Addr-start.Addr)/8)}
	if site, ok := m.img.Site(init.Addr); ok {
		k.at = site.IP + 4
	}
	if len(functions) > len(k.list) {
		return fmt.Errorf("%d call sites, the kernel has %d: %w", len(functions), len(k.list), errno.EINVAL)
	}
	kept := k.list[len(k.list)-len(functions):]
	for i, fn := range functions {
		site, ok := m.img.Site(fn)
		if !ok {
			return fmt.Errorf("%s has no call site: %w", m.where(fn), errno.ENOENT)
		}
		kept[i] = site.Entry
	}
	slices.Sort(kept)
	word := m.ram[k.at-base:]
	k.word = binary.LittleEndian.Uint32(word)
	binary.LittleEndian.PutUint32(word, hvcWord|sitesImm<<5)
	m.sites = k
	return nil
}

// cutSites is the HVC in ftrace_init, which goes on as if nothing had stood there.
func (m *Machine) cutSites(c *cpu) error {
	k := m.sites
	if k == nil || c.Regs().PC != k.at+4 {
		c.Regs().X[0] = psciNotSupported
		return nil
	}
	base := m.img.Linux().Base
	for i, entry := range k.list {
		binary.LittleEndian.PutUint64(m.ram[k.start-base+8*uint64(i):], entry)
	}
	binary.LittleEndian.PutUint32(m.ram[k.at-base:], k.word)
	m.mem.SyncText(k.at, 4)
	c.Regs().PC = k.at
	m.sites = nil
	return nil
}
