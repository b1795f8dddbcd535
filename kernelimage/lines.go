package kernelimage

import (
	"cmp"
	"debug/dwarf"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"callops/internal/errno"
	"callops/internal/text"
)

// Line is a line of source.
type Line struct {
	File   string
	Number int
}

// Lines are the source lines of an image's code.
type Lines struct{ rows []lineRow }

// lineRow is where a line's code begins, up to the next row.
type lineRow struct {
	addr uint64
	line Line // of number 0: no line from here on
}

// maxLines bounds the rows of a line table.
const maxLines = 4 << 20

// Lines reads the source lines from an ELF file's DWARF. An image without them, as is a
// kernel's raw Image, has none; ENOEXEC where they are damaged.
func (img *Image) Lines() (lines *Lines, err error) {
	if img.debug == nil || img.debug.dwarf["line"] == nil {
		return &Lines{}, nil
	}
	defer func() { // debug/dwarf is not made for hostile files
		if r := recover(); r != nil {
			lines, err = nil, fmt.Errorf("DWARF: damaged: %s: %w", text.Printable(fmt.Sprint(r)), errno.ENOEXEC)
		}
	}()
	data, err := img.debug.dwarfData()
	if err != nil {
		return nil, err
	}
	lines = &Lines{}
	for r := data.Reader(); ; {
		unit, err := r.Next()
		if err == nil && unit == nil {
			break
		}
		if err == nil && unit.Tag == dwarf.TagCompileUnit {
			err = lines.add(data, unit)
		}
		if err != nil {
			return nil, fmt.Errorf("DWARF: %s: %w", text.Printable(err.Error()), errno.ENOEXEC)
		}
		r.SkipChildren()
	}
	slices.SortStableFunc(lines.rows, func(a, b lineRow) int { return cmp.Compare(a.addr, b.addr) })
	return lines, nil
}

// add reads the lines of a compilation unit.
func (l *Lines) add(data *dwarf.Data, unit *dwarf.Entry) error {
	r, err := data.LineReader(unit)
	if err != nil || r == nil {
		return err
	}
	var e dwarf.LineEntry
	for {
		if err := r.Next(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(l.rows) == maxLines {
			return fmt.Errorf("more than %d lines", maxLines)
		}
		row := lineRow{addr: e.Address}
		if !e.EndSequence && e.File != nil {
			row.line = Line{e.File.Name, e.Line}
		}
		l.rows = append(l.rows, row)
	}
}

// At returns the line whose code is at addr; its number is 0 where none is known.
func (l *Lines) At(addr uint64) Line {
	next := sort.Search(len(l.rows), func(i int) bool { return l.rows[i].addr > addr })
	if next == 0 {
		return Line{}
	}
	return l.rows[next-1].line
}
