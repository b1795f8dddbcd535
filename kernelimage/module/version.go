package module

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"callops/internal/errno"
	"callops/kernelimage"
)

// Which modules are this kernel's: version magic, versions of symbols and
// namespaces (kernel/module/version.c, kernel/module/main.c).

// moduleLayout is the symbol whose version is that of the module's structures.
const moduleLayout = "module_layout"

// moduleInfo is what a module says of itself.
type moduleInfo struct {
	vermagic string
	imports  []string          // namespaces
	depends  []string          // names of modules
	versions map[string]uint64 // of the symbols that it uses; nil: it has none
}

// readInfo reads .modinfo and __versions. The name is the file's where there is
// no other.
func (l *loading) readInfo() (name string, err error) {
	name, _, _ = strings.Cut(l.File.Name, ".ko")
	for i := range l.File.Sections {
		s := &l.File.Sections[i]
		if s.Name != koModinfo && s.Name != koVersions || elf.SectionType(s.Type) == elf.SHT_NOBITS {
			continue
		}
		b, err := l.Read(s.Name, s.Off, s.Size)
		if err != nil {
			return "", err
		}
		if s.Name == koVersions {
			l.info.readVersions(b)
			continue
		}
		for field := range bytes.SplitSeq(b, []byte{0}) {
			key, value, _ := strings.Cut(string(field), "=")
			switch {
			case key == "name" && value != "":
				name = value
			case key == "vermagic":
				l.info.vermagic = value
			case key == "import_ns":
				l.info.imports = append(l.info.imports, value)
			case key == "depends" && value != "":
				l.info.depends = strings.Split(strings.ReplaceAll(value, "-", "_"), ",")
			}
		}
	}
	return strings.ReplaceAll(name, "-", "_"), nil
}

// readVersions reads an array of struct modversion_info. Of a name that is
// there twice the first counts.
func (info *moduleInfo) readVersions(b []byte) {
	const size, nameAt = 64, 8
	info.versions = make(map[string]uint64, len(b)/size)
	for ; len(b) >= size; b = b[size:] {
		name, _, _ := bytes.Cut(b[nameAt:size], []byte{0})
		if _, ok := info.versions[string(name)]; !ok {
			info.versions[string(name)] = binary.LittleEndian.Uint64(b)
		}
	}
}

// checkKernel compares the kernel that the module was built for with this one
// (early_mod_check).
func (l *loading) checkKernel() error {
	have, want := l.info.vermagic, l.host.Vermagic
	kernel, _, _ := strings.Cut(want, " ")
	refuse := func(why string) error {
		release, _, _ := strings.Cut(have, " ")
		msg := fmt.Sprintf("%sthe module is for the kernel %q, this one is %q", why, release, kernel)
		if release == kernel {
			msg = fmt.Sprintf("%sthe module's version magic is %q, the kernel's %q", why, have, want)
		}
		return &kernelimage.FormatError{File: l.File.Name, Section: koModinfo, Errno: errno.ENOEXEC, Msg: msg}
	}
	if layout, ok := l.host.Exports[moduleLayout]; ok {
		if problem := l.info.disagrees(moduleLayout, layout); problem != "" {
			return refuse(problem + " " + moduleLayout + ": ")
		}
	}
	if want != "" && !sameMagic(have, want, l.info.versions != nil) {
		return refuse("")
	}
	return nil
}

// sameMagic compares a module's version magic with the kernel's, of which only
// the release may be known. The release does not count where symbols have
// versions.
func sameMagic(module, kernel string, versions bool) bool {
	have, haveFlags, _ := strings.Cut(module, " ")
	want, wantFlags, full := strings.Cut(kernel, " ")
	if !full {
		return have == want
	}
	return haveFlags == wantFlags && (versions || have == want)
}

// disagrees describes what is wrong with the module's version of a symbol; "" where
// it agrees, or there is nothing to compare (check_version).
func (info *moduleInfo) disagrees(name string, e Export) string {
	if !e.Versioned || info.versions == nil {
		return ""
	}
	switch crc, ok := info.versions[name]; {
	case !ok:
		return "has no version for symbol"
	case crc != uint64(e.CRC):
		return "disagrees about version of symbol"
	}
	return ""
}

// mayUse reports whether a module may use what is in a namespace: it imports
// that, or its name is one of "module:NAME,PREFIX*" (verify_namespace_is_imported).
func (info *moduleInfo) mayUse(namespace, module string) bool {
	if namespace == "" || slices.Contains(info.imports, namespace) {
		return true
	}
	if names, ok := strings.CutPrefix(namespace, "module:"); ok {
		for name := range strings.SplitSeq(names, ",") {
			prefix, glob := strings.CutSuffix(name, "*")
			if name == module || glob && strings.HasPrefix(module, prefix) {
				return true
			}
		}
	}
	return false
}
