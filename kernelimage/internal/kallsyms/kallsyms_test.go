package kallsyms_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
	"callops/kernelimage/internal/kallsyms"
	"callops/kernelimage/internal/kallsyms/kallsymstest"
)

const link = 0xffff_8000_8000_0000

type spec = kallsymstest.Spec

// symbols are some around the table, two of them at one address, and one whose
// name takes two bytes of length.
func symbols(n int) []kallsymstest.Symbol {
	syms := []kallsymstest.Symbol{{Type: 'T', Name: "_text"}, {Type: 'T', Name: "_stext"}}
	for i := range n {
		syms = append(syms, kallsymstest.Symbol{Type: 't', Name: fmt.Sprintf("function_%d", i), Off: uint64(0x100 + 8*i)})
	}
	return append(syms,
		kallsymstest.Symbol{Type: 'T', Name: "long_" + strings.Repeat("x", 0x90), Off: 1 << 20},
		kallsymstest.Symbol{Type: 'B', Name: "_end", Off: 2 << 20})
}

// image is zeros with a table in them.
func image(s spec, syms []kallsymstest.Symbol) []byte {
	b, _ := kallsymstest.Append(make([]byte, 0x1004), link, s, syms)
	return append(b, make([]byte, 0x100)...)
}

func nothing(int, int) bool { return false }

func find(b []byte) (*kallsyms.Table, error) { return kallsyms.Find(context.Background(), b, nothing) }

var layouts = map[string]spec{
	"base-relative, seqs_of_names, addresses last":                    {},
	"base-relative, addresses last":                                   {NoSeqs: true},
	"base-relative, absolute per-CPU, seqs_of_names, addresses last":  {Form: kallsyms.PerCPU},
	"absolute, addresses last":                                        {Form: kallsyms.Absolute, NoSeqs: true},
	"place-relative, seqs_of_names, addresses last":                   {Order: kallsymstest.From70},
	"base-relative, seqs_of_names, addresses first":                   {Order: kallsymstest.From62},
	"base-relative, absolute per-CPU, seqs_of_names, addresses first": {Order: kallsymstest.From62, Form: kallsyms.PerCPU},
	"base-relative, addresses first":                                  {Order: kallsymstest.From50},
	"absolute, addresses first":                                       {Order: kallsymstest.From50, Form: kallsyms.Absolute},
}

func TestFind_TellsEachLayoutAndReadsIt(t *testing.T) {
	for want, s := range layouts {
		for _, n := range []int{1, 252, 253, 600} { // one marker, a full one, two, three
			t.Run(fmt.Sprintf("%s/%d", want, n), func(t *testing.T) {
				syms := symbols(n)
				table, err := find(image(s, syms))
				require.NoError(t, err)
				assert.Equal(t, want, table.String())
				assert.Equal(t, len(syms), table.Len())
				all, err := table.Symbols(link)
				require.NoError(t, err)
				got := slices.Collect(all)
				require.Len(t, got, len(syms))
				for i, sym := range syms {
					require.Equal(t, kallsyms.Symbol{Name: sym.Name, Type: sym.Type, Addr: link + sym.Off}, got[i])
				}
				origin := uint64(link)
				if off, ok := table.Origin(); ok {
					origin = binary.LittleEndian.Uint64(image(s, syms)[off:])
				}
				addr, ok := table.Address("_end", origin)
				assert.True(t, ok)
				assert.Equal(t, uint64(link+2<<20), addr)
				_, ok = table.Address("end", origin)
				assert.False(t, ok)
			})
		}
	}
}

// Parts of 7.0 and later are aligned to 4 bytes: the table is found at each
// place that has.
func TestFind_AtEachAlignmentOf7(t *testing.T) {
	for shift := 0; shift < 16; shift += 4 {
		b, _ := kallsymstest.Append(make([]byte, 0x1000+shift), link, spec{Order: kallsymstest.From70}, symbols(300))
		table, err := find(b)
		require.NoError(t, err, "at %d", shift)
		assert.Equal(t, kallsyms.Place, table.Form)
	}
}

func TestFind_AbsoluteAddressesThatRelocationFills(t *testing.T) {
	b, pointers := kallsymstest.Append(make([]byte, 0x1000), link, spec{Order: kallsymstest.From50, Form: kallsyms.Absolute}, symbols(300))
	for _, p := range pointers {
		clear(b[p.At:][:8])
	}
	_, err := find(b)
	require.ErrorIs(t, err, errno.ENOEXEC)
	table, err := kallsyms.Find(context.Background(), b, func(off, n int) bool {
		return off == int(pointers[0].At) && n == len(pointers)
	})
	require.NoError(t, err)
	assert.Equal(t, kallsyms.Absolute, table.Form)
}

