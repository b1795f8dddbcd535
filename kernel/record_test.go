package kernel

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/interp"
	"callops/emu/record"
	"callops/internal/kernels"
)

// A kernel's own functions, recorded: replaying the stores on memory as it was
// gives memory as it is, byte for byte.
func TestRecord_StoresAreAllThatAKernelsFunctionsDo(t *testing.T) {
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			k, err := Boot(img, record.Of(interp.New), &BootOptions{HeapSize: 1 << 20})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, k.Close()) })
			r := &replayed{k: k}
			buf, out := r.alloc(t, 4096), r.alloc(t, 4096)
			for i := range uint64(512) {
				require.NoError(t, k.Mem.Store64(buf+8*i, i*0x9e3779b97f4a7c15))
			}
			r.call(t, "memcpy", out, buf, 4001)
			r.call(t, "memmove", out+3, out, 999)
			r.call(t, "memset", out, 0, 4096)
			r.call(t, "sha256", buf, 1000, out)

			// struct rb_node: parent and color, right, left.
			root, node := r.alloc(t, 16), r.alloc(t, 24)
			require.NoError(t, k.Mem.Store64(root, node))
			r.call(t, "rb_insert_color", node, root)
			r.call(t, "rb_erase", node, root)

			// struct plist_node: prio, then prio_list and node_list.
			head, a, b := r.alloc(t, 16), r.alloc(t, 48), r.alloc(t, 48)
			for _, at := range []uint64{head, a + 8, a + 24, b + 8, b + 24} { // INIT_LIST_HEAD
				require.NoError(t, k.Mem.Store64(at, at))
				require.NoError(t, k.Mem.Store64(at+8, at))
			}
			require.NoError(t, k.Mem.Store32(a, 7))
			r.call(t, "plist_add", a, head)
			r.call(t, "plist_add", b, head)
			r.call(t, "plist_del", a, head)
			assert.Greater(t, r.stores, 1000)
		})
	}
}

// replayed calls functions and holds what is recorded against memory.
type replayed struct {
	k      *Kernel
	stores int
}

func (r *replayed) alloc(t *testing.T, size uint64) uint64 {
	t.Helper()
	addr, err := r.k.Heap.Alloc("test", size)
	require.NoError(t, err)
	return addr
}

func (r *replayed) call(t *testing.T, name string, args ...uint64) {
	t.Helper()
	regions := r.k.Mem.Regions()
	var now [][]byte
	for _, reg := range regions {
		var kept []byte
		if reg.Perm&emu.Write != 0 {
			kept = bytes.Clone(reg.Host())
		}
		now = append(now, kept)
	}
	cpu := r.k.CPUs[0].CPU.(*record.CPU)
	var insns uint64
	cpu.Observe(func(in *record.Insn) error {
		insns++
		for _, a := range in.Accesses {
			if !a.Store {
				continue
			}
			r.stores++
			for i := range a.Size {
				if !write(regions, now, a.Addr+i, byte(a.Value>>(8*i))) {
					return errors.New("a store to what can't be written")
				}
			}
		}
		return nil
	})
	defer cpu.Observe(nil)
	res, err := r.k.CallName(t.Context(), 0, nil, name, args...)
	require.NoError(t, err, name)
	assert.Equal(t, res.Count, insns, name)
	for i, reg := range regions {
		if now[i] != nil {
			assert.True(t, bytes.Equal(now[i], reg.Host()), "%s: %s", name, reg.Name)
		}
	}
}

func write(regions []*emu.Region, memory [][]byte, addr uint64, v byte) bool {
	for i, reg := range regions {
		if off := addr - reg.Base; off < reg.Size && memory[i] != nil {
			memory[i][off] = v
			return true
		}
	}
	return false
}
