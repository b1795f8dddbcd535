package difftest

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
)

// found is a case that once told two engines apart, with what the manual says
// of it. testdata/found.txt describes its format.
type found struct {
	name     string
	words    []uint32
	regs     map[string]uint64 // before; the rest are zero
	mem      map[uint64]uint64
	wantRegs map[string]uint64 // that change
	wantMem  map[uint64]uint64
	exit     string   // as Exit.String has it, or "gate"
	wrong    []string // engines that are known not to do it
}

func TestFound(t *testing.T) {
	cases := readFound(t, "testdata/found.txt")
	require.NotEmpty(t, cases)
	for name, newEngine := range map[string]emu.NewEngine{"unicorn": engineA, "interp": engineB} {
		if newEngine == nil {
			continue // built without cgo
		}
		for _, c := range cases {
			t.Run(name+"/"+c.name, func(t *testing.T) { c.run(t, newEngine, slices.Contains(c.wrong, name)) })
		}
	}
}

// run checks a case on one engine. An engine that is known to be wrong must be
// so still, or the note has to go.
func (f *found) run(t *testing.T, newEngine emu.NewEngine, wrong bool) {
	s, err := newSide(newEngine)
	require.NoError(t, err)
	defer func() { assert.NoError(t, s.close()) }()
	r := &rig{sides: [2]*side{s, s}}
	c := &testCase{words: f.words}
	f.set(t, &c.regs, f.regs)
	_, err = r.place([]*testCase{c})
	require.NoError(t, err)
	for addr, v := range f.mem {
		require.NoError(t, s.mem.Store64(addr, v))
	}
	want := c.regs
	*s.cpu.Regs() = c.regs
	exit, err := s.cpu.Run(context.Background(), uint64(len(c.words))+1)
	require.NoError(t, err)

	want.PC = exit.PC
	f.set(t, &want, f.wantRegs)
	got := "gate"
	if exit.Reason != emu.ExitGate {
		got = exit.String()
	}
	memory := map[uint64]uint64{}
	for addr := range f.wantMem {
		memory[addr], err = s.mem.Load64(addr)
		require.NoError(t, err)
	}
	right := want == *s.cpu.Regs() && f.exit == got && maps.Equal(f.wantMem, memory)
	if wrong {
		assert.False(t, right, "it does what the manual says: the note that it does not can go")
		return
	}
	assert.True(t, right, "%swant %#x\ngot  %#x\nwant %s\ngot  %s\nwant %#x\ngot  %#x", c, want, *s.cpu.Regs(), f.exit, got, f.wantMem, memory)
}

func (f *found) set(t *testing.T, r *emu.Regs, to map[string]uint64) {
	t.Helper()
	for name, v := range to {
		switch name {
		case "sp":
			r.SP = v
		case "nzcv":
			r.NZCV = uint32(v)
		case "pc":
			r.PC = v
		default:
			n, err := strconv.Atoi(strings.TrimPrefix(name, "x"))
			require.NoError(t, err, "%s: register %s", f.name, name)
			require.Less(t, n, len(r.X))
			r.X[n] = v
		}
	}
}

func readFound(t *testing.T, path string) []*found {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	var list []*found
	in := bufio.NewScanner(file)
	for line := 1; in.Scan(); line++ {
		text, _, _ := strings.Cut(in.Text(), "#")
		key, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
		if key == "" {
			continue
		}
		if key == "case" {
			list = append(list, &found{name: rest, exit: "gate"})
			continue
		}
		require.NotEmpty(t, list, "%s:%d", path, line)
		require.NoError(t, list[len(list)-1].parse(key, rest), "%s:%d", path, line)
	}
	require.NoError(t, in.Err())
	return list
}

func (f *found) parse(key, rest string) (err error) {
	switch key {
	case "words":
		for _, s := range strings.Fields(rest) {
			w, err := strconv.ParseUint(s, 16, 32)
			if err != nil {
				return err
			}
			f.words = append(f.words, uint32(w))
		}
	case "regs":
		f.regs, err = named(rest)
	case "want":
		f.wantRegs, err = named(rest)
	case "mem":
		f.mem, err = addressed(rest)
	case "wantmem":
		f.wantMem, err = addressed(rest)
	case "exit":
		f.exit = rest
	case "wrong":
		f.wrong = strings.Fields(rest)
	default:
		err = fmt.Errorf("no such key: %s", key)
	}
	return err
}

// named parses name=value, addressed address=value.
func named(s string) (map[string]uint64, error) {
	m := map[string]uint64{}
	for _, f := range strings.Fields(s) {
		name, value, _ := strings.Cut(f, "=")
		v, err := strconv.ParseUint(value, 0, 64)
		if err != nil {
			return nil, err
		}
		m[name] = v
	}
	return m, nil
}

func addressed(s string) (map[uint64]uint64, error) {
	byName, err := named(s)
	if err != nil {
		return nil, err
	}
	m := map[uint64]uint64{}
	for name, v := range byName {
		addr, err := strconv.ParseUint(name, 0, 64)
		if err != nil {
			return nil, err
		}
		m[addr] = v
	}
	return m, nil
}
