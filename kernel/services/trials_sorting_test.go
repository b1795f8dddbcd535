package services

import (
	"fmt"
	"path"
	"slices"

	"github.com/stretchr/testify/require"
)

// records are strings in 16 bytes each.
func records(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%08x", uint32(i)*2654435761))
	}
	return list
}

func recordBytes(list []string) []byte {
	var b []byte
	for _, s := range list {
		b = append(b, s...)
		b = append(b, make([]byte, 16-len(s))...)
	}
	return b
}

var sorting = []trial{
	{"sort", "1000 strings, with the kernel's `strcmp`", "slices.Sort", func(g *guest) {
		list := records(1000)
		at := g.bytes(recordBytes(list))
		g.do(at, 1000, 16, g.symbol("strcmp"), 0)
		slices.Sort(list)
		g.equal(recordBytes(list), g.read(at, 16000))
	}},
	{"bsearch", "1000 strings, with the kernel's `strcmp`", "where it stands", func(g *guest) {
		list := records(1000)
		slices.Sort(list)
		at := g.bytes(recordBytes(list))
		g.equal(at+16*700, g.do(g.string(list[700]), at, 1000, 16, g.symbol("strcmp")))
		g.equal(uint64(0), g.do(g.string("nothing"), at, 1000, 16, g.symbol("strcmp")))
	}},
	{"match_string", "3 strings", "where it stands", func(g *guest) {
		list := g.words([]uint64{g.string("one"), g.string("two"), g.string("three")})
		g.equal(uint32(2), uint32(g.do(list, 3, g.string("three"))))
		g.equal(int32(-22), int32(g.do(list, 3, g.string("four"))))
	}},
	{"glob_match", "`ab*`", "path.Match", func(g *guest) {
		for _, pattern := range []string{"ab*", "?bc", "[a-c]bc", "b*", "*"} {
			want, err := path.Match(pattern, "abc")
			require.NoError(g.t, err)
			g.equal(want, g.do(g.string(pattern), g.string("abc"))&1 == 1, pattern)
		}
	}},
}
