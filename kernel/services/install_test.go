package services

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/asm"
	"callops/emu"
	"callops/emu/interp"
	"callops/internal/errno"
	"callops/kernelimage"
)

const base = 0xffff_8000_8000_0000

// synthetic is an image that claims to be Linux, and its functions.
type synthetic struct {
	b     *asm.Builder
	parts *kernelimage.Parts
}

func newSynthetic(t *testing.T) *synthetic {
	t.Helper()
	builtin, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	return &synthetic{asm.NewBuilder(), &kernelimage.Parts{Name: "synthetic", Profile: builtin.Profile(), Layout: builtin.Layout()}}
}

// fn adds a function that returns result. With a site it has a literal, and begins
// with BTI C where bti.
func (s *synthetic) fn(name string, site, bti bool, result uint64) {
	s.b.Align(8)
	if site {
		s.b.Zero(8)
	}
	s.b.Func(name)
	if bti {
		s.b.Emit(asm.Bti(asm.BTIC))
	}
	if site {
		s.b.Emit(asm.Nop(), asm.Nop())
	}
	s.b.Emit(asm.MovImm(asm.X0, result)...)
	s.b.Emit(asm.Ret())
	s.b.EndFunc()
}

func (s *synthetic) image(t *testing.T, banner string) *kernelimage.Parts {
	t.Helper()
	s.b.Object("linux_banner")
	s.b.Bytes(append([]byte(banner), 0))
	p, err := s.b.Assemble(base)
	require.NoError(t, err)
	parts := s.parts
	parts.Segments = []kernelimage.Segment{kernelimage.NewSegment("text", base, p.Code, uint64(len(p.Code)), emu.Read|emu.Exec)}
	parts.Text = []kernelimage.Range{{Start: base, End: base + uint64(len(p.Code))}}
	for _, sym := range p.Symbols {
		name, _, _ := strings.Cut(sym.Name, "/") // which of those with a name
		parts.Symbols = append(parts.Symbols, kernelimage.Symbol{Name: name, Addr: sym.Addr, Size: sym.Size, Func: sym.Kind == asm.Func})
	}
	return parts
}

const linuxBanner = "Linux version 6.12.1 (by hand)"

// standard is an image with an allocator of each form that an entry can have.
func standard(t *testing.T, banner string) *kernelimage.Parts {
	s := newSynthetic(t)
	s.fn("alloc_contig_range", true, false, 1)
	s.fn("alloc_contig_pages", true, true, 2)
	s.fn("get_vm_area", false, false, 3)
	s.fn("vmap", false, true, 4)
	s.fn("vmalloc_node.constprop.0", true, false, 5)
	s.fn("kmem_cache_alloc", true, false, 6) // two static functions
	s.fn("kmem_cache_alloc/2", true, false, 7)
	s.fn("kfree_link", true, false, 8)
	parts := s.image(t, banner)
	for _, sym := range parts.Symbols {
		at, bti := sym.Addr, sym.Name == "alloc_contig_pages"
		if bti {
			at += insnSize
		}
		if sym.Func && sym.Name != "get_vm_area" && sym.Name != "vmap" {
			parts.Sites = append(parts.Sites, kernelimage.Site{Entry: sym.Addr - 8, Literal: sym.Addr - 8, IP: at + insnSize, BTI: bti})
		}
	}
	return parts
}

func TestInstall_OnlyTheFunctionItselfAndAfterItsSite(t *testing.T) {
	eachEngine(t, kernelimage.New(standard(t, linuxBanner)), func(m *machine) {
		type place struct {
			name string
			off  uint64
		}
		var got []place
		for _, r := range m.Replaced() {
			got = append(got, place{r.Name, r.Branch - r.Addr})
		}
		assert.Equal(m.t, []place{{"alloc_contig_range", 8}, {"alloc_contig_pages", 12}, {"get_vm_area", 0}, {"vmap", 4}}, got)
		for _, r := range m.Replaced() {
			_, err := m.try(r.Name)
			assert.ErrorIs(m.t, err, errno.ENOSYS, r.Name)
		}
		assert.EqualValues(m.t, 5, m.call("vmalloc_node.constprop.0"), "its arguments are others")
		assert.EqualValues(m.t, 8, m.call("kfree_link"))
		for _, sym := range m.Symbols.All() {
			if sym.Name == "kmem_cache_alloc" {
				res, err := m.Call(m.t.Context(), 0, nil, sym.Addr)
				require.NoError(m.t, err)
				assert.Contains(m.t, []uint64{6, 7}, res.X0)
			}
		}
		for _, site := range m.Image.Sites() {
			w, err := m.Mem.Load32(site.IP)
			require.NoError(m.t, err)
			assert.True(m.t, asm.IsNop(w), "the site is ftrace's")
		}
	})
}

