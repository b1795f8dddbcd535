package kernel

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/kernels"
	"callops/kernelimage/module"
)

// koTree is the modules of a kernel's package, by name.
type koTree map[string]string

func modulesOf(t *testing.T, series string) koTree {
	t.Helper()
	tree := make(koTree)
	err := filepath.WalkDir(kernels.Modules(t, series), func(path string, _ fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok && err == nil {
			tree[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, tree)
	return tree
}

// load loads a module after those that it names in its "depends".
func (tree koTree) load(ctx context.Context, k *Kernel, name string, opts *ModuleOptions) (*module.Module, error) {
	for _, m := range k.Modules() {
		if m.Name == name {
			return m, nil
		}
	}
	b, err := os.ReadFile(tree[name])
	if err != nil {
		return nil, err
	}
	f, err := module.Parse(ctx, b, filepath.Base(tree[name]))
	if err != nil {
		return nil, err
	}
	for _, dep := range f.Depends {
		if tree[dep] == "" {
			continue
		}
		if _, err := tree.load(ctx, k, dep, opts); err != nil {
			return nil, fmt.Errorf("needs %s: %w", dep, err)
		}
	}
	return k.LoadModule(ctx, b, filepath.Base(tree[name]), opts)
}

// TestModules_Tally loads every module of each package into one kernel.
func TestModules_Tally(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute, and nothing in it depends on how the test was built")
	}
	for _, series := range kernels.All {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			k := bootStill(t, img, nil)
			symbols := len(k.Symbols.All())
			tree := modulesOf(t, series)
			names := make([]string, 0, len(tree))
			for name := range tree {
				names = append(names, name)
			}
			slices.Sort(names)
			sites, plts, inits := 0, 0, 0
			refused := make(map[string]string)
			for _, name := range names {
				if _, err := tree.load(t.Context(), k, name, nil); err != nil {
					refused[name] = err.Error()
				}
			}
			near := 0
			for _, m := range k.Modules() {
				sites += len(m.Image.Sites())
				inits += len(m.InitSites)
				plts += m.PLTs
				if m.Image.Bounds().Start < img.Bounds().Start {
					near++
				}
			}
			t.Logf("%d modules: %d load (%d near, %d far), with %d sites and %d more in init text; %d PLT entries",
				len(names), len(k.Modules()), near, len(k.Modules())-near, sites, inits, plts)
			for _, name := range names {
				if why := refused[name]; why != "" {
					t.Logf("not %s: %s", name, why)
				}
			}
			assert.Equal(t, len(names), len(k.Modules())+len(refused))
			assert.Less(t, len(refused), len(names)/50)
			modules := k.Modules()
			slices.Reverse(modules)
			for _, m := range modules {
				require.NoError(t, k.Unload(m))
			}
			assert.Equal(t, symbols, len(k.Symbols.All()))
		})
	}
}

func crcITUT(b []byte) (crc uint16) {
	for _, c := range b {
		crc ^= uint16(c) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

func TestModules_TheirFunctionsRun(t *testing.T) {
	for series, modules := range map[string][]string{
		kernels.Linux7:   {"lz4hc_compress", "crc_itu_t", "crc32_cryptoapi"}, // what else is below is built in, or gone
		kernels.Linux612: {"lz4_compress", "lz4hc_compress", "crc_itu_t", "crc7", "crc32_generic"},
		kernels.Linux61:  {"lz4_compress", "lz4hc_compress", "crc_itu_t", "crc7", "crc32_generic"},
	} {
		t.Run(series, func(t *testing.T) {
			img, _ := linux(t, series)
			tree := modulesOf(t, series)
			text := bytes.Repeat([]byte("what a traced call costs in instructions, "), 500)
			eachEngine(t, func(t *testing.T, boot bootFunc) {
				for name, opts := range map[string]*ModuleOptions{"near": nil, "far": {Far: true}} {
					t.Run(name, func(t *testing.T) {
						m := boot(t, img)
						for _, name := range modules {
							ko, err := tree.load(t.Context(), m.Kernel, name, opts)
							require.NoError(t, err)
							assert.Equal(t, opts != nil && name != "crc_itu_t" && name != "crc7", ko.PLTs > 0, name)
						}
						in, out, work := m.bytes(text), m.bytes(make([]byte, 2*len(text))), m.bytes(make([]byte, 512<<10))
						unpacked := func(n uint64) []byte {
							b := make([]byte, len(text))
							size, err := lz4.UncompressBlock(m.read(out, int(n)), b)
							require.NoError(t, err)
							return b[:size]
						}
						n := m.call("LZ4_compress_default", in, out, uint64(len(text)), uint64(2*len(text)), work)
						assert.Less(t, n, uint64(len(text)/10))
						assert.Equal(t, text, unpacked(n))
						n = m.call("LZ4_compress_HC", in, out, uint64(len(text)), uint64(2*len(text)), 9, work)
						assert.Equal(t, text, unpacked(n))

						assert.EqualValues(t, crcITUT(text), m.call("crc_itu_t", 0, in, uint64(len(text)))&0xffff)
						if slices.Contains(modules, "crc7") {
							command := m.bytes([]byte{0x40, 0, 0, 0, 0})
							assert.EqualValues(t, 0x94, m.call("crc7_be", 0, command, 5)&0xff, "MMC's first command")
						}

						// crc32_digest(desc, data, len, out); desc->tfm is a zeroed object.
						desc := m.words([]uint64{m.bytes(make([]byte, 4096))})
						m.call(modules[len(modules)-1]+":crc32_digest", desc, in, uint64(len(text)), out)
						want := ^crc32.Update(0xffff_ffff, crc32.IEEETable, text)
						assert.EqualValues(t, want, m.readWords(out, 1)[0]&0xffff_ffff)
					})
				}
			})
		})
	}
}

func TestModules_ZstdOf61Compresses(t *testing.T) {
	img, _ := linux(t, kernels.Linux61)
	tree := modulesOf(t, kernels.Linux61)
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, img)
		_, err := tree.load(t.Context(), m.Kernel, "zstd_compress", nil)
		require.NoError(t, err)
		text := bytes.Repeat([]byte("what a traced call costs in instructions, "), 100)
		// struct zstd_parameters: windowLog, chainLog, hashLog, searchLog,
		// minMatch, targetLength, strategy; three flags.
		var params []byte
		for _, v := range []byte{15, 14, 14, 1, 5, 0, 1, 1, 0, 0} {
			params = append(params, v, 0, 0, 0)
		}
		in, out, p := m.bytes(text), m.bytes(make([]byte, 2*len(text))), m.bytes(params)
		size := m.call("zstd_cctx_workspace_bound", p)
		require.Less(t, size, uint64(16<<20))
		work, err := m.Heap.Alloc("workspace", size)
		require.NoError(t, err)
		cctx := m.call("zstd_init_cctx", work, size)
		require.NotZero(t, cctx)
		n := m.call("zstd_compress_cctx", cctx, out, uint64(2*len(text)), in, uint64(len(text)), p)
		require.Less(t, n, uint64(len(text)))
		d, err := zstd.NewReader(nil)
		require.NoError(t, err)
		defer d.Close()
		got, err := d.DecodeAll(m.read(out, int(n)), nil)
		require.NoError(t, err)
		assert.Equal(t, text, got)
	})
}
