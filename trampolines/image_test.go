package trampolines

import (
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu"
	"callops/emu/engines"
	"callops/internal/errno"
	"callops/kernel"
	"callops/kernelimage"
)

// bootWith boots the built-in kernel with more symbols.
func bootWith(t *testing.T, newEngine emu.NewEngine, callOps bool, symbols ...kernelimage.Symbol) *kernel.Kernel {
	t.Helper()
	img, err := kernelimage.Builtin(&kernelimage.BuiltinOptions{NoCallOps: !callOps})
	require.NoError(t, err)
	parts := img.Parts()
	parts.Symbols = append(parts.Symbols, symbols...)
	img = kernelimage.New(parts)
	k, err := kernel.Boot(img, newEngine, nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, k.Close()) })
	return k
}

func TestFromImage_NamesAllThatIsMissing(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		for _, v := range []struct {
			opts *Options
			want string
		}{
			{nil, "arch_ftrace_ops_list_func, call_direct_funcs, ftrace_call, ftrace_list_end, ftrace_ops_assist_func, " +
				"ftrace_ops_list, ftrace_stub, ftrace_stub_direct_tramp, function_trace_op"},
			{&Options{CallOps: true}, "arch_ftrace_ops_list_func, call_direct_funcs, ftrace_list_end, ftrace_list_ops, ftrace_nop_ops, " +
				"ftrace_ops_assist_func, ftrace_ops_list, ftrace_ops_nop_func, ftrace_stub, ftrace_stub_direct_tramp, function_trace_op"},
		} {
			k := bootWith(t, newEngine, v.opts != nil, kernelimage.Symbol{Name: "ftrace_caller", Addr: 0xffff800080000000, Func: true})
			regions := len(k.Mem.Regions())
			_, err := FromImage(k, v.opts)
			assert.EqualError(t, err, "trampolines of the image: "+k.Image.Name()+" has no symbol "+v.want)
			assert.ErrorIs(t, err, errno.ENOENT)
			assert.Len(t, k.Mem.Regions(), regions, "something was installed all the same")
		}
	})
}

func TestFromImage_OfKernelsItCannotRun(t *testing.T) {
	newEngine := engines.All()[0].New
	for want, v := range map[string]struct {
		linux   kernelimage.Linux
		symbols []kernelimage.Symbol
	}{
		"has no BTF":           {linux: kernelimage.Linux{Assumed: []string{"struct ftrace_ops"}}},
		"is older than 5.16's": {symbols: []kernelimage.Symbol{{Name: "ftrace_ops_list_func", Addr: 0xffff800080000000, Func: true}}},
	} {
		img, err := kernelimage.Builtin(nil)
		require.NoError(t, err)
		parts := img.Parts()
		parts.Linux, parts.Symbols = &v.linux, append(parts.Symbols, v.symbols...)
		img = kernelimage.New(parts)
		k, err := kernel.Boot(img, newEngine, nil)
		require.NoError(t, err)
		_, err = FromImage(k, nil)
		assert.ErrorContains(t, err, want)
		assert.ErrorIs(t, err, errno.EOPNOTSUPP)
		require.NoError(t, k.Close())
	}
}

func TestFromImage_NoKernel(t *testing.T) {
	_, err := FromImage(nil, nil)
	assert.ErrorIs(t, err, errno.EINVAL)
	_, err = Install(nil, nil)
	assert.ErrorIs(t, err, errno.EINVAL)
}

// The image's pieces replace callops', and nothing else.
func TestFromImage_TakesThePiecesThatTheImageHas(t *testing.T) {
	forEngines(t, func(t *testing.T, newEngine emu.NewEngine) {
		var symbols []kernelimage.Symbol
		for i, p := range pieces {
			symbols = append(symbols, kernelimage.Symbol{Name: p.name, Addr: 0xffff8000_9000_0000 + uint64(i)*16, Size: 16, Func: p.size == nil})
		}
		k := bootWith(t, newEngine, true, symbols...)
		c, err := FromImage(k, &Options{CallOps: true})
		require.NoError(t, err)
		for i, p := range pieces {
			switch addr := *p.addr(c); {
			case p.own != nil && p.own(k.Layout, true):
				assert.Equal(t, symbols[i].Addr, addr, p.name)
			case p.built(k.Layout, true, DirectOps):
				assert.NotZero(t, addr, p.name)
				assert.NotEqual(t, symbols[i].Addr, addr, p.name)
			default:
				assert.Zero(t, addr, p.name)
			}
		}
		assert.Equal(t, c.Stub, c.CallerEnd, "ftrace_call is a label in the caller")
	})
}

// Each address of Code has a row, each row a field of its own.
func TestPieces_FillCode(t *testing.T) {
	c := &Code{}
	names := map[uint64]string{}
	for i, p := range pieces {
		*p.addr(c) = uint64(i + 1)
		names[uint64(i+1)] = p.name
	}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case f.Name == "CallerEnd" || f.Name == "PreemptSchedule" || f.Name == "graphStop": // an end, gates
		case f.Type.Kind() == reflect.Uint64:
			assert.Contains(t, names, v.Field(i).Uint(), f.Name)
			delete(names, v.Field(i).Uint())
		}
	}
	delete(names, c.veneers.base)
	assert.Empty(t, names)
}

// docs/own-trampoline.md lists the required symbols.
func TestDocs_ListTheImagesPieces(t *testing.T) {
	page, err := os.ReadFile("../docs/own-trampoline.md")
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllSubmatch(page, -1) {
		listed[string(row[1])] = true
	}
	img, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	for _, p := range pieces {
		asked := p.own != nil && p.own(img.Layout(), true)
		assert.Equal(t, asked, listed[p.name], p.name)
		delete(listed, p.name)
	}
	assert.Empty(t, listed)
}
