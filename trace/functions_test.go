package trace

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWriteFunctions(t *testing.T) {
	f := &Recording{
		CPUs: 2, Lost: []uint64{3, 4},
		Events: []Event{
			{CPU: 0, IP: 1, ParentIP: 9, Time: 12}, {CPU: 1, IP: 2, ParentIP: 9, Time: 5}, {CPU: 0, IP: 1, ParentIP: 2, Time: 30},
		},
	}
	var got strings.Builder
	require.NoError(t, WriteFunctions(&got, f, &Symbols{Name: func(addr uint64) string { return fmt.Sprintf("f%d", addr) }}))
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

func TestWriteFunctions_TellsOfAFailedWrite(t *testing.T) {
	err := WriteFunctions(full{}, &Recording{}, &Symbols{})
	assert.ErrorIs(t, err, errFull)
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
