package kernelimage

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/edits"
	"callops/internal/errno"
	"callops/internal/hostmem"
	"callops/internal/kernels"
	"callops/kernelimage/internal/backing"
	"callops/kernelimage/internal/imageindex"
)

// indexed is a fixture and its index, not saved yet.
func indexed(t *testing.T, b []byte) (x *index, f *os.File, img *Image) {
	t.Helper()
	mappedOnly(t)
	f, err := os.Open(writeRaw(t, b))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	info, err := f.Stat()
	require.NoError(t, err)
	img, err = Parse(t.Context(), f, info.Size(), "Image", nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, img.Close()) })
	return &index{path: filepath.Join(t.TempDir(), "images", "a.image"), key: "the key", info: info}, f, img
}

// sameImage compares all that two images have.
func sameImage(t *testing.T, want, have *Image) {
	t.Helper()
	assert.Equal(t, want.name, have.name)
	assert.Equal(t, want.profile, have.profile)
	assert.Equal(t, want.layout, have.layout)
	assert.Equal(t, [2]bool{want.callOps, want.bti}, [2]bool{have.callOps, have.bti})
	assert.Equal(t, want.text, have.text)
	assert.True(t, assert.ObjectsAreEqual(want.symbols, have.symbols), "symbols")
	assert.True(t, assert.ObjectsAreEqual(want.sites, have.sites), "call sites")
	assert.Equal(t, want.linux, have.linux)
	assert.Equal(t, want.btf, have.btf)
	assert.True(t, assert.ObjectsAreEqual(want.SymbolTable().syms, have.SymbolTable().syms), "table of symbols")
	require.Len(t, have.segments, len(want.segments))
	for i, s := range want.segments {
		h := &have.segments[i]
		assert.True(t, bytes.Equal(s.data, h.data), s.Name)
		assert.Equal(t, []any{s.Name, s.Addr, s.MemSize, s.Perm}, []any{h.Name, h.Addr, h.MemSize, h.Perm})
	}
	wantMem, err := loaded(want)
	require.NoError(t, err)
	haveMem, err := loaded(have)
	require.NoError(t, err)
	b := want.Bounds()
	first, second := make([]byte, b.End-b.Start), make([]byte, b.End-b.Start)
	require.NoError(t, wantMem.Read(b.Start, first))
	require.NoError(t, haveMem.Read(b.Start, second))
	assert.True(t, bytes.Equal(first, second), "in a guest's memory")
	require.NoError(t, wantMem.Close())
	require.NoError(t, haveMem.Close())
}

func TestIndex_HasWhatWasRead(t *testing.T) {
	for name, spec := range map[string]rawSpec{
		"CALL_OPS": {callOps: true}, "relocated already": {applied: true}, "without BTF": {noBTF: true, callOps: true}, "functions alone": {funcsOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			x, f, img := indexed(t, buildRaw(t, spec).b)
			require.NoError(t, x.save(img))
			have, err := x.image(f, "Image")
			require.NoError(t, err)
			sameImage(t, img, have)
			require.NoError(t, have.Close())
			_, err = have.ReadAt(make([]byte, 1), have.Bounds().Start)
			assert.ErrorIs(t, err, os.ErrClosed)
		})
	}
}

// A file that has changed since it was hashed is not described by the index.
func TestIndex_IsOfAFileAsItWasHashed(t *testing.T) {
	x, f, img := indexed(t, buildRaw(t, rawSpec{callOps: true}).b)
	require.NoError(t, x.save(img))
	require.NoError(t, os.Chtimes(f.Name(), time.Time{}, time.Unix(1, 0)))
	_, err := x.image(f, "Image")
	require.ErrorIs(t, err, errno.ESTALE)
}

