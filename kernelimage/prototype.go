package kernelimage

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"callops/internal/errno"
	"callops/internal/text"
	"callops/kernelimage/ctype"
	"callops/kernelimage/internal/btfsection"
)

// Prototype returns what the image's BTF says of a function, or of an ELF file that
// has none, its DWARF. ENOENT: there is neither, or it does not know the function;
// BTF calls those in assembler void f(void), whatever they take. EINVAL: several
// functions of that name are declared differently. It reads the types anew for each
// call.
func (img *Image) Prototype(name string) (*ctype.Prototype, error) {
	return img.PrototypeOver(nil, name)
}

// PrototypeOver is Prototype for the image of a module, whose BTF builds on that of
// kernel where it does not keep what it needs of that itself (.BTF.base).
func (img *Image) PrototypeOver(kernel *Image, name string) (p *ctype.Prototype, err error) {
	read := func() { p, err = img.prototype(kernel, name) }
	closed := img.reading(func() {
		if kernel == nil {
			read()
		} else if closed := kernel.reading(read); closed != nil {
			err = closed
		}
	})
	if err = cmp.Or(closed, err); err != nil {
		return nil, fmt.Errorf("%s: %w", img.name, err)
	}
	return p, nil
}

func (img *Image) prototype(kernel *Image, name string) (*ctype.Prototype, error) {
	d := img.debug
	if d != nil && d.btf == nil {
		if d.err != nil {
			return nil, d.err
		}
		funcs, err := d.dwarfFuncs(name)
		if err != nil {
			return nil, err
		}
		p, err := ctype.FromBTF(name, funcs)
		if err != nil {
			return nil, fmt.Errorf("DWARF: %w", err)
		}
		return p, nil
	}
	t, err := img.typesOf(kernel, name)
	if err != nil {
		return nil, fmt.Errorf("BTF: %w", err)
	}
	p, err := t.prototype(name)
	if err != nil {
		return nil, fmt.Errorf("BTF: %w", err)
	}
	if len(p.Params) == 0 && p.Result.Kind == ctype.Void && !img.compiled(name) {
		return nil, fmt.Errorf("BTF: what %s takes is not known: %w", name, errno.ENOENT)
	}
	return p, nil
}

// typesOf reads the types of a function: as few as tell its prototype, or else all.
func (img *Image) typesOf(kernel *Image, name string) (*btfTypes, error) {
	if kernel == nil && (img.debug == nil || img.debug.btfBase == nil) {
		if section, ok := btfsection.Function(img.btfSection(), name); ok {
			return readBTF(section)
		}
	}
	return img.types(kernel)
}

// types reads the BTF of the image, and what that builds on.
func (img *Image) types(kernel *Image) (base *btfTypes, err error) {
	section := img.btfSection()
	if section == nil {
		return nil, fmt.Errorf("there is none: %w", errno.ENOENT)
	}
	switch {
	case img.debug != nil && img.debug.btfBase != nil:
		base, err = readBTF(img.debug.btfBase)
	case kernel != nil:
		base, err = kernel.types(nil)
	}
	if err != nil {
		return nil, err
	}
	return readSplitBTF(section, base)
}

// compiled reports whether the function has a call site: no assembler code has one.
func (img *Image) compiled(name string) bool {
	for i := range img.symbols {
		if s := &img.symbols[i]; s.Name == name && s.Func {
			if site, ok := img.Site(s.Addr); ok && site.Func() == s.Addr {
				return true
			}
		}
	}
	return false
}

// btfSection is the image's BTF; nil where there is none.
func (img *Image) btfSection() []byte {
	if img.debug != nil {
		return img.debug.btf
	}
	if img.linux == nil {
		return nil
	}
	if section, ok := img.read(img.btf, uint64(img.linux.BTF)); ok && img.btf != 0 {
		return section
	}
	for i := range img.segments {
		s := &img.segments[i]
		if section, _ := btfsection.Find(s.data); len(section) == img.linux.BTF {
			return section
		}
	}
	return nil
}

func (t *btfTypes) prototype(name string) (p *ctype.Prototype, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("damaged: %s: %w", text.Printable(fmt.Sprint(r)), errno.ENOEXEC)
		}
	}()
	types, err := t.spec.AnyTypesByName(name)
	if err != nil && !errors.Is(err, btf.ErrNotFound) {
		return nil, fmt.Errorf("%s: %s: %w", name, text.Printable(err.Error()), errno.ENOEXEC)
	}
	return ctype.FromBTF(name, types)
}

// FuncTypes returns the ids that functions have in the image's BTF, by their names: what BPF programs are attached by. A name that several have is
// left out.
func (img *Image) FuncTypes() (ids map[string]uint32, err error) {
	closed := img.reading(func() {
		t, failed := img.types(nil)
		if err = failed; err == nil {
			ids, err = t.functions()
		}
	})
	if err = cmp.Or(closed, err); err != nil {
		return nil, fmt.Errorf("%s: BTF: %w", img.name, err)
	}
	return ids, nil
}

// functions are the ids of the functions whose names are theirs alone.
func (t *btfTypes) functions() (ids map[string]uint32, err error) {
	defer func() {
		if r := recover(); r != nil {
			ids, err = nil, fmt.Errorf("damaged: %s: %w", text.Printable(fmt.Sprint(r)), errno.ENOEXEC)
		}
	}()
	ids = make(map[string]uint32)
	several := make(map[string]bool)
	for typ, err := range t.spec.All() {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text.Printable(err.Error()), errno.ENOEXEC)
		}
		f, ok := typ.(*btf.Func)
		if !ok {
			continue
		}
		id, err := t.spec.TypeID(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f.Name, text.Printable(err.Error()), errno.ENOEXEC)
		}
		several[f.Name] = several[f.Name] || ids[f.Name] != 0
		ids[f.Name] = uint32(id)
	}
	for name, more := range several {
		if more {
			delete(ids, name)
		}
	}
	return ids, nil
}
