package board

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernel"
	"callops/kernelimage"
)

var corruptions = flag.Int("corruptions", 6, "how many machines TestCall_CorruptMemoryEndsIt corrupts")

func TestCall_ThatDoesNotReturnEndsWithItsContext(t *testing.T) {
	for _, name := range []string{"panic_smp_self_stop", "machine_halt"} { // loops, without and with interrupts masked
		m := booted(t)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := m.Call(ctx, name)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
		var run *kernel.RunError
		require.ErrorAs(t, err, &run)
		assert.Contains(t, strings.Join(append(run.Callers, run.PC), " "), name)
		_, err = m.Call(t.Context(), "msleep", 1)
		require.ErrorIs(t, err, context.DeadlineExceeded, "the machine stays where it is")
	}
}

func TestCall_WildAccessesAreToldInTheKernelsWords(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []uint64
		oops string
	}{
		{"__memset", []uint64{0, 0, 64}, "Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000"},
		{"__memset", []uint64{0xdead_0000_0000_0000, 0, 64}, "Unable to handle kernel paging request at virtual address dead000000000000"},
		{"__memset", []uint64{0xffff_8000_8000_0000, 0, 64}, "Unable to handle kernel write to read-only memory at virtual address ffff800080000000"},
		{"__memset", []uint64{0xffff_7fff_0000_0000, 0, 64}, "Unable to handle kernel paging request at virtual address ffff7fff00000000"},
		{"kfree", []uint64{0xffff_8000_8000_0000}, "Unable to handle kernel paging request"},
		{"ret_from_fork", nil, "Unable to handle kernel "},
	} {
		_, err := booted(t).Call(t.Context(), tt.name, tt.args...)
		var stop *StopError
		require.ErrorAs(t, err, &stop, "%s%x", tt.name, tt.args)
		assert.Contains(t, stop.Oops, tt.oops)
		assert.Contains(t, stop.Panic, "Attempted to kill init!")
		assert.ErrorContains(t, err, tt.oops)
	}
}

// Whatever is written to the guest's memory, what it does then ends, by an answer, an error or the context.
func TestCall_CorruptMemoryEndsIt(t *testing.T) {
	used := partsOf(booted(t).ram[:ramSize])
	for seed := range uint64(*corruptions) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := booted(t)
		for range 1 << r.IntN(12) {
			p := used[r.IntN(len(used))]
			at := p.At + r.IntN(p.Size)&^7
			word := pickWord(r, binary.LittleEndian.Uint64(m.ram[at:]))
			binary.LittleEndian.PutUint64(m.ram[at:], word)
		}
		began, count := time.Now(), m.Count()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		var err error
		for i := 0; i < 3 && err == nil; i++ {
			_, err = m.ReadDir(ctx, "/")
			if err == nil {
				_, err = m.Call(ctx, "msleep", 20)
			}
			if err == nil {
				err = m.WriteFile(ctx, "/tmp/file", os.O_APPEND, "x")
			}
		}
		cancel()
		t.Logf("seed %d: %d instructions: %.200v", seed, m.Count()-count, err)
		assert.Less(t, time.Since(began), time.Minute)
	}
}

// pickWord is a word in the place of another: random, near it, or an address of the kernel's.
func pickWord(r *rand.Rand, old uint64) uint64 {
	switch r.IntN(4) {
	case 0:
		return r.Uint64()
	case 1:
		return old ^ 1<<r.IntN(64)
	case 2:
		return 0
	}
	return 0xffff_8000_8000_0000 + r.Uint64()&(64<<20-1)
}

// Of what can't be booted the error says how far it came, where it stopped and why.
func TestBoot_SaysWhyAKernelDoesNotBoot(t *testing.T) {
	if testing.Short() {
		t.Skip("boots kernels")
	}
	good, err := os.ReadFile(kernels.Path(t, kernels.Linux612))
	require.NoError(t, err)
	elf, err := os.ReadFile("../kernelimage/testdata/workload/bug.elf")
	require.NoError(t, err)
	img := open(t, kernels.Linux612)
	table, err := kernel.SymbolsOf(img).Lookup("kallsyms_token_table")
	require.NoError(t, err)
	tokens := table.Addr - img.Linux().Base
	const flagsAt, textOffsetAt = 0x18, 0x08
	for _, tt := range []struct {
		name  string
		spoil func(b []byte) []byte
		want  []string
	}{
		{"an ELF file", func([]byte) []byte { return elf }, []string{"no raw Image of a Linux kernel"}},
		{"big-endian", func(b []byte) []byte { b[flagsAt] |= 1; return b }, []string{"big-endian"}},
		{"cut short", func(b []byte) []byte { return b[:len(b)/2] }, []string{"cut short"}},
		{"another text_offset", func(b []byte) []byte { b[textOffsetAt+2] = 8; return b }, []string{"fit 0 link addresses"}},
		{"said to have pages of 64K", func(b []byte) []byte { b[flagsAt] |= 3 << 1; return b }, []string{"not aligned to a page"}},
		{"without kallsyms", func(b []byte) []byte { clear(b[tokens:][:4096]); return b }, []string{"kallsyms"}},
		{"garbage at its entry", func(b []byte) []byte { copy(b[4:], "\xff\xff\xff\xff"); return b }, []string{"before start_kernel", "no vector to go to"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kernel")
			require.NoError(t, os.WriteFile(path, tt.spoil(bytes.Clone(good)), 0o600))
			err := bootFile(t, path)
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func bootFile(t *testing.T, path string) error {
	t.Helper()
	img, err := kernelimage.Open(t.Context(), path, nil)
	if err != nil {
		return err
	}
	m, err := Boot(t.Context(), img, nil)
	if err == nil {
		err = m.Close()
	}
	return errors.Join(err, img.Close())
}

// A CPU without pages of 16K parks in a loop of the kernel's.
func TestBoot_ParksWhereTheCPUHasNotThePages(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a kernel")
	}
	img := open(t, kernels.Linux716K)
	had := features
	features = nil
	defer func() { features = had }()
	_, err := Boot(t.Context(), img, nil)
	require.ErrorIs(t, err, errno.EDEADLK)
	require.ErrorContains(t, err, "before start_kernel")
	require.ErrorContains(t, err, "__no_granule_support")
}