// A CPU that has executed a function executes what replaces it from then on.
func TestInstall_CPUsAreToldOfTheChange(t *testing.T) {
	img := kernelimage.New(standard(t, linuxBanner))
	eachEngine(t, kernelimage.New(standard(t, "none")), func(m *machine) {
		assert.EqualValues(m.t, 3, m.call("get_vm_area"))
		m.Kernel.Image = img
		_, err := Install(m.Kernel, nil)
		require.NoError(m.t, err)
		_, err = m.try("get_vm_area")
		assert.ErrorIs(m.t, err, errno.ENOSYS)
	})
}

func TestInstall_OtherImagesKeepTheirFunctions(t *testing.T) {
	eachEngine(t, kernelimage.New(standard(t, "not Linux version 6")), func(m *machine) {
		assert.Empty(m.t, m.Replaced())
		assert.EqualValues(m.t, 1, m.call("alloc_contig_range"))
	})
	builtin, err := kernelimage.Builtin(nil)
	require.NoError(t, err)
	assert.Empty(t, boot(t, builtin, interp.New, nil).Replaced())
}

// A file may call anything an allocator.
func TestInstall_WhatIsNoFunctionOfTheTextIsLeft(t *testing.T) {
	for name, spoil := range map[string]func(parts *kernelimage.Parts, sym *kernelimage.Symbol){
		"an object":  func(_ *kernelimage.Parts, sym *kernelimage.Symbol) { sym.Func = false },
		"misaligned": func(_ *kernelimage.Parts, sym *kernelimage.Symbol) { sym.Addr += 2 },
		"not mapped": func(_ *kernelimage.Parts, sym *kernelimage.Symbol) { sym.Addr = 0x1000 },
		"not text":   func(parts *kernelimage.Parts, _ *kernelimage.Symbol) { parts.Text = nil },
		"too short for its branch": func(parts *kernelimage.Parts, sym *kernelimage.Symbol) {
			parts.Symbols = append(parts.Symbols, kernelimage.Symbol{Name: "next", Addr: sym.Addr + 8, Func: true})
		},
		"gone after boot": func(parts *kernelimage.Parts, sym *kernelimage.Symbol) {
			parts.Linux = &kernelimage.Linux{InitText: kernelimage.Range{Start: sym.Addr, End: sym.Addr + insnSize}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			parts := standard(t, linuxBanner)
			spoil(parts, &parts.Symbols[0])
			for _, r := range boot(t, kernelimage.New(parts), interp.New, nil).Replaced() {
				assert.NotEqual(t, "alloc_contig_range", r.Name)
			}
		})
	}
}

func TestInstall_AnAliasIsReplacedOnce(t *testing.T) {
	parts := standard(t, linuxBanner)
	alias := parts.Symbols[0]
	alias.Name = "alloc_contig_range_noprof"
	parts.Symbols = append([]kernelimage.Symbol{alias}, parts.Symbols...)
	m := boot(t, kernelimage.New(parts), interp.New, nil)
	assert.Equal(t, "alloc_contig_range", m.Replaced()[0].Name)
	assert.Equal(t, "alloc_contig_pages", m.Replaced()[1].Name)
}

func testReplaced(m *machine) {
	what := make(map[string]int)
	for _, r := range m.Replaced() {
		what[r.What]++
		assert.LessOrEqual(m.t, r.Branch-r.Addr, uint64(12))
		if site, ok := m.Image.Site(r.Addr); ok {
			assert.Equal(m.t, site.IP+insnSize, r.Branch)
		}
	}
	for _, row := range table {
		assert.NotZero(m.t, what[row.what], row.what)
	}
	assert.Greater(m.t, len(m.Replaced()), 40)
}
