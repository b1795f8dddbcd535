package elffile

import "debug/elf"

// unreadRelocations are tables of relocations that are not read, and how to link
// without.
var unreadRelocations = map[elf.SectionType]string{
	elf.SHT_REL: "relocations without addends (SHT_REL), which arm64 does not have",
	0x60000001:  "Android's packed relocations (SHT_ANDROID_REL): link with --pack-dyn-relocs=relr, or none",
	0x60000002:  "Android's packed relocations (SHT_ANDROID_RELA): link with --pack-dyn-relocs=relr, or none",
	0x40000014:  "compact relocations (SHT_CREL): build without -Wa,--crel",
}

// UnreadRelocations reports whether sections of a type hold relocations that are
// not read.
func UnreadRelocations(t elf.SectionType) bool {
	_, ok := unreadRelocations[t]
	return ok
}

// FailRelocations is Fail for a section of a type that may hold relocations that
// are not read.
func (f *File) FailRelocations(s *Section) error {
	if what, ok := unreadRelocations[elf.SectionType(s.Type)]; ok {
		return f.Fail(s.Name, s.Off, nil, "%s", what)
	}
	return f.Fail(s.Name, s.Off, s.Type, "may hold relocations, of a kind that is not known: section type")
}
