package asm

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// decode.s has no rows: it is what the disassembler knows beyond the
// constructors.
func TestDisassemble_MatchesObjdump(t *testing.T) {
	if *update {
		updateGolden(t, "decode")
	}
	files, err := filepath.Glob("testdata/a64/*.objdump")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".objdump"), func(t *testing.T) {
			data, err := os.ReadFile(f)
			require.NoError(t, err)
			for line := range strings.Lines(string(data)) {
				cols := strings.Split(strings.TrimSpace(line), "\t")
				if len(cols) != 3 || strings.HasPrefix(cols[2], ".word") {
					continue
				}
				pc, err := strconv.ParseUint(cols[0], 16, 64)
				require.NoError(t, err)
				word, err := strconv.ParseUint(cols[1], 16, 32)
				require.NoError(t, err)
				got := Disassemble(uint32(word), pc, nil)
				assert.Equal(t, cols[2], got, "word %s", cols[1])
			}
		})
	}
}
