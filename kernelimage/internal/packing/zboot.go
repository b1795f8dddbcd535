package packing

import (
	"encoding/binary"
	"fmt"
	"io"

	"callops/internal/errno"
	"callops/kernelimage/internal/format"
)

// EFI zboot: an EFI program that unpacks the kernel which it holds
// (drivers/firmware/efi/libstub/zboot-header.S).
const (
	zbootMagic      = "zimg"
	zbootMagicOff   = 4
	zbootPayloadOff = 8
	zbootHeaderSize = 0x40
)

// IsZboot reports whether the first bytes of a file are those of an EFI program
// that holds a kernel.
func IsZboot(head []byte) bool {
	return len(head) >= zbootHeaderSize && string(head[:2]) == "MZ" && string(head[zbootMagicOff:][:4]) == zbootMagic
}

// ZbootPayload returns the kernel inside src, which IsZboot. It is most often
// compressed.
func ZbootPayload(src Source) (*io.SectionReader, error) {
	head := make([]byte, zbootHeaderSize)
	if _, err := src.R.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", src.Name, err)
	}
	off := int64(binary.LittleEndian.Uint32(head[zbootPayloadOff:]))
	n := int64(binary.LittleEndian.Uint32(head[zbootPayloadOff+4:]))
	if off < zbootHeaderSize || off > src.Size || n > src.Size-off {
		return nil, &format.Error{
			File: src.Name, Section: "zboot header", Offset: zbootPayloadOff, Errno: errno.ENOEXEC,
			Msg: fmt.Sprintf("the kernel is %#x bytes at %#x, the file %#x", n, off, src.Size),
		}
	}
	return io.NewSectionReader(src.R, off, n), nil
}
