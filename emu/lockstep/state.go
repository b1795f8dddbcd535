package lockstep

import (
	"fmt"

	"callops/emu"
)

func (s *State) equal(o *State) bool {
	return s.Regs == o.Regs && s.Count == o.Count && SameExit(s.Exit, o.Exit)
}

// SameExit compares exits. An engine that does not know the size of a refused
// access says 0, which is no difference.
func SameExit(a, b emu.Exit) bool {
	if a.Reason != b.Reason || a.PC != b.PC || a.Word != b.Word || (a.Fault == nil) != (b.Fault == nil) {
		return false
	}
	if a.Fault == nil {
		return true
	}
	x, y := *a.Fault, *b.Fault
	if x.Size == 0 || y.Size == 0 {
		x.Size, y.Size = 0, 0
	}
	return x == y
}

// Differences lists what differs.
func (s *State) Differences(o *State) []RegDiff {
	var diffs []RegDiff
	a, b := s.lines(), o.lines()
	for i := range a {
		if a[i].value != unknown && b[i].value != unknown && a[i] != b[i] {
			diffs = append(diffs, RegDiff{a[i].name, a[i].value, b[i].value})
		}
	}
	return diffs
}

type line struct{ name, value string }

const unknown = "unknown"

// lines are the parts of a state by name.
func (s *State) lines() []line {
	hex := func(v uint64) string { return fmt.Sprintf("%#x", v) }
	var ls []line
	for i, x := range s.Regs.X {
		ls = append(ls, line{fmt.Sprintf("x%d", i), hex(x)})
	}
	r := &s.Regs
	ls = append(ls, line{"sp", hex(r.SP)}, line{"pc", hex(r.PC)}, line{"nzcv", flags(r.NZCV)},
		line{"sp_el0", hex(r.SPEL0)}, line{"tpidr_el1", hex(r.TPIDREL1)}, line{"tpidr_el0", hex(r.TPIDREL0)},
		line{"count", fmt.Sprint(s.Count)}, line{"exit", s.Exit.String()})
	if f := s.Exit.Fault; f != nil && f.Size != 0 {
		return append(ls, line{"fault size", fmt.Sprint(f.Size)})
	}
	return append(ls, line{"fault size", unknown})
}

func flags(nzcv uint32) string {
	s := []byte("nzcv")
	for i, c := range "NZCV" {
		if nzcv>>(31-i)&1 != 0 {
			s[i] = byte(c)
		}
	}
	if rest := nzcv &^ (0xf << 28); rest != 0 {
		return fmt.Sprintf("%s+%#x", s, rest)
	}
	return string(s)
}
