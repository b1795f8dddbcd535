package kernelimage

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/internal/text"
	"callops/kernelimage/internal/backing"
	"callops/kernelimage/internal/imageheader"
	"callops/kernelimage/internal/packing"
)

// OpenOptions supply what a file does not contain; the zero value is usable.
type OpenOptions struct {
	// Profile is the kernel whose ftrace the image follows; "" means 6.12, and
	// for a kernel's raw Image what its structures and call sites say. An image
	// without literals is run as one, whatever its profile.
	Profile Profile

	// NoIndex is to read all of a kernel, and leave nothing in the user's cache folder.
	NoIndex bool
}

// Open reads an image from a file. See [Parse]. A kernel's raw Image stays mapped
// until [Image.Close]: to replace it, rename another over it.
//
// What was read of a kernel is kept in the user's cache folder, and the next Open of
// the same bytes by the same program has it from there: see [OpenOptions].
func Open(ctx context.Context, path string, opts *OpenOptions) (*Image, error) {
	// Do not block on a FIFO until it has a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|hostmem.OpenNoWait, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &FormatError{File: path, Msg: "is not a regular file", Errno: errno.ENOEXEC}
	}
	if opts == nil {
		opts = &OpenOptions{}
	}
	name := filepath.Base(path)
	parse := func() (*Image, error) { return Parse(ctx, f, info.Size(), name, opts) }
	if opts.NoIndex {
		return parse()
	}
	x, err := findIndex(ctx, f, info)
	if x == nil || err != nil { // the image is as good without an index
		return parse()
	}
	if img, err := x.image(f, text.Printable(name)); err == nil {
		if opts.Profile == "" || opts.Profile == img.profile {
			img.digest = x.digest
			return img, nil
		}
		_ = img.Close()
	}
	img, err := parse()
	if err == nil && img.linux != nil && x.unchanged(f) {
		img.digest = x.digest
		_ = x.save(img)
	}
	return img, err
}

// maxUnpacked bounds, in bytes, what a kernel is unpacked to.
const maxUnpacked = 512 << 20

// headSize is how much of a file tells what it is.
const headSize = 0x40

// maxPackings is how often a kernel may be packed: zboot, and a compressor
// around that.
const maxPackings = 3

// Parse reads an image of size bytes from r; name is for messages. What the
// file holds is found out from its first bytes: an ELF file, a kernel's raw
// Image, or one of these compressed or inside EFI zboot.
//
// A raw Image is mapped where r is a regular *os.File, copied or unpacked to a
// file in memory otherwise, and is to be closed. What was cut short while it was
// read is EIO. Where ctx ends, its error is returned.
func Parse(ctx context.Context, r io.ReaderAt, size int64, name string, opts *OpenOptions) (*Image, error) {
	if opts == nil {
		opts = &OpenOptions{}
	}
	name = text.Printable(name)
	if opts.Profile != "" && layouts[opts.Profile] == nil {
		return nil, fmt.Errorf("%s: no profile is called %q: %w", name, opts.Profile, errno.EINVAL)
	}
	var inside []string     // what the image came out of, outermost first
	var own hostmem.Scratch // holds what was unpacked here
	drop := func() {
		if own != nil {
			_ = own.Close()
		}
	}
	defer func() { drop() }()
	for {
		head := make([]byte, headSize)
		n, err := r.ReadAt(head, 0)
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		head = head[:n]
		src := packing.Source{R: r, Size: size, Name: name}
		switch p := packing.Of(head); {
		case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
			profile := opts.Profile
			if profile == "" {
				profile = Profile612
			}
			return parseELF(ctx, r, size, name, profile)
		case packing.IsZboot(head) && len(inside) < maxPackings:
			payload, err := packing.ZbootPayload(src)
			if err != nil {
				return nil, err
			}
			r, size, inside = payload, payload.Size(), append(inside, "EFI zboot")
		case p != nil && len(inside) < maxPackings:
			f, n, err := backing.Unpack(ctx, p, src, maxUnpacked)
			if err != nil {
				return nil, err
			}
			drop()
			r, size, own, inside = f, n, f, append(inside, p.Name)
		case imageheader.Is(head):
			file, err := backing.Of(ctx, r, size, name, own != nil && r == io.ReaderAt(own), maxUnpacked)
			if err != nil {
				return nil, err
			}
			return parseRaw(ctx, file, name, opts.Profile, inside)
		default:
			if other := otherKernel(r, head); other != "" {
				return nil, &FormatError{File: name, Msg: "is a kernel for " + other + ", not for arm64", Errno: errno.ENOEXEC}
			}
			return nil, unknownFormat(name, head, inside)
		}
	}
}

// otherKernel names the architecture of a Linux kernel that is not arm64's, by its header
// (Documentation/arch/x86/boot.rst, Documentation/arch/riscv/boot-image-header.rst); "" if
// it is none.
func otherKernel(r io.ReaderAt, head []byte) string {
	const atHdrS, atRSC = 0x202, 0x38
	magic := make([]byte, 4)
	if _, err := r.ReadAt(magic, atHdrS); err == nil && string(magic) == "HdrS" {
		return "x86"
	}
	if len(head) >= atRSC+4 && string(head[atRSC:atRSC+4]) == "RSC\x05" {
		return "riscv"
	}
	return ""
}

// unknownFormat lists what was tried.
func unknownFormat(name string, head []byte, inside []string) error {
	tried := append([]string{"ELF", "arm64 Image", "EFI zboot"}, packing.Names()...)
	what := "it starts with"
	if len(inside) > 0 {
		what = "inside " + strings.Join(inside, ", ") + " it starts with"
	}
	return &FormatError{
		File: name, Value: fmt.Sprintf("%q", head[:min(4, len(head))]), Errno: errno.ENOEXEC,
		Msg: "unknown format: it is no " + strings.Join(tried[:len(tried)-1], ", ") + " or " + tried[len(tried)-1] + "; " + what,
	}
}
