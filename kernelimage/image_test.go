package kernelimage

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestImage_WhatCallersGetIsTheirOwn(t *testing.T) {
	for name, img := range map[string]*Image{
		"built-in": builtinImage(t, nil),
		"ELF":      workload(t, "workload-callops.elf"),
		"raw":      parsed(t, buildRaw(t, rawSpec{callOps: true}).b),
		"parts":    New(parsed(t, buildRaw(t, rawSpec{callOps: true}).b).Parts()),
	} {
		t.Run(name, func(t *testing.T) {
			all := func() []any {
				got := []any{img.Layout(), img.Segments(), img.Text(), img.Symbols(), img.Sites(), img.Linux(), img.Parts(), img.Banner()}
				for _, s := range img.Segments() {
					b, err := s.Bytes()
					require.NoError(t, err)
					got = append(got, b)
				}
				return got
			}
			before := all()
			img.Layout().Ops.Func = 1 << 10
			clear(img.Text())
			clear(img.Symbols())
			clear(img.Sites())
			for _, s := range img.Segments() {
				b, err := s.Bytes()
				require.NoError(t, err)
				clear(b)
			}
			clear(img.Segments())
			if l := img.Linux(); l != nil {
				clear(l.Assumed)
				*l = Linux{}
			}
			p := img.Parts()
			p.Layout.Task.Stack, p.Name = 1<<10, "other"
			clear(p.Symbols)
			clear(p.Sites)
			clear(p.Segments)
			clear(p.BTF)
			word := make([]byte, 4)
			_, err := img.ReadAt(word, img.Text()[0].Start)
			require.NoError(t, err)
			clear(word)
			assert.Equal(t, before, all())
		})
	}
}

func TestNew_TheImageIsApartFromItsParts(t *testing.T) {
	p := builtinImage(t, nil).Parts()
	p.Linux = &Linux{Assumed: []string{"struct ftrace_regs"}}
	img := New(p)
	want := New(p)
	p.Layout.Ops.Size, p.Linux.Assumed[0], p.Linux.PageSize = 0, "", 1
	clear(p.Symbols)
	clear(p.Sites)
	clear(p.Text)
	clear(p.Segments)
	assert.Equal(t, want, img)
}

func TestFindSites_AreThoseOfTheImage(t *testing.T) {
	for _, o := range fourLayouts {
		img := builtinImage(t, &o)
		var entries []uint64
		for _, s := range img.Sites() {
			entries = append(entries, s.Entry)
		}
		p := img.Parts()
		p.Sites, p.CallOps, p.BTI = nil, false, false
		require.NoError(t, p.FindSites(entries))
		assert.Equal(t, img, New(p), layoutName(o))
		entries[0] += 4
		assert.Error(t, p.FindSites(entries))
	}
}