func TestIndex_RefusesWhatIsDamagedOrAnothers(t *testing.T) {
	x, f, img := indexed(t, buildRaw(t, rawSpec{callOps: true}).b)
	require.NoError(t, x.save(img))
	good, err := os.ReadFile(x.path)
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		b    []byte
		want error
	}{
		"no byte":       {nil, errno.EINVAL},
		"cut short":     {good[:len(good)-1], errno.EINVAL},
		"half of it":    {good[:len(good)/2], errno.EINVAL},
		"longer":        {append(bytes.Clone(good), 0), errno.EINVAL},
		"another magic": {edits.Apply(good, edits.At(0, 'C')), errno.EINVAL},
		"the first bit": {edits.Apply(good, edits.At(0x80, ^good[0x80])), errno.EINVAL},
		"the last one":  {edits.Apply(good, edits.At(len(good)-1, ^good[len(good)-1])), errno.EINVAL},
	} {
		require.NoError(t, os.WriteFile(x.path, tt.b, 0o600))
		_, err := x.image(f, "Image")
		require.ErrorIs(t, err, tt.want, name)
	}
	require.NoError(t, os.WriteFile(x.path, good, 0o600))
	x.key = "another key"
	_, err = x.image(f, "Image")
	require.ErrorIs(t, err, errno.ESTALE)
}

// Whoever knows the format can write a file with a right checksum.
func TestIndex_RefusesWhatNoImageHas(t *testing.T) {
	_, _, img := indexed(t, buildRaw(t, rawSpec{callOps: true}).b)
	sections, err := encodeIndex(img)
	require.NoError(t, err)
	type rest = *indexRest
	type all = *[imageindex.Sections][]byte
	for name, spoil := range map[string]func(r rest, s all){
		"another profile":   func(r rest, _ all) { r.Profile = "7.4" },
		"no kernel":         func(r rest, _ all) { r.Linux = nil },
		"no segments":       func(r rest, _ all) { r.Segments = nil },
		"a segment's size":  func(r rest, _ all) { r.Segments[0].Size = r.Segments[0].MemSize + 1 },
		"a segment's end":   func(r rest, _ all) { r.Segments[3].MemSize = -r.Segments[3].Addr + 1 },
		"a segment's place": func(r rest, _ all) { r.Segments[1].Off = 1 << 40 },
		"a gap":             func(r rest, _ all) { r.Segments[1].Addr += 0x1000 },
		"permissions":       func(r rest, _ all) { r.Segments[1].Perm = 1 << 7 },
		"no text":           func(r rest, _ all) { r.Text = nil },
		"text elsewhere":    func(r rest, _ all) { r.Text[0].Start = 1 },
		"text that ends":    func(r rest, _ all) { r.Text[0].End = r.Text[0].Start },
		"text twice":        func(r rest, _ all) { r.Text[1] = r.Text[0] },
		"odd pages":         func(r rest, _ all) { r.Linux.PageSize = 5000 },
		"a task":            func(r rest, _ all) { r.Layout.Task.Comm = 99999 },
		"per-CPU variables": func(r rest, _ all) { r.Linux.PerCPU.Start++ },
		"too many":          func(r rest, _ all) { r.Linux.PerCPU.End += 1 << 40 },
		"a CPU's area":      func(r rest, _ all) { r.Layout.PerCPU.Size = 1 << 40 },
		"a symbol's name":   func(_ rest, s all) { s[sectionNames] = s[sectionNames][:10] },
		"order of symbols":  func(_ rest, s all) { copy(s[sectionSymbols][symbolSize:], make([]byte, 8)) },
		"order of sites":    func(_ rest, s all) { copy(s[sectionSites][siteSize:], s[sectionSites][:siteSize]) },
		"a site elsewhere":  func(_ rest, s all) { s[sectionSites][7] = 0 },
		"an odd literal":    func(_ rest, s all) { s[sectionSites][0] |= 4 },
	} {
		var spoilt [imageindex.Sections][]byte
		for i := range sections {
			spoilt[i] = bytes.Clone(sections[i])
		}
		var r indexRest
		require.NoError(t, json.Unmarshal(sections[sectionRest], &r))
		spoil(&r, &spoilt)
		spoilt[sectionRest], err = json.Marshal(r)
		require.NoError(t, err)
		_, err := decodeIndex(&spoilt, "Image", img.file)
		assert.ErrorIs(t, err, errno.EINVAL, name)
	}
	sections[sectionRest] = []byte("{")
	_, err = decodeIndex(&sections, "Image", img.file)
	require.ErrorIs(t, err, errno.EINVAL)
}

