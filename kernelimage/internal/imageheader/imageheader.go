// Package imageheader reads the header of a kernel's raw Image
// (Documentation/arch/arm64/booting.rst), and of the EFI program that an Image
// may be at the same time.
package imageheader

import (
	"encoding/binary"
	"fmt"

	"callops/internal/errno"
	"callops/kernelimage/internal/format"
)

// Where the header's fields are. All are little-endian, of 64 bits.
const (
	Size = 0x40 // of the header, in bytes

	TextOffsetAt = 0x08
	ImageSizeAt  = 0x10
	FlagsAt      = 0x18
	MagicAt      = 0x38
	Magic        = "ARMd"
)

// The flags: byte order, and the size of pages.
const (
	BigEndian = 1 << 0
	Pages4K   = 1 << 1
	Pages16K  = 2 << 1
	Pages64K  = 3 << 1

	pagesMask = 3 << 1
)

// Align is what a kernel's first byte is TextOffset after a multiple of.
const Align = 2 << 20

const (
	minSize   = 64 << 10
	textAlign = 4 << 10
)

var pageSizes = map[uint64]uint64{Pages4K: 4 << 10, Pages16K: 16 << 10, Pages64K: 64 << 10}

// Header is what a header tells, in bytes.
type Header struct {
	TextOffset uint64 // of the first byte from a multiple of Align
	ImageSize  uint64 // in memory
	PageSize   uint64 // PAGE_SIZE
}

// Is reports whether a file that begins with head is a raw Image.
func Is(head []byte) bool { return len(head) >= Size && string(head[MagicAt:][:len(Magic)]) == Magic }

// Read reads the header of the file b, called name. ENOEXEC, in a
// [*format.Error], when it is none of a kernel that can be run, when the image
// takes up more than most bytes in memory, or when the file is cut short.
func Read(b []byte, name string, most uint64) (Header, error) {
	bad := func(off uint64, msg string, args ...any) error {
		return &format.Error{File: name, Section: "Image header", Offset: off, Msg: fmt.Sprintf(msg, args...), Errno: errno.ENOEXEC}
	}
	if !Is(b) {
		return Header{}, bad(MagicAt, "has no magic %q", Magic)
	}
	u64 := func(off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }
	flags := u64(FlagsAt)
	h := Header{TextOffset: u64(TextOffsetAt), ImageSize: u64(ImageSizeAt), PageSize: pageSizes[flags&pagesMask]}
	switch {
	case flags&BigEndian != 0:
		return Header{}, bad(FlagsAt, "the kernel is big-endian, only little-endian ones are run")
	case h.PageSize == 0:
		return Header{}, bad(FlagsAt, "the size of the kernel's pages is not specified: a kernel before 4.6")
	case h.TextOffset >= Align || h.TextOffset%textAlign != 0:
		return Header{}, bad(TextOffsetAt, "text_offset %#x is not one of a page below 2 MiB", h.TextOffset)
	case h.ImageSize == 0:
		return Header{}, bad(ImageSizeAt, "image_size is 0: a kernel before 3.17")
	case len(b) < minSize:
		return Header{}, bad(0, "the file has only %#x bytes", len(b))
	case h.ImageSize > most || h.ImageSize < uint64(len(b)):
		// The file may be padded to what its signature or sector asks for, but
		// an Image is never larger than in memory.
		return Header{}, bad(ImageSizeAt, "image_size %#x, with a file of %#x bytes", h.ImageSize, len(b))
	}
	if end := peEnd(b); end > uint64(len(b)) {
		return Header{}, &format.Error{
			File: name, Section: "PE header", Errno: errno.ENOEXEC,
			Msg: fmt.Sprintf("cut short: its sections end at %#x, the file at %#x", end, len(b)),
		}
	}
	return h, nil
}

// peEnd returns where the last section ends in the file, for an Image that is
// an EFI program too, and 0 for others.
func peEnd(b []byte) (end uint64) {
	const (
		peOffset, peMagic               = 0x3c, "PE\x00\x00"
		sectionsOff, optionalOff        = 6, 20 // their number, and the size of the header between
		headerSize, sectionSize         = 24, 40
		rawSize, rawPointer      uint64 = 16, 20
	)
	u16 := func(off uint64) uint64 { return uint64(binary.LittleEndian.Uint16(b[off:])) }
	u32 := func(off uint64) uint64 { return uint64(binary.LittleEndian.Uint32(b[off:])) }
	pe := u32(peOffset)
	if pe+headerSize > uint64(len(b)) || string(b[pe:][:4]) != peMagic {
		return 0
	}
	n, at := u16(pe+sectionsOff), pe+headerSize+u16(pe+optionalOff)
	for ; n > 0 && at+sectionSize <= uint64(len(b)); n, at = n-1, at+sectionSize {
		end = max(end, u32(at+rawPointer)+u32(at+rawSize))
	}
	return end
}
