package services

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Whatever guests print, every byte after the level is in a line, once.
func FuzzLogStore(f *testing.F) {
	for _, text := range []string{"", "\x013hello\n", "\x01c, more\n", "\x015\x01ca\nb\n\n", "\x01", "\x01x\x016", "\n"} {
		f.Add(int32(0), -1, text, "next\n")
	}
	f.Add(int32(8), 5, "\x013user\n", "\x01c")
	f.Fuzz(func(t *testing.T, facility int32, level int, first, second string) {
		var lines []string
		s := &Services{log: log{emit: func(l Line) {
			assert.True(t, l.Level >= 0 && (l.Level <= 7 || l.Level == level), "%d", l.Level)
			lines = append(lines, l.Text)
		}}}
		n := s.log.store(0, 0, facility, level, messageLevel, false, first)
		n += s.log.store(0, 0, facility, level, messageLevel, false, second)
		s.Flush()
		text := strings.Join(lines, "\n")
		assert.True(t, len(text) == n || len(text) == n+1, "%q: %d", lines, n)
		assert.True(t, n <= len(first)+len(second))
		s.Flush()
		assert.Len(t, lines, strings.Count(text, "\n")+1)
	})
}
