package services

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParser_ReadsAWordAtATime(t *testing.T) {
	type read struct {
		n    int
		ok   bool
		word string
		cont bool
	}
	for name, c := range map[string]struct {
		writes []string
		want   []read
	}{
		"a line":                      {[]string{"gcd\n"}, []read{{4, true, "gcd", false}}},
		"spaces in front":             {[]string{" \t gcd lcm"}, []read{{7, true, "gcd", false}}},
		"spaces only":                 {[]string{" \n"}, []read{{2, true, "", false}}},
		"a NUL":                       {[]string{"\x00gcd"}, []read{{1, true, "", false}}},
		"a word that is not ended":    {[]string{"gc", "d\n"}, []read{{2, true, "gc", true}, {2, true, "gcd", false}}},
		"one that ends with a space":  {[]string{"gc", " d"}, []read{{2, true, "gc", true}, {1, true, "gc", false}}},
		"as long as there is room":    {[]string{"1234567\n"}, []read{{8, true, "1234567", false}}},
		"a word that is too long":     {[]string{"12345678\n"}, []read{{7, false, "1234567", true}}},
		"too long by the second time": {[]string{"1234567", "8"}, []read{{7, true, "1234567", true}, {0, false, "1234567", true}}},
	} {
		p := &parser{room: 8}
		for i, w := range c.writes {
			n, ok := p.read([]byte(w))
			assert.Equal(t, c.want[i], read{n, ok, string(p.word), p.cont}, name)
		}
	}
}

func FuzzParser(f *testing.F) {
	f.Add([]byte(" gcd lcm\n"), byte(8))
	f.Fuzz(func(t *testing.T, text []byte, room byte) {
		p := &parser{room: int(room)}
		for len(text) > 0 {
			n, ok := p.read(text)
			if !ok {
				return
			}
			assert.Positive(t, n)
			assert.LessOrEqual(t, n, len(text))
			assert.LessOrEqual(t, len(p.word), max(int(room)-1, 0))
			text = text[n:]
		}
	})
}
