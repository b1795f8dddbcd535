package kernel

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/internal/edits"
	"callops/internal/errno"
	"callops/kernelimage"
)

func TestLoadModule_NearAndFarItRuns(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		for name, far := range map[string]bool{"near": false, "far": true} {
			t.Run(name, func(t *testing.T) {
				m := boot(t, builtin(t, nil))
				ko, err := m.LoadModuleFile(t.Context(), fixtureKo, &ModuleOptions{Far: far})
				require.NoError(t, err)
				assert.Equal(t, "fixture", ko.Name)
				assert.EqualValues(t, 2*12, m.call("fixture_sum", 84, 36))
				assert.EqualValues(t, 1, m.call("fixture_calls"))
				text, err := m.Mem.ReadString(m.call("fixture_text"), 64)
				require.NoError(t, err)
				assert.Equal(t, "fixture", text)
				assert.EqualValues(t, 7, m.call("fixture_per_cpu"))
				assert.Zero(t, m.call("fixture:init_module"))
				assert.EqualValues(t, 100, m.call("fixture_calls"))

				assert.Len(t, ko.Image.Sites(), 4)
				assert.Len(t, ko.InitSites, 1)
				assert.Zero(t, ko.Exit)
				if far {
					assert.Equal(t, 1, ko.PLTs, "the call of gcd")
				} else {
					assert.Zero(t, ko.PLTs)
				}
				site, ok := m.Site(ko.Image.Sites()[0].IP)
				assert.True(t, ok)
				assert.Equal(t, "fixture_sum+0x4/0x68 [fixture]", m.Symbols.Format(site.IP))
				perms := make(map[string]emu.Perm)
				for _, s := range ko.Image.Segments() {
					perms[s.Name] = m.Mem.Region(s.Addr).Perm
				}
				assert.Equal(t, map[string]emu.Perm{
					"text": emu.Read | emu.Exec, "rodata": emu.Read, "data": emu.Read | emu.Write, "init text": emu.Read | emu.Exec,
				}, perms)
			})
		}
	})
}

func TestUnload_LeavesNothingBehind(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))
		before := m.Symbols.All()
		ko, err := m.LoadModuleFile(t.Context(), fixtureKo, nil)
		require.NoError(t, err)
		_, err = m.LoadModuleFile(t.Context(), fixtureKo, nil)
		require.ErrorIs(t, err, errno.EEXIST)
		fn, err := m.Func("fixture_calls")
		require.NoError(t, err)
		require.NoError(t, m.Unload(ko))
		assert.Equal(t, before, m.Symbols.All())
		assert.Empty(t, m.Modules())
		assert.NotContains(t, m.loaded.exports, "fixture_sum")
		assert.ErrorIs(t, m.Unload(ko), errno.ENOENT)
		_, err = m.Call(t.Context(), 0, nil, fn)
		assert.Error(t, err, "its text is no instructions any more")

		regions := len(m.Mem.Regions())
		again, err := m.LoadModuleFile(t.Context(), fixtureKo, nil)
		require.NoError(t, err)
		assert.Equal(t, ko.Image.Segments()[0].Addr, again.Image.Segments()[0].Addr)
		assert.Len(t, m.Mem.Regions(), regions, "memory is taken again")
		assert.EqualValues(t, 24, m.call("fixture_sum", 84, 36))
	})
}

func TestLoadModule_ModulesUseOneAnother(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	first, err := k.LoadModuleFile(t.Context(), fixtureKo, nil)
	require.NoError(t, err)
	b := fixtureModule(t)
	b = bytes.ReplaceAll(b, []byte("\x00name="), []byte("\x00nome="))
	user := bytes.ReplaceAll(b, []byte("\x00gcd\x00"), []byte("\x00gcf\x00"))
	k.loaded.exports["gcf"] = k.loaded.exports["fixture_sum"]
	delete(k.loaded.exports, "fixture_sum")
	second, err := k.LoadModule(t.Context(), user, "a-user.ko", nil)
	require.NoError(t, err)
	assert.Equal(t, "a_user", second.Name)
	assert.ErrorIs(t, k.Unload(first), errno.EBUSY)
	require.NoError(t, k.Unload(second))
	assert.NoError(t, k.Unload(first))
}

// moduleNameLen is the longest name, MODULE_NAME_LEN without the NUL.
const moduleNameLen = 55

