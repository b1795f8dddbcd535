package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGenerate_IsWhatIsCommitted(t *testing.T) {
	dir := filepath.Join("..", "..")
	source, err := os.ReadFile(filepath.Join(dir, input))
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join(dir, output))
	require.NoError(t, err)
	got, err := generate(string(source))
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "run go generate ./emu/interp")
}

func TestGenerate_Errors(t *testing.T) {
	for name, source := range map[string]string{
		"a pair of what is no op": "\t\tpair Nop Nop\n",
		"an op twice":             "\t\top Nop\n\t\top Nop\n",
		"no Go":                   "package {{/* and no name */}}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := generate(source)
			assert.Error(t, err)
		})
	}
}
