package kernelimage

import (
	"bytes"
	"compress/zlib"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf/btf"

	"callops/internal/errno"
	"callops/internal/text"
	"callops/kernelimage/internal/dwarftype"
	"callops/kernelimage/internal/elffile"
)

// maxDebug bounds the debug information that is kept of a file, in bytes,
// unpacked. A vmlinux with DWARF has more, and BTF beside it.
const maxDebug = 64 << 20

// debugInfo is what an ELF file tells of its functions' types.
type debugInfo struct {
	btf     []byte            // section .BTF
	btfBase []byte            // section .BTF.base; nil: there is none
	dwarf   map[string][]byte // by section, without ".debug_"
	err     error             // why there is none of it
}

// dwarfSections are those that types and lines need, less ".debug_".
var dwarfSections = map[string]bool{
	"abbrev": true, "info": true, "str": true, "line_str": true, "str_offsets": true, "addr": true, "types": true, "line": true,
}

// debugInfo keeps the debug information. The image is good without it, so what is
// wrong with it is returned by look-ups of prototypes.
func (l *elfLoad) debugInfo() error {
	d := &debugInfo{dwarf: make(map[string][]byte)}
	left := uint64(maxDebug)
	for i := range l.Sections {
		s := &l.Sections[i]
		name, isDwarf := strings.CutPrefix(s.Name, ".debug_")
		if s.Name != ".BTF" && (!isDwarf || !dwarfSections[name]) || elf.SectionType(s.Type) == elf.SHT_NOBITS {
			continue
		}
		b, err := l.debugSection(s, left)
		if err != nil {
			d.err = errors.Join(d.err, err)
			continue
		}
		left -= uint64(len(b))
		if isDwarf {
			d.dwarf[name] = b
		} else {
			d.btf = b
		}
	}
	if d.btf != nil || len(d.dwarf) > 0 || d.err != nil {
		l.img.debug = d
	}
	return nil
}

// debugSection reads a section that may be compressed, of at most so many bytes.
func (l *elfLoad) debugSection(s *elffile.Section, left uint64) ([]byte, error) {
	if s.Size > left {
		return nil, fmt.Errorf("%s: debug information of more than %#x bytes: %w", s.Name, maxDebug, errno.E2BIG)
	}
	b, err := l.Read(s.Name, s.Off, s.Size)
	if err != nil || elf.SectionFlag(s.Flags)&elf.SHF_COMPRESSED == 0 {
		return b, err
	}
	const headerSize = 24 // Elf64_Chdr
	if len(b) < headerSize {
		return nil, fmt.Errorf("%s: compressed, and shorter than its header: %w", s.Name, errno.ENOEXEC)
	}
	typ, size := elf.CompressionType(binary.LittleEndian.Uint32(b)), binary.LittleEndian.Uint64(b[8:])
	if typ != elf.COMPRESS_ZLIB {
		return nil, fmt.Errorf("%s: compressed as %v, only zlib is read: %w", s.Name, typ, errno.ENOEXEC)
	}
	if size > left {
		return nil, fmt.Errorf("%s: debug information of more than %#x bytes: %w", s.Name, maxDebug, errno.E2BIG)
	}
	r, err := zlib.NewReader(bytes.NewReader(b[headerSize:]))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	var out bytes.Buffer
	if n, err := io.Copy(&out, io.LimitReader(r, int64(size))); err != nil || uint64(n) != size {
		return nil, fmt.Errorf("%s: %d of %d bytes unpack: %w", s.Name, n, size, errors.Join(err, errno.ENOEXEC))
	}
	return out.Bytes(), nil
}

// dwarfFuncs returns what DWARF says of a function; none where it says nothing.
func (d *debugInfo) dwarfFuncs(name string) (found []btf.Type, err error) {
	defer func() { // debug/dwarf is not made for hostile files
		if r := recover(); r != nil {
			found, err = nil, fmt.Errorf("DWARF: damaged: %s: %w", text.Printable(fmt.Sprint(r)), errno.ENOEXEC)
		}
	}()
	data, err := d.dwarfData()
	if err != nil {
		return nil, err
	}
	funcs, err := dwarftype.Funcs(data, name)
	if errors.Is(err, dwarftype.ErrNoFunc) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text.Printable(err.Error()), errno.ENOEXEC)
	}
	for _, f := range funcs {
		found = append(found, f)
	}
	return found, nil
}

// dwarfData is the debug information as debug/dwarf takes it.
func (d *debugInfo) dwarfData() (*dwarf.Data, error) {
	s := d.dwarf
	data, err := dwarf.New(s["abbrev"], nil, nil, s["info"], s["line"], nil, nil, s["str"])
	if err != nil {
		return nil, fmt.Errorf("DWARF: %s: %w", text.Printable(err.Error()), errno.ENOEXEC)
	}
	for _, name := range []string{"line_str", "str_offsets", "addr"} {
		if err := data.AddSection(".debug_"+name, s[name]); err != nil {
			return nil, fmt.Errorf("DWARF: %s: %w", text.Printable(err.Error()), errno.ENOEXEC)
		}
	}
	return data, nil
}
