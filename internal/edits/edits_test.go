package edits_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"callops/internal/edits"
)

func TestApply_MakesEachEditAndLeavesTheFile(t *testing.T) {
	file := []byte("0123456789")
	for want, e := range map[string][]byte{
		"0123456789": nil,
		"01ab456789": edits.At(2, 'a', 'b'),
		"01ab45678c": append(edits.At(2, 'a', 'b'), edits.At(19, 'c', 'd')...),
		"0123":       edits.Cut(4),
		"":           slices.Concat(edits.Cut(0), edits.At(3, 'x')),
		"012345678x": append(edits.At(9, 'x'), 1, 2, 3),
		"0123a56789": {4, 0, 0, 7, 'a'}, // cut short
	} {
		assert.Equal(t, want, string(edits.Apply(file, e)))
	}
	assert.Equal(t, "0123456789", string(file))
	assert.Len(t, edits.Apply(file, make([]byte, 1000)), 10)
}
