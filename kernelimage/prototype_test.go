package kernelimage

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/internal/kernels"
	"callops/kernelimage/internal/btfsection"
)

func TestPrototype_OfAnImageWithoutBTF(t *testing.T) {
	img, err := Builtin(nil)
	require.NoError(t, err)
	_, err = img.Prototype("gcd")
	assert.ErrorIs(t, err, errno.ENOENT)
}

func TestLinux_PrototypesAreThoseOfTheSources(t *testing.T) {
	img, _ := linux(t, kernels.Linux612)
	for name, want := range map[string]string{
		"gcd":             "unsigned long gcd(unsigned long a, unsigned long b)",
		"snprintf":        "int snprintf(char *buf, size_t size, const char *fmt, ...)",
		"sort":            "void sort(void *base, size_t num, size_t size, cmp_func_t cmp_func, swap_func_t swap_func)",
		"kstrtoull":       "int kstrtoull(const char *s, unsigned int base, unsigned long long *res)",
		"find_vma":        "struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long addr)",
		"smp_send_stop":   "void smp_send_stop(void)",
		"smp_call_on_cpu": "int smp_call_on_cpu(unsigned int cpu, int (*func)(void *), void *par, bool phys)",
	} {
		p, err := img.Prototype(name)
		require.NoError(t, err)
		assert.Equal(t, want, p.String())
	}
	for _, name := range []string{"no_such_function", "strcmp", "crc32_le"} { // the last two are in assembler
		_, err := img.Prototype(name)
		assert.ErrorIs(t, err, errno.ENOENT, name)
	}
}

// What is read of a function alone is what all of the types say of it.
func TestLinux_PrototypesOfFunctionsAlone(t *testing.T) {
	img, _ := linux(t, kernels.Linux612)
	all, err := img.types(nil)
	require.NoError(t, err)
	compared := 0
	for i := range img.symbols {
		s := &img.symbols[i]
		if i%512 != 0 || !s.Func {
			continue
		}
		want, err := all.prototype(s.Name)
		if err != nil {
			continue
		}
		section, ok := btfsection.Function(img.btfSection(), s.Name)
		require.True(t, ok, s.Name)
		types, err := readBTF(section)
		require.NoError(t, err, s.Name)
		have, err := types.prototype(s.Name)
		require.NoError(t, err, s.Name)
		assert.Equal(t, want, have)
		assert.Less(t, types.count, 1000, s.Name)
		compared++
	}
	assert.Greater(t, compared, 50)
	_, ok := btfsection.Function(img.btfSection(), "no_such_function")
	assert.False(t, ok)
}

func TestPrototype_OfAModuleBuildsOnTheKernelsBTF(t *testing.T) {
	kernel := New(&Parts{Name: "kernel", BTF: rawBTF([]uint32{btfX, 1 << 24, 4, 1<<24 | 32})})
	// x func(x y), of type 1 in the kernel.
	split := rawBTF([]uint32{0, kindProto | 1, 1, btfY, 1}, []uint32{btfFunc, kindFunc, 2})
	for name, c := range map[string]struct {
		btf, base []byte
		want      error
	}{
		"split":             {split, nil, nil},
		"with its own base": {split, rawBTF([]uint32{btfX, 1 << 24, 4, 1<<24 | 32}), nil},
		"cut short":         {split[:len(split)-1], nil, errno.ENOEXEC},
		"damaged base":      {split, []byte("no BTF"), errno.ENOEXEC},
		"of another module": {fixtureBTF(t), fixtureBTF(t), errno.ENOENT},
		"without":           {nil, nil, errno.ENOENT},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(&Parts{Name: "module", BTF: c.btf, BTFBase: c.base}).PrototypeOver(kernel, "func")
			if c.want != nil {
				assert.ErrorIs(t, err, c.want)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "x func(x y)", p.String())
		})
	}
}
