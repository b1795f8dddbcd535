package kernelimage

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"callops/internal/errno"
	"callops/internal/text"
	"callops/kernelimage/ctype"
)

// Structures returns the structures whose names match, as the image's BTF lays them out,
// in its order; of several with one name the first. ENOENT: there is no BTF. It reads
// the types anew for each call.
func (img *Image) Structures(match func(name string) bool) (list []*ctype.Structure, err error) {
	if closed := img.reading(func() { list, err = img.structures(match) }); closed != nil {
		return nil, closed
	}
	if err != nil {
		return nil, fmt.Errorf("%s: BTF: %w", img.name, err)
	}
	return list, nil
}

func (img *Image) structures(match func(name string) bool) (list []*ctype.Structure, err error) {
	defer func() {
		if r := recover(); r != nil {
			list, err = nil, fmt.Errorf("damaged: %s: %w", text.Printable(fmt.Sprint(r)), errno.ENOEXEC)
		}
	}()
	t, err := img.types(nil)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	var damaged error
	for typ, err := range t.spec.All() {
		if err != nil {
			damaged = fmt.Errorf("%s: %w", text.Printable(err.Error()), errno.ENOEXEC)
			break
		}
		if s, ok := typ.(*btf.Struct); ok && s.Name != "" && !seen[s.Name] && match(s.Name) {
			seen[s.Name] = true
			list = append(list, ctype.NewStructure(s))
		}
	}
	return list, damaged
}
