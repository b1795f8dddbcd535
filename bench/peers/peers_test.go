package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/kernels"
	"callops/kernelimage"
)

func kernel(t *testing.T) *kernelimage.Image {
	t.Helper()
	img, err := kernelimage.Open(t.Context(), kernels.Path(t, kernels.Linux612), nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	return img
}

// Every peer that is there gives the results that callops gives, and those of two different lengths differ in the loop alone.
func TestMeasure_PeersAgree(t *testing.T) {
	img, dir := kernel(t), t.TempDir()
	list := []peer{}
	all, _ := peers(dir, "")
	for _, p := range all {
		if !strings.HasPrefix(p.name, "VIXL") { // which takes seconds to be built; make bench-peers runs it
			list = append(list, p)
		}
	}
	require.Equal(t, "callops", list[0].name)
	for i := range workloads {
		w := &workloads[i]
		t.Run(w.name, func(t *testing.T) {
			p, err := newProgram(w, img)
			require.NoError(t, err)
			found, err := measure(t.Context(), w, p, list, 1, 1, dir)
			require.NoError(t, err)
			require.Len(t, found, len(list))
			for _, c := range found {
				require.NoError(t, c.err, c.name)
				assert.Len(t, c.perInsn, 1)
				assert.NotZero(t, c.insns)
				if w.loop != 0 {
					assert.Equal(t, (longer-1)*c.n*w.loop, c.insns)
				}
			}
		})
	}
}

// One that gives another result is out, and says so.
func TestMeasure_RefusesAnotherResult(t *testing.T) {
	wrong := command("false", "false")
	p, err := newProgram(&workloads[1], nil)
	require.NoError(t, err)
	all, _ := peers(t.TempDir(), "")
	found, err := measure(t.Context(), &workloads[1], p, []peer{all[0], wrong}, 1, 1, t.TempDir())
	require.NoError(t, err)
	require.ErrorContains(t, found[1].err, "gave 1, callops")
	var out bytes.Buffer
	printRows(&out, &workloads[1], found)
	assert.Contains(t, out.String(), "| registers, 10 instructions | callops | ")
	assert.Contains(t, out.String(), "|  | false | | | | does not run: ")
}

func TestWrite_IsAStaticProgram(t *testing.T) {
	p, err := newProgram(&workloads[0], nil)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "program")
	off, err := p.write(path)
	require.NoError(t, err)
	f, err := elf.Open(path)
	require.NoError(t, err)
	defer f.Close()
	assert.Equal(t, elf.ET_EXEC, f.Type)
	assert.Equal(t, p.start, f.Entry)
	require.Len(t, f.Progs, 3)
	data := f.Progs[2]
	assert.EqualValues(t, dataBase, data.Vaddr)
	assert.EqualValues(t, off, data.Off)
}

func TestKernelSegment_HasNoRegisterThatAProgramHasNot(t *testing.T) {
	s, err := kernelSegment(kernel(t))
	require.NoError(t, err)
	assert.Equal(t, emu.Read|emu.Exec, s.perm)
	assert.Less(t, s.addr+s.size, uint64(128<<20), "gdb's simulator has no more memory")
	left := 0
	for at := 0; at < len(s.data)-4; at += 4 {
		if w := binary.LittleEndian.Uint32(s.data[at:]); w&^31 == 0xd5384100 || w&^31 == 0xd53b00e0 {
			left++
		}
	}
	assert.Zero(t, left)
}
