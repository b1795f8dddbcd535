package model

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/emu/record"
	"callops/kernel"
	"callops/kernelimage"
)

// Two operations race for a word unless the first one releases a lock after its last access that
// the second one takes before its first.
func TestRaced(t *testing.T) {
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	k, err := kernel.Boot(img, interp.New, nil)
	require.NoError(t, err)
	defer k.Close()
	const (
		lock, other  = 0x1000, 0x2000
		take, give   = 0x100, 0x104
		word, beside = 0x8000, 0x8008
	)
	// An operation is a string: L and U take and release the lock, M and V another one; r, w and W
	// load and store the word, and the one beside it.
	run := func(ops string) *footprint {
		f := newFootprint(k)
		f.takes = map[uint64]bool{take: true, give: false}
		f.reset()
		for _, op := range ops {
			in := &record.Insn{PC: 0x200}
			switch op {
			case 'L', 'M':
				in.PC = take
			case 'U', 'V':
				in.PC = give
			}
			in.Before.X[0] = lock
			if op == 'M' || op == 'V' {
				in.Before.X[0] = other
			}
			f.insn(in)
			switch op {
			case 'r', 'w':
				f.access(in, &record.Access{Addr: word, Size: 8, Store: op == 'w'})
			case 'W':
				f.access(in, &record.Access{Addr: beside, Size: 8, Store: true})
			}
		}
		return f.taken()
	}
	for _, tt := range []struct {
		name          string
		first, second string
		raced         bool
	}{
		{"under the lock", "LwU", "LrU", false},
		{"before it is published under the lock", "wLU", "LrU", false},
		{"after it was released", "LUw", "LrU", true},
		{"before the second takes the lock", "LwU", "rLU", true},
		{"no lock at all", "w", "r", true},
		{"another lock", "LwU", "MrV", true},
		{"handed over by one of two", "LMwVU", "MrV", false},
		{"both load", "LUr", "rLU", false},
		{"other words", "W", "w", false},
		{"the second stores", "LrU", "w", true},
	} {
		err := raced(k, run(tt.first), run(tt.second), [2]string{"register A", "register B"})
		if tt.raced {
			assert.ErrorContains(t, err, "register A and register B both access", tt.name)
		} else {
			assert.NoError(t, err, tt.name)
		}
	}
}
