package kernelimage

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/internal/errno"
)

const btiC = 0xd503245f

// fourLayouts are the built-in kernel's variants.
var fourLayouts = []BuiltinOptions{{}, {BTI: true}, {NoCallOps: true}, {NoCallOps: true, BTI: true}}

func layoutName(o BuiltinOptions) string {
	return fmt.Sprintf("call_ops=%t,bti=%t", !o.NoCallOps, o.BTI)
}

func builtinImage(t *testing.T, opts *BuiltinOptions) *Image {
	t.Helper()
	img, err := Builtin(opts)
	require.NoError(t, err)
	return img
}

func TestBuiltin_SitesAreAsACompilerLeavesThem(t *testing.T) {
	for _, o := range fourLayouts {
		t.Run(layoutName(o), func(t *testing.T) {
			img := builtinImage(t, &o)
			assert.Equal(t, !o.NoCallOps, img.callOps)
			assert.Equal(t, o.BTI, img.bti)

			traced := 0
			for _, f := range builtinFuncs {
				sym, ok := img.symbol(f.name)
				require.True(t, ok, f.name)
				site, ok := img.Site(sym.Addr)
				require.Equal(t, !f.untraced, ok, f.name)
				if f.untraced {
					continue
				}
				traced++
				assert.Equal(t, sym.Addr, site.Func())
				want := []uint32{asm.NOP, asm.NOP}
				start := sym.Addr
				if o.BTI {
					want = append([]uint32{btiC}, want...)
				}
				if !o.NoCallOps {
					want = append([]uint32{asm.NOP, asm.NOP}, want...)
					start -= 8
					assert.Zero(t, sym.Addr%8, "alignment of %s", f.name)
					assert.Equal(t, start, site.Literal)
					assert.Equal(t, (site.IP-12)&^7, site.Literal, "the kernel's formula")
				} else {
					assert.Zero(t, site.Literal)
				}
				words, ok := img.words(start, len(want))
				require.True(t, ok)
				assert.Equal(t, want, words, f.name)
				assert.Equal(t, start+uint64(4*len(want)-4), site.IP)
			}
			assert.Len(t, img.sites, traced)
			assert.GreaterOrEqual(t, traced, 15)
			assert.IsIncreasing(t, ips(img))
		})
	}
}

func ips(img *Image) []uint64 {
	var ips []uint64
	for _, s := range img.sites {
		ips = append(ips, s.IP)
	}
	return ips
}

func TestBuiltin_ProfileDecidesLayout(t *testing.T) {
	for profile, want := range map[Profile]struct {
		callOps bool
		opsSize int
	}{"": {true, 216}, Profile612: {true, 216}, ProfileV3: {true, 184}, Profile61: {false, 184}} {
		img := builtinImage(t, &BuiltinOptions{Profile: profile})
		assert.Equal(t, want.callOps, img.callOps, profile)
		assert.Equal(t, want.opsSize, img.layout.Ops.Size, profile)
	}
	_, err := Builtin(&BuiltinOptions{Profile: "2.4"})
	assert.ErrorIs(t, err, errno.EINVAL)
}

func TestBuiltin_TraceesHaveTheShapeOfLinuxSamples(t *testing.T) {
	img := builtinImage(t, nil)
	for _, name := range []string{"tracee_relevant", "tracee_irrelevant"} {
		sym, ok := img.symbol(name)
		require.True(t, ok)
		words, ok := img.words(sym.Addr, 3)
		require.True(t, ok)
		assert.Equal(t, []uint32{asm.NOP, asm.NOP, 0xd65f03c0}, words, name)
		assert.EqualValues(t, 12, sym.Size)
	}
}

func TestBanner_IsTheImagesOwn(t *testing.T) {
	assert.Equal(t, "callops built-in kernel", builtinImage(t, nil).Banner())
	assert.Empty(t, workload(t, "workload-callops.elf").Banner())
}
