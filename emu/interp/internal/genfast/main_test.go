package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	require.NoError(t, err)
	return string(text)
}

func TestGenerate_IsWhatIsCommitted(t *testing.T) {
	code, table, err := generate(read(t, input), read(t, list))
	require.NoError(t, err)
	// assert.Equal would print them.
	assert.True(t, read(t, output) == string(code), "%s differs: run go generate ./emu/interp", output)
	assert.True(t, read(t, tableOutput) == string(table), "%s differs: run go generate ./emu/interp", tableOutput)
}

// The text of a super-instruction: one look at the TLB for its group, a value in a
// variable for the next instruction, and no store of what is overwritten.
func TestGenerate_Super(t *testing.T) {
	code, _, err := generate(read(t, input), "1 Stp64:0,S,1 Stp64:2,S,3+ MovImm:4 AddImm64:4,4 SubsImm64:-,4 Bcond.lo\n")
	require.NoError(t, err)
	_, text, ok := strings.Cut(string(code), "case opSuper + 0:")
	require.True(t, ok)
	text, _, _ = strings.Cut(text, "default:")
	assert.Equal(t, 1, strings.Count(text, "tlb :="))
	assert.Equal(t, 1, strings.Count(text, "c.x[i3.rd] = r4"))
	assert.NotContains(t, text, "c.x[i2.rd]")
	assert.NotContains(t, text, "c.x[i4.rd]")
	assert.Contains(t, text, "r4 = r4 + i3.imm")
	assert.Contains(t, text, "!(fa4 < fb4)")
}

func TestGenerate_Errors(t *testing.T) {
	whole := read(t, input)
	for name, c := range map[string]struct{ source, supers string }{
		"an op twice":               {"\t\top Nop\n\t\top Nop\n", ""},
		"no Go":                     {"package {{/* and no name */}}", ""},
		"no element":                {whole, "1 Nop Mov64(0)\n"},
		"an unknown op":             {whole, "1 Nop Nope\n"},
		"too few registers":         {whole, "1 Mov64:0 Nop\n"},
		"a condition without flags": {whole, "1 Nop Bcond.eq\n"},
		"a condition of a sum":      {whole, "1 AddsImm64:0,1 Bcond.vs\n"},
		"a group of nothing":        {whole, "1 Nop Stp64:0,1,2+\n"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := generate(c.source, c.supers)
			assert.Error(t, err)
		})
	}
}
