package asm

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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

func TestDisassemble_LeavesUnknownWordsAlone(t *testing.T) {
	for _, w := range []uint32{0xffffffff, 0x6b207aaf, 0x7208dfc5, 0xb234bfd4, 0x48217c82, 0x38209020} {
		assert.Equal(t, fmt.Sprintf(".inst 0x%08x", w), Disassemble(w, 0, nil))
	}
}

func TestDisassemble_NamesTargets(t *testing.T) {
	sym := func(addr uint64) string {
		if addr == 0xffff800080001234 {
			return "ftrace_caller"
		}
		return ""
	}
	w, err := EncodeBL(0xffff800080000004, 0xffff800080001234)
	require.NoError(t, err)
	assert.Equal(t, "bl ffff800080001234 <ftrace_caller>", Disassemble(w, 0xffff800080000004, sym))
	assert.Equal(t, "bl ffff800080001238", Disassemble(w, 0xffff800080000008, sym))
	assert.Equal(t, "bl ffff800080001234", Disassemble(w, 0xffff800080000004, nil))
}

// x/arch notes in a package variable what it decoded, so this fails under the
// race detector without the lock.
func TestDisassemble_FromManyGoroutines(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range uint32(200) {
				Disassemble(0x91000000|n<<10, 0, nil)
			}
		})
	}
	wg.Wait()
}
