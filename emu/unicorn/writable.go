//go:build cgo

package unicorn

import (
	"errors"
	"slices"
	"sync"

	"callops/emu"
)

// writable are the pages of regions that guest code can both write and
// execute. At any time each can be only the one or the other, on all CPUs, so
// that what is executed has been looked at: fetching from one takes the right
// to write it, a store the right to execute it.
type writable struct {
	running sync.RWMutex // read-locked by a CPU with such regions in the library

	cpus map[*emu.Region][]*CPU // that have the region
	exec map[uint64]bool        // pages that no CPU can write
}

// isWritable reports whether the region is one of these.
func isWritable(r *emu.Region) bool {
	return r.Perm&(emu.Write|emu.Exec) == emu.Write|emu.Exec
}

// add tells of a CPU that has mapped the region, perhaps again.
func (w *writable) add(r *emu.Region, c *CPU) error {
	w.running.Lock()
	defer w.running.Unlock()
	if w.cpus == nil {
		w.cpus, w.exec = map[*emu.Region][]*CPU{}, map[uint64]bool{}
	}
	if slices.Contains(w.cpus[r], c) {
		return nil
	}
	w.cpus[r] = append(w.cpus[r], c)
	var errs []error
	for page := range w.exec {
		if page >= r.Base && page < r.End() {
			errs = append(errs, c.state.text.closePage(page, false))
		}
	}
	return errors.Join(errs...)
}

// open has the CPU execute from a page.
func (w *writable) open(r *emu.Region, page uint64, c *CPU) error {
	w.running.Lock()
	defer w.running.Unlock()
	if !w.exec[page] {
		if err := w.close(r, page, false); err != nil {
			return err
		}
		w.exec[page] = true
	}
	return c.state.text.openPage(page, r)
}

// write lets CPUs write a page; it reports whether they could not before.
func (w *writable) write(r *emu.Region, page uint64) (bool, error) {
	w.running.Lock()
	defer w.running.Unlock()
	if !w.exec[page] {
		return false, nil
	}
	delete(w.exec, page)
	return true, w.close(r, page, true)
}

func (w *writable) close(r *emu.Region, page uint64, writable bool) error {
	var errs []error
	for _, c := range w.cpus[r] {
		errs = append(errs, c.state.text.closePage(page, writable))
	}
	return errors.Join(errs...)
}