// A real kernel, as it is and packed: read, then from its index, by several at a time.
func TestOpen_FromTheIndexIsWhatTheKernelIs(t *testing.T) {
	mappedOnly(t)
	path := kernels.Path(t, kernels.Linux612)
	packed := filepath.Join(t.TempDir(), filepath.Base(path))
	require.NoError(t, os.WriteFile(packed, gzipped(t, path), 0o600))
	want, err := Open(t.Context(), path, &OpenOptions{NoIndex: true})
	require.NoError(t, err)
	defer want.Close()
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	assert.Empty(t, want.Digest())
	digests := map[string]bool{}
	for i, p := range []string{path, packed} {
		var wg sync.WaitGroup
		images := make([]*Image, 4)
		for k := range images {
			wg.Go(func() {
				img, err := Open(t.Context(), p, nil)
				if assert.NoError(t, err) {
					images[k] = img
				}
			})
		}
		wg.Wait()
		again, err := Open(t.Context(), p, nil)
		require.NoError(t, err)
		for _, img := range append(images[3:], again) {
			packedIn := img.linux.Packed
			img.linux.Packed = want.linux.Packed
			sameImage(t, want, img)
			assert.Len(t, packedIn, i)
			assert.Equal(t, again.Digest(), img.Digest())
			digests[img.Digest()] = true
		}
		for _, img := range append(images, again) {
			require.NoError(t, img.Close())
		}
		found, err := filepath.Glob(filepath.Join(cache, "callops", "images", "*"))
		require.NoError(t, err)
		assert.Len(t, found, i+1)
		assert.Len(t, digests, i+1)
		_, err = Open(t.Context(), p, &OpenOptions{Profile: Profile61})
		assert.ErrorIs(t, err, errno.EINVAL)
	}
}

// FuzzIndex: any sections give an image that holds together, or an error.
func FuzzIndex(f *testing.F) {
	if !hostmem.Mapped {
		f.Skip("no file is mapped here")
	}
	var sections [imageindex.Sections][]byte
	var file *backing.File
	f.Add(uint8(sectionRest), edits.At(12, 'x'))
	f.Add(uint8(sectionSymbols), edits.At(8, 0xff, 0xff))
	f.Add(uint8(sectionSites), edits.Cut(20))
	f.Fuzz(func(t *testing.T, which uint8, e []byte) {
		if file == nil {
			b := buildRaw(t, rawSpec{callOps: true}).b
			img, err := Parse(t.Context(), bytes.NewReader(b), int64(len(b)), "Image", nil)
			require.NoError(t, err)
			sections, err = encodeIndex(img)
			require.NoError(t, err)
			file = img.file // and never closed
		}
		edited := sections
		which %= imageindex.Sections
		edited[which] = edits.Apply(sections[which], e)
		img, err := decodeIndex(&edited, "fuzz", file)
		if err != nil {
			return
		}
		end := uint64(0)
		for _, s := range img.segments {
			require.GreaterOrEqual(t, s.Addr, end)
			require.LessOrEqual(t, uint64(len(s.data)), s.MemSize)
			end = s.End()
		}
		last := uint64(0)
		for _, s := range img.sites {
			require.Greater(t, s.IP, last)
			require.True(t, img.inText(s.IP))
			last = s.IP
		}
		for sym := range img.SymbolTable().All() {
			require.NotContains(t, sym.Name, "\n")
		}
		_, _ = img.TextCost()
		_ = img.Banner()
		_, _ = img.Prototype("schedule")
	})
}

// gzipped is a file packed as it takes least time.
func gzipped(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	require.NoError(t, err)
	_, err = w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}
