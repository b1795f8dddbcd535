package board

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"callops/internal/cachefile"
	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/kernelimage"
)

// Frozen is a booted board in a file: machines begin from it in milliseconds, and share what they do
// not write to. It may be used from any goroutine.
type Frozen struct {
	img    *kernelimage.Image
	served []gate
	code   map[uint64]placed
	file   *os.File
	header *snapshotHeader
}

// Freeze keeps the board as it stands, for others to begin from. The board itself can go on.
func (m *Machine) Freeze() (*Frozen, error) {
	scratch, err := hostmem.NewScratch("board")
	if err != nil {
		return nil, err
	}
	file, ok := scratch.(*os.File)
	if !ok {
		return nil, errors.Join(fmt.Errorf("freeze: files can't be mapped here: %w", errors.ErrUnsupported), scratch.Close())
	}
	header, err := m.write(file, "")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("freeze: %w", err), file.Close())
	}
	return &Frozen{img: m.img, code: maps.Clone(m.code), served: slices.Clone(m.served), file: file, header: header}, nil
}

// Start makes a machine that goes on from where the board was frozen. console is as in [Options].
func (z *Frozen) Start(console func(line string)) (*Machine, error) {
	m, err := newMachine(z.img, &Options{CPUs: len(z.header.State.CPUs), Console: console})
	if err != nil {
		return nil, err
	}
	if err = overlay(m.ram, z.file, z.header.Parts); err == nil {
		err = m.restore(z.header.State)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a frozen board: %w", err), m.Close())
	}
	for base, p := range z.code {
		m.keepCode(base, p)
	}
	for _, g := range z.served {
		if _, err := m.Gate(g.name, g.fn); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

// Close frees the frozen board. Machines that began from it go on.
func (z *Frozen) Close() error { return z.file.Close() }

// usualMounts are the file systems that a distribution mounts.
var usualMounts = []struct{ kind, dir string }{
	{"proc", "/proc"}, {"sysfs", "/sys"}, {"tracefs", "/sys/kernel/tracing"}, {"debugfs", "/sys/kernel/debug"},
}

// Start boots a kernel and mounts what a distribution does, as far as the kernel has it: proc, sysfs, tracefs and debugfs. Or it
// begins from the snapshot that an earlier Start of the same kernel with the same options left in the user's cache folder. The console of such a machine begins after the boot. Snapshots that
// are not of this kernel and this program, or damaged, are made anew. A cache folder that can't be used is no error.
func Start(ctx context.Context, img *kernelimage.Image, opts *Options) (*Machine, error) {
	if opts == nil {
		opts = &Options{}
	}
	path, key, err := snapshotFile(ctx, img, opts)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("snapshot of %s: %w", img.Name(), err)
	}
	if m, err := startFrom(path, key, img, opts); err == nil {
		return m, nil
	}
	m, err := Boot(ctx, img, opts)
	if err != nil {
		return nil, err
	}
	if err := m.mountUsual(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", img.Name(), err), m.Close())
	}
	if err != nil || m.saveTo(path, key) != nil {
		return m, nil // no cache, and the next Start boots again
	}
	_ = cachefile.Prune(path, keptSnapshots)
	// The first machine begins from the snapshot too: its time is else some ns before that of the next ones.
	if fresh, err := startFrom(path, key, img, opts); err == nil {
		return fresh, m.Close()
	}
	return m, nil
}

// mountUsual mounts those that the kernel has.
func (m *Machine) mountUsual(ctx context.Context) error {
	for _, fs := range usualMounts {
		if err := m.Mount(ctx, fs.kind, fs.dir); err != nil && !errors.Is(err, errno.ENODEV) && !errors.Is(err, errno.ENOENT) {
			return err
		}
	}
	return nil
}

func startFrom(path, key string, img *kernelimage.Image, opts *Options) (*Machine, error) {
	f, err := cachefile.Open(path)
	if err != nil {
		return nil, err
	}
	header, err := readSnapshot(f, key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	z := &Frozen{img: img, file: f, header: header}
	m, err := z.Start(opts.Console)
	return m, errors.Join(err, z.Close())
}
