package trace

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFunctions_WriteText(t *testing.T) {
	f := &Functions{
		CPUs: 2, Overrun: 7,
		Events: []Event{{0, 1, 9, 12}, {1, 2, 9, 5}, {0, 1, 2, 30}},
	}
	var got strings.Builder
	require.NoError(t, f.WriteText(&got, func(addr uint64) string { return fmt.Sprintf("f%d", addr) }))
	assert.Equal(t, `# tracer: function
#
# entries-in-buffer/entries-written: 3/10   #P:2
#
# CPU   INSTRUCTION  FUNCTION
#  |         |          |
[000]           12: f1 <-f9
[001]            5: f2 <-f9
[000]           30: f1 <-f2

# calls: 3
#       2  f1
#       1  f2
`, got.String())
}

func TestFunctions_WriteText_TellsOfAFailedWrite(t *testing.T) {
	err := (&Functions{}).WriteText(full{}, nil)
	assert.ErrorIs(t, err, errFull)
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
