// Package imageindex reads and writes the file in which an image is kept as it was read: sections of bytes, and the pages
// that the kernel's own file does not have as they run.
//
//	header     magic, checksum of all that follows it, sizes
//	sections   one after the other
//	pages      from a multiple of the granule on, those of each run after those of the one before
//
// All numbers are little-endian. What the sections hold is the caller's; it is untrusted after it was read too, as anybody can
// write a file with a right checksum.
package imageindex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cespare/xxhash/v2"

	"callops/internal/errno"
	"callops/kernelimage/internal/backing"
)

const magic = "callops\nimage 1\n"

// Sections is how many there are.
const Sections = 6

// The header: after the magic, the checksum, the size of the image, the number of runs and the sections' sizes.
const (
	sumAt      = len(magic)
	sizeAt     = sumAt + 8
	runsAt     = sizeAt + 8
	sectionsAt = runsAt + 8
	headerSize = sectionsAt + 8*Sections
)

// The most that is read, so that a damaged header allocates no more.
const (
	maxSection = 64 << 20
	maxRuns    = 1 << 17
	runSize    = 16 // at, and how many bytes
)

// Index is what such a file holds.
type Index struct {
	Sections [Sections][]byte
	Size     uint64        // of the image, in bytes
	Runs     []backing.Run // in ascending order; a single one of the whole image where its file is packed
}

// Whole reports whether the pages are all of the image.
func (x *Index) Whole() bool { return len(x.Runs) == 1 && x.Runs[0].Size == x.Size }

func roundUp(n uint64) uint64 { return (n + backing.Granule() - 1) &^ (backing.Granule() - 1) }

// pagesAt is where the first run's pages are.
func (x *Index) pagesAt() uint64 {
	n := uint64(headerSize + runSize*len(x.Runs))
	for _, s := range x.Sections {
		n += uint64(len(s))
	}
	return roundUp(n)
}

// Write writes sections and what the image's file lacks to f, which is empty.
func Write(f *os.File, sections [Sections][]byte, file *backing.File) error {
	x := Index{Sections: sections, Size: uint64(len(file.Bytes)), Runs: file.Runs(0)}
	head := make([]byte, 0, headerSize+runSize*len(x.Runs))
	head = binary.LittleEndian.AppendUint64(append(head, magic...), 0)
	head = binary.LittleEndian.AppendUint64(head, x.Size)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(x.Runs)))
	for _, s := range sections {
		head = binary.LittleEndian.AppendUint64(head, uint64(len(s)))
	}
	for _, r := range x.Runs {
		head = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(head, r.At), r.Size)
	}
	sum := xxhash.New()
	_, _ = sum.Write(head[sizeAt:])
	w := io.MultiWriter(f, sum)
	_, err := f.Write(head)
	put := func(b []byte) {
		if err == nil {
			_, err = w.Write(b)
		}
	}
	at := uint64(len(head))
	for _, s := range sections {
		put(s)
		at += uint64(len(s))
	}
	put(make([]byte, roundUp(at)-at))
	for _, r := range x.Runs {
		put(file.Bytes[r.At : r.At+r.Size])
		put(make([]byte, roundUp(r.Size)-r.Size))
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(binary.LittleEndian.AppendUint64(nil, sum.Sum64()), int64(sumAt))
	return err
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("index of an image: "+format+": %w", append(args, errno.EINVAL)...)
}

// Read reads all but the pages, which it checks. EINVAL for a file that is damaged, or none of these.
func Read(f io.ReaderAt, fileSize int64) (*Index, error) {
	head := make([]byte, headerSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, cutShort(err)
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(head[at:]) }
	if string(head[:len(magic)]) != magic {
		return nil, damaged("it begins with %q", head[:len(magic)])
	}
	x := &Index{Size: u64(sizeAt)}
	runs := u64(runsAt)
	if runs > maxRuns || x.Size > maxImage {
		return nil, damaged("%d runs of pages in an image of %#x bytes", runs, x.Size)
	}
	sum := xxhash.New()
	_, _ = sum.Write(head[sizeAt:])
	r := io.TeeReader(io.NewSectionReader(f, int64(headerSize), fileSize), sum)
	list, err := readAll(r, runSize*runs)
	if err != nil {
		return nil, err
	}
	for i := range x.Sections {
		n := u64(sectionsAt + 8*i)
		if n > maxSection || int64(n) > fileSize {
			return nil, damaged("a section of %#x bytes", n)
		}
		if x.Sections[i], err = readAll(r, n); err != nil {
			return nil, err
		}
	}
	return x, x.pages(r, list, fileSize, sum, u64(sumAt))
}

// maxImage bounds the image, in bytes.
const maxImage = 512 << 20

// pages places the runs, and reads all that is left for its checksum.
func (x *Index) pages(r io.Reader, list []byte, fileSize int64, sum *xxhash.Digest, want uint64) error {
	end := uint64(0)
	x.Runs = make([]backing.Run, len(list)/runSize)
	for i := range x.Runs {
		run := &x.Runs[i]
		run.At, run.Size = binary.LittleEndian.Uint64(list[runSize*i:]), binary.LittleEndian.Uint64(list[runSize*i+8:])
		last := run.At+run.Size == x.Size
		if run.At < end || run.At%backing.Granule() != 0 || run.Size == 0 || run.At > x.Size || run.Size > x.Size-run.At || run.Size%backing.Granule() != 0 && !last {
			return damaged("pages at %#x, %#x bytes", run.At, run.Size)
		}
		end = run.At + run.Size
	}
	from := x.pagesAt()
	for i := range x.Runs {
		x.Runs[i].From = int64(from)
		from += roundUp(x.Runs[i].Size)
	}
	if from != uint64(fileSize) {
		return damaged("%#x bytes, %#x were to be read", fileSize, from)
	}
	if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, 256<<10)); err != nil {
		return cutShort(err)
	}
	if have := sum.Sum64(); have != want {
		return damaged("the checksum is %#x, not %#x", have, want)
	}
	return nil
}

func readAll(r io.Reader, n uint64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, cutShort(err)
	}
	return b, nil
}

// cutShort is the error of a read: a file that ends is damaged.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("cut short")
	}
	return err
}