func TestFind_OfTwoTablesNoneIsTaken(t *testing.T) {
	b := image(spec{}, symbols(300))
	_, err := find(append(bytes.Clone(b), b...))
	assert.ErrorIs(t, err, errno.ENOEXEC)
	assert.ErrorContains(t, err, "two symbol tables")
}

func TestFind_RefusesTablesThatDoNotHoldTogether(t *testing.T) {
	le := binary.LittleEndian
	for layout, s := range layouts {
		clean := image(s, symbols(600))
		good, err := find(clean)
		require.NoError(t, err)
		at := kallsyms.PartsOf(good)
		for name, edit := range map[string]func(b []byte){
			"number":      func(b []byte) { le.PutUint32(b[at.Names-at.Align:], 1<<30) },
			"marker":      func(b []byte) { le.PutUint32(b[at.Markers+4:], 5) },
			"name_length": func(b []byte) { b[at.Names] = 0 },
			"name_long":   func(b []byte) { b[at.Names], b[at.Names+1] = 0xff, 0xff },
			"token_index": func(b []byte) { le.PutUint16(b[at.TokenIndex+20:], 0xffff) },
			"token_table": func(b []byte) { b[at.TokenTable+int(le.Uint16(b[at.TokenIndex+20:]))-1] = 'x' },
			"addresses":   func(b []byte) { le.PutUint64(b[at.Addresses+8:], 0x7fff_ffff_7fff_ffff) },
		} {
			b := bytes.Clone(clean)
			edit(b)
			_, err := find(b)
			assert.ErrorIs(t, err, errno.ENOEXEC, "%s: %s", layout, name)
		}
	}
}

// periodic is a file in which each word before the markers may be the number of
// names: a search that walks them all takes the square of its size.
func periodic(markers int) []byte {
	n := 256*(markers-1) + 7
	word := binary.LittleEndian.AppendUint64(nil, uint64(n)) // or a name of 7 tokens
	b := bytes.Repeat(word, n+16384+64)
	clear(b[len(b)-8:])
	for i := range markers {
		b = binary.LittleEndian.AppendUint32(b, uint32(2048*i))
	}
	b = append(append(b, make([]byte, -len(b)&7)...), bytes.Repeat([]byte("a\x00"), 256)...)
	for i := range 256 {
		b = binary.LittleEndian.AppendUint16(b, uint16(2*i))
	}
	return append(b, make([]byte, 4096)...)
}

func TestFind_TakesStepsLinearInTheFile(t *testing.T) {
	for _, markers := range []int{256, 512, 1024} {
		b := periodic(markers)
		steps, err := kallsyms.Steps(b)
		assert.ErrorIs(t, err, errno.ENOEXEC)
		assert.ErrorContains(t, err, "too much looks like one")
		assert.Less(t, steps, 5*len(b)+1<<20)
	}
	b := image(spec{Order: kallsymstest.From70}, symbols(3000))
	steps, err := kallsyms.Steps(b)
	require.NoError(t, err)
	assert.Less(t, steps, len(b), "a kernel's own takes one walk")
}

func TestFind_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("interrupted")
	cancel(why)
	_, err := kallsyms.Find(ctx, periodic(256), nothing)
	assert.ErrorIs(t, err, why)

	ctx, stop := context.WithTimeout(context.Background(), time.Microsecond)
	defer stop()
	_, err = kallsyms.Find(ctx, make([]byte, 64<<20), nothing)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

// BenchmarkFind shows that time grows as the file does.
func BenchmarkFind(b *testing.B) {
	for _, markers := range []int{512, 1024, 2048, 4096, 8192} {
		file := periodic(markers)
		b.Run(fmt.Sprintf("%dKiB", len(file)>>10), func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				_, err := find(file)
				require.Error(b, err)
			}
		})
	}
}

// FuzzFind: tables that point anywhere are refused, and nothing is read from
// outside the file. The fuzzer's bytes stand in the place of part of a good
// table, so that they come that far.
func FuzzFind(f *testing.F) {
	var images [][]byte
	for _, s := range []spec{{}, {Order: kallsymstest.From70}, {Order: kallsymstest.From62}, {Order: kallsymstest.From50, Form: kallsyms.Absolute}} {
		images = append(images, image(s, symbols(300)))
	}
	f.Add(uint8(0), uint16(0x1010), []byte{1, 2, 3})
	f.Add(uint8(1), uint16(0x1800), make([]byte, 64))
	f.Fuzz(func(t *testing.T, which uint8, at uint16, patch []byte) {
		b := bytes.Clone(images[int(which)%len(images)])
		copy(b[int(at)%len(b):], patch)
		table, err := find(b)
		if err != nil {
			require.Nil(t, table)
			return
		}
		syms, err := table.Symbols(link)
		if err == nil {
			require.Len(t, slices.Collect(syms), table.Len())
		}
		table.Address("_text", link)
	})
}