// A module's name is that of all it has: one without a name, or with that of
// what is there already, would take the kernel's symbols with it.
func TestLoadModule_ANameBelongsToOneOnly(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	b := bytes.ReplaceAll(fixtureModule(t), []byte("\x00name="), []byte("\x00nome="))
	_, err := k.LoadModule(t.Context(), b, ".ko", nil)
	require.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, "is not a module name")

	_, err = k.AllocModuleData("callops", "table", 64, emu.Read)
	require.NoError(t, err)
	_, err = k.LoadModule(t.Context(), b, "callops.ko", nil)
	assert.ErrorIs(t, err, errno.EEXIST)
	_, err = k.LoadModule(t.Context(), b, strings.Repeat("n", moduleNameLen+1)+".ko", nil)
	assert.ErrorIs(t, err, errno.ENOEXEC)
	m, err := k.LoadModule(t.Context(), b, strings.Repeat("n", moduleNameLen)+".ko", nil)
	require.NoError(t, err)
	require.NoError(t, k.Unload(m))
}

func TestLoadModule_FarWhereThereIsNoRoomNear(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))
		text, img := m.Image.TextBounds(), m.Image.Bounds()
		for _, r := range []kernelimage.Range{{Start: text.End - blReach, End: img.Start}, {Start: img.End, End: text.Start + blReach}} {
			for size := uint64(blReach); size >= emu.PageSize; size /= 2 {
				for {
					at, ok := m.Mem.FreeRange(r.Start, r.End, size)
					if !ok {
						break
					}
					_, err := m.Mem.Map("other modules", at, size, emu.Read)
					require.NoError(t, err)
				}
			}
		}
		ko, err := m.LoadModuleFile(t.Context(), fixtureKo, nil)
		require.NoError(t, err)
		assert.Equal(t, 1, ko.PLTs)
		assert.EqualValues(t, 24, m.call("fixture_sum", 84, 36))
	})
}

func TestUnload_PerCPUVariablesAreGivenBackInAnyOrder(t *testing.T) {
	k := bootStill(t, builtin(t, nil), nil)
	b := bytes.ReplaceAll(fixtureModule(t), []byte("\x00name="), []byte("\x00nome="))
	b = bytes.ReplaceAll(b, []byte("__ksymtab_fixture_sum"), []byte("__ksumtab_fixture_sum"))
	first, err := k.LoadModule(t.Context(), b, "first.ko", nil)
	require.NoError(t, err)
	second, err := k.LoadModule(t.Context(), b, "second.ko", nil)
	require.NoError(t, err)
	assert.Equal(t, first.PerCPU.End, second.PerCPU.Start)
	require.NoError(t, k.Unload(first))
	assert.EqualValues(t, 16, k.loaded.perCPU)
	require.NoError(t, k.Unload(second))
	assert.Zero(t, k.loaded.perCPU)
}

func TestUnload_OfWhatIsBeingExecutedEndsTheCall(t *testing.T) {
	eachEngine(t, func(t *testing.T, boot bootFunc) {
		m := boot(t, builtin(t, nil))
		ko, err := m.LoadModuleFile(t.Context(), fixtureKo, nil)
		require.NoError(t, err)
		gate, err := m.Gates.Add("unloads", func(emu.CPU, [8]uint64) (uint64, error) { return 0, m.Unload(ko) })
		require.NoError(t, err)
		pointer, err := m.Symbols.Lookup("pointer")
		require.NoError(t, err)
		require.NoError(t, m.Mem.Store64(pointer.Addr, gate))
		_, err = m.try("fixture_sum", 84, 36)
		var run *RunError
		require.ErrorAs(t, err, &run, "it returns to words that are no instructions")
		assert.EqualValues(t, 12, m.call("gcd", 84, 36), "and the CPU stays usable")
	})
}

// FuzzModule: any file is a module that can be loaded and unloaded, or an error
// and no trace of it.
func FuzzModule(f *testing.F) {
	module := fixtureModule(f)
	f.Add(edits.At(0x28+7, 0x80)) // section headers
	f.Add(edits.At(len(module)-200, module[:8]...))
	f.Add([]byte{})
	img := builtin(f, nil)
	var k *Kernel
	loads := 0
	f.Fuzz(func(t *testing.T, e []byte) {
		b := edits.Apply(module, e)
		if k == nil { // freed memory is taken again for the same form only
			var err error
			k, err = Boot(img, newStill, nil)
			require.NoError(t, err)
			loads = 0
		}
		symbols := len(k.Symbols.All())
		m, err := k.LoadModule(t.Context(), b, "fuzz.ko", nil)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, len(err.Error()), 16<<10)
			require.Empty(t, k.Modules())
		} else {
			_, _ = k.Prototype("fixture_sum")
			require.NoError(t, k.Unload(m))
			if loads++; loads == 50 {
				require.NoError(t, k.Close())
				k = nil
				return
			}
		}
		require.Len(t, k.Symbols.All(), symbols)
	})
}
