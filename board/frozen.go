package board

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/kernel"
	"callops/kernelimage"
)

// Frozen is a booted board in a file: machines begin from it in milliseconds, and share what they do
// not write to. It may be used from any goroutine.
type Frozen struct {
	img     *kernelimage.Image
	symbols *kernel.Symbols
	file    *os.File
	state   *state
}

// A snapshot's file is a header of headerSize bytes, and the RAM behind it, with holes where it is zero.
// The header is magic, the length and the CRC-32C of what follows in 32 bits each, and a snapshotHeader in JSON.
const (
	snapshotMagic = "callops board 2\n"
	headerSize    = 256 << 10
	chunkSize     = 64 << 10 // a hole is at least that large
)

// snapshotHeader is what a snapshot tells of its RAM.
type snapshotHeader struct {
	Key   string // what it was made of
	Sum   uint32 // CRC-32C of the chunks that are not zero, with their numbers
	State *state
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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
	state, err := m.write(file, "")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("freeze: %w", err), file.Close())
	}
	return &Frozen{m.img, m.symbols, file, state}, nil
}

// write writes the board to an empty file.
func (m *Machine) write(f *os.File, key string) (*state, error) {
	if m.err != nil || m.init == nil || m.calling {
		return nil, fmt.Errorf("the board does not stand still after its boot: %w", errno.EBUSY)
	}
	h := snapshotHeader{Key: key, State: m.save()}
	if err := f.Truncate(headerSize + int64(len(m.ram))); err != nil {
		return nil, err
	}
	for at := 0; at < len(m.ram); at += chunkSize {
		chunk := m.ram[at : at+chunkSize]
		if isZero(chunk) {
			continue
		}
		h.Sum = sumChunk(h.Sum, at, chunk)
		if _, err := f.WriteAt(chunk, headerSize+int64(at)); err != nil {
			return nil, err
		}
	}
	b, err := json.Marshal(&h)
	if err != nil {
		return nil, err
	}
	header := binary.LittleEndian.AppendUint32([]byte(snapshotMagic), uint32(len(b)))
	header = binary.LittleEndian.AppendUint32(header, crc32.Checksum(b, castagnoli))
	if header = append(header, b...); len(header) > headerSize {
		return nil, fmt.Errorf("a state of %d bytes: %w", len(b), errno.E2BIG)
	}
	_, err = f.WriteAt(header, 0)
	return h.State, err
}

var zeros [chunkSize]byte

func isZero(chunk []byte) bool { return bytes.Equal(chunk, zeros[:len(chunk)]) }

func sumChunk(sum uint32, at int, chunk []byte) uint32 {
	sum = crc32.Update(sum, castagnoli, binary.LittleEndian.AppendUint64(nil, uint64(at)))
	return crc32.Update(sum, castagnoli, chunk)
}

// readFrozen reads a snapshot's header, and takes the file.
func readFrozen(img *kernelimage.Image, f *os.File, key string) (*Frozen, error) {
	h, err := readHeader(io.NewSectionReader(f, 0, headerSize))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case h.Key != key:
		return nil, fmt.Errorf("it is of another kernel, board or version: %w", errno.ESTALE)
	case info.Size() != headerSize+ramSize+windowSize:
		return nil, fmt.Errorf("it has %d bytes, and not %d: %w", info.Size(), headerSize+ramSize+windowSize, errno.EINVAL)
	}
	ram, err := hostmem.Map(f, int(info.Size()), false)
	if err != nil {
		return nil, err
	}
	sum := uint32(0)
	for at := 0; at < len(ram)-headerSize; at += chunkSize {
		if chunk := ram[headerSize+at:][:chunkSize]; !isZero(chunk) {
			sum = sumChunk(sum, at, chunk)
		}
	}
	if err := hostmem.Free(ram); err != nil {
		return nil, err
	}
	if sum != h.Sum {
		return nil, fmt.Errorf("its RAM has checksum %#x, and not %#x: %w", sum, h.Sum, errno.EINVAL)
	}
	return &Frozen{img, kernel.NewSymbols(img.Symbols()...), f, h.State}, nil
}

// readHeader reads what a snapshot begins with, which is untrusted.
func readHeader(r io.Reader) (*snapshotHeader, error) {
	head := make([]byte, len(snapshotMagic)+8)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[len(snapshotMagic):])
	if string(head[:len(snapshotMagic)]) != snapshotMagic || n > headerSize {
		return nil, fmt.Errorf("it is no snapshot of a board: %w", errno.EINVAL)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	if sum := binary.LittleEndian.Uint32(head[len(snapshotMagic)+4:]); sum != crc32.Checksum(b, castagnoli) {
		return nil, fmt.Errorf("its header has checksum %#x, and not %#x: %w", crc32.Checksum(b, castagnoli), sum, errno.EINVAL)
	}
	var h snapshotHeader
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, fmt.Errorf("its header: %w", errors.Join(err, errno.EINVAL))
	}
	if h.State == nil {
		return nil, fmt.Errorf("its header has no state: %w", errno.EINVAL)
	}
	return &h, nil
}

// Start makes a machine that goes on from where the board was frozen. console is as in [Options].
func (z *Frozen) Start(console func(line string)) (*Machine, error) {
	m, err := newMachine(z.img, z.symbols, &Options{CPUs: len(z.state.CPUs), Console: console})
	if err != nil {
		return nil, err
	}
	if err = hostmem.Overlay(m.ram, z.file, headerSize); err == nil {
		err = m.restore(z.state)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a frozen board: %w", err), m.Close())
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
// are not of this kernel and this program, or damaged, are made anew.
func Start(ctx context.Context, img *kernelimage.Image, opts *Options) (*Machine, error) {
	if opts == nil {
		opts = &Options{}
	}
	path, key, err := snapshotFile(ctx, img, opts)
	if err != nil {
		return nil, fmt.Errorf("snapshot of %s: %w", img.Name(), err)
	}
	if m, err := startFrom(path, key, img, opts); err == nil {
		return m, nil
	}
	m, err := Boot(ctx, img, opts)
	if err != nil {
		return nil, err
	}
	err = m.mountUsual(ctx)
	if err == nil {
		err = m.saveTo(path, key)
	}
	if err == nil {
		err = prune(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("snapshot of %s: %w", img.Name(), err), m.Close())
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
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	z, err := readFrozen(img, f, key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	m, err := z.Start(opts.Console)
	return m, errors.Join(err, z.Close())
}
