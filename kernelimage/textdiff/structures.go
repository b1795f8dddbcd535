package textdiff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"callops/kernelimage"
	"callops/kernelimage/ctype"
)

// Structure is a structure that is laid out otherwise.
type Structure struct {
	Name    string  `json:"name"`
	State   State   `json:"state"`
	OldSize int     `json:"old_size"` // bytes; 0: there is none
	NewSize int     `json:"new_size"`
	Fields  []Field `json:"fields"` // that differ, of a changed one
}

// Field is a field that is not the same: its place, as offset in bytes or byte.bit, and
// its declaration. Both are empty where there is no such field.
type Field struct {
	Name     string `json:"name"`
	OldPlace string `json:"old_place"`
	OldDecl  string `json:"old_decl"`
	NewPlace string `json:"new_place"`
	NewDecl  string `json:"new_decl"`
}

// isOfFtrace tells by the name of a structure.
func isOfFtrace(name string) bool {
	return strings.Contains(name, "ftrace") || strings.Contains(name, "fgraph")
}

func structures(before, after *kernelimage.Image) ([]Structure, error) {
	changed := []Structure{}
	old, err := before.Structures(isOfFtrace)
	if err != nil {
		return changed, err
	}
	now, err := after.Structures(isOfFtrace)
	if err != nil {
		return changed, err
	}
	named := func(list []*ctype.Structure, name string) *ctype.Structure {
		if i := slices.IndexFunc(list, func(s *ctype.Structure) bool { return s.Name == name }); i >= 0 {
			return list[i]
		}
		return nil
	}
	for _, s := range old {
		t := named(now, s.Name)
		if t == nil {
			changed = append(changed, Structure{Name: s.Name, State: Gone, OldSize: s.Size, Fields: []Field{}})
			continue
		}
		if fields := fields(s, t); len(fields) > 0 || s.Size != t.Size {
			changed = append(changed, Structure{Name: s.Name, State: Changed, OldSize: s.Size, NewSize: t.Size, Fields: fields})
		}
	}
	for _, t := range now {
		if named(old, t.Name) == nil {
			changed = append(changed, Structure{Name: t.Name, State: New, NewSize: t.Size, Fields: []Field{}})
		}
	}
	slices.SortFunc(changed, func(a, b Structure) int { return cmp.Compare(a.Name, b.Name) })
	return changed, nil
}

// fields are those that differ: first what the old structure has, then what is new.
func fields(s, t *ctype.Structure) []Field {
	list := []Field{}
	now := make(map[string]*ctype.Field, len(t.Fields))
	for i := range t.Fields {
		now[t.Fields[i].Name] = &t.Fields[i]
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		g := now[f.Name]
		delete(now, f.Name)
		switch {
		case g == nil:
			list = append(list, Field{Name: f.Name, OldPlace: place(f), OldDecl: f.Decl})
		case place(f) != place(g) || f.Decl != g.Decl:
			list = append(list, Field{Name: f.Name, OldPlace: place(f), OldDecl: f.Decl, NewPlace: place(g), NewDecl: g.Decl})
		}
	}
	for i := range t.Fields {
		if g := &t.Fields[i]; now[g.Name] == g {
			list = append(list, Field{Name: g.Name, NewPlace: place(g), NewDecl: g.Decl})
		}
	}
	return list
}

func place(f *ctype.Field) string {
	if f.Bits == 0 {
		return fmt.Sprint(f.Offset)
	}
	return fmt.Sprintf("%d.%d:%d", f.Offset, f.Bit, f.Bits)
}
