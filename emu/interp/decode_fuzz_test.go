package interp

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/arch/arm64/arm64asm"

	"callops/asm"
	"callops/emu"
)

// known reports whether x/arch knows the word. Its tables are not proof against
// every word, so a panic is a no.
func known(w uint32) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], w)
	in, err := arm64asm.Decode(b[:])
	if err != nil {
		return "", false
	}
	return in.String(), true
}

// executed is how the reference ends on the word, without any memory.
func executed(c *CPU, w uint32) stop {
	c.pc = agreeText
	return rows[lookupRow(w)].exec(c, w)
}

// lenient are instructions that x/arch decodes from reserved words, or that
// this machine leaves undefined.
func lenient(w uint32, text string) bool {
	switch {
	case w>>24 == 0xd5 && w&0xfffff01f != 0xd503201f:
		// Which registers and operations there are, x/arch says of a later
		// architecture or not at all.
		return true
	case strings.HasPrefix(text, "DCPS"), strings.HasPrefix(text, "DRPS"), strings.HasPrefix(text, "ERET"):
		return true
	case w&0x1fe00000 == 0x0b200000: // an extended register shifted by more than 4
		return w>>10&7 > 4
	case w&0x1f800000 == 0x12000000: // bitmask of all ones
		_, ok := asm.DecodeBitmask(w>>22&1, w>>16&63, w>>10&63, is64(w))
		return !ok
	}
	return false
}

func checkAgainstArch(t *testing.T, c *CPU, w uint32) {
	t.Helper()
	in := translate(w, agreeText)
	assert.Less(t, in.op, numOps)
	s := executed(c, w)
	text, ok := known(w)
	if ok && !lenient(w, text) {
		assert.NotEqual(t, stopUndefined, s, "%#08x is %s", w, text)
	}
	if in.op > opExecEnd {
		assert.NotEqual(t, stopUndefined, s, "%#08x has a form for the loop, %s", w, in.op)
	}
}

func TestDecode_KnowsWhatArchKnows(t *testing.T) {
	c := newCPU(&Engine{mem: emu.NewMemory()}, 0)
	// Every class, with fields that a multiplicative walk fills.
	for i := range rows {
		w := uint32(0)
		for range 2000 {
			w += 0x9e3779b1
			checkAgainstArch(t, c, rows[i].value|w&^rows[i].mask)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for i := range rows {
		f.Add(rows[i].value)
	}
	c := newCPU(&Engine{mem: emu.NewMemory()}, 0)
	f.Fuzz(func(t *testing.T, w uint32) { checkAgainstArch(t, c, w) })
}
