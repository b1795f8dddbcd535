package ftrace

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParsePattern_KindsAsFilterParseRegex(t *testing.T) {
	tests := []struct {
		in     string
		kind   patternKind
		text   string
		remove bool
	}{
		{"vfs_read", matchFull, "vfs_read", false},
		{"", matchFull, "", false},
		{"!vfs_read", matchFull, "vfs_read", true},
		{"!!x", matchFull, "!x", true},
		{"vfs_*", matchFront, "vfs_", false},
		{"*_read", matchEnd, "_read", false},
		{"*", matchEnd, "", false},
		{"*fs*", matchMiddle, "fs", false},
		{"**", matchMiddle, "", false},
		{"!*fs*", matchMiddle, "fs", true},
		{"a*b", matchGlob, "a*b", false},
		{"*a*b", matchGlob, "*a*b", false},
		{"*a*b*", matchGlob, "*a*b*", false},
		{"a**", matchGlob, "a**", false},
		{"vfs_?ead", matchGlob, "vfs_?ead", false},
		{"vfs_[rw]*", matchGlob, "vfs_[rw]*", false},
		{`a\*`, matchGlob, `a\*`, false},
		{"*a?", matchGlob, "*a?", false},
		{"42", matchIndex, "42", false},
		{"!0x10", matchIndex, "0x10", true},
		{"9lives*", matchIndex, "9lives*", false},
	}
	for _, tt := range tests {
		assert.Equal(t, pattern{tt.kind, tt.text, tt.remove}, parsePattern(tt.in), tt.in)
	}
}

func TestGlobMatch_AsLibGlob(t *testing.T) {
	tests := []struct {
		pat, s string
		want   bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a", "aa", false}, {"a", "", false}, {"", "", true}, {"", "a", false},
		{"?", "a", true}, {"?", "aa", false}, {"??", "a", false}, {"?x?", "axb", true}, {"??x", "abx", true},
		{"*", "", true}, {"*", "a", true}, {"*a", "a", true}, {"*a", "b", false}, {"a*", "a", true}, {"a*", "ba", false}, {"**", "", true},
		{"*bc", "abc", true}, {"*bc", "bc", true}, {"*bc", "bbc", true}, {"*bc", "bcx", false}, {"*bc", "bcbc", true},
		{"*ac*", "abacadaeafag", true}, {"*ac*ae*ag*", "abacadaeafag", true}, {"*a*b*[bc]*[ef]*g*", "abacadaeafag", true},
		{"*a*b*[ef]*[cd]*g*", "abacadaeafag", false}, {"*abcd*", "abcabcabcabcdefg", true}, {"*ab*cd*", "abcabcabcabcefg", false},
		{"[a]", "a", true}, {"[a]", "b", false}, {"[!a]", "a", false}, {"[!a]", "b", true}, {"[ab]", "b", true}, {"[!ab]", "c", true},
		{"[a-c]", "b", true}, {"[a-c]", "d", false}, {"[a-c-e-g]", "-", true}, {"[a-c-e-g]", "d", false}, {"[a-c-e-g]", "f", true},
		{"[]a-ceg-ik[]", "]", true}, {"[]a-ceg-ik[]", "[", true}, {"[]a-ceg-ik[]", "h", true}, {"[]a-ceg-ik[]", "f", false},
		{"[!]a-ceg-ik[]", "]", false}, {"[!]a-ceg-ik[]", "f", true}, {"[a-]", "-", true}, {"[!-]", "-", false},
		{"[", "[", true}, {"a[", "a[", true}, {"[ab", "[ab", true}, {"[!", "[!", true}, {"[a-", "[a-", true}, {"*[", "x[", true},
		{`\*`, "*", true}, {`\*`, "a", false}, {`a\`, "a", true}, {`a\`, `a\`, false}, {`\\`, `\`, true}, {`\a`, "a", true}, {`*\`, "abc", true},
		{"[c-a]", "b", false}, {"[^a]", "a", true}, {"[^a]", "b", false},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, globMatch(tt.pat, tt.s), "%q on %q", tt.pat, tt.s)
	}
}

func TestPattern_MatchesNames(t *testing.T) {
	tests := []struct {
		pat string
		yes []string
		no  []string
	}{
		{"vfs_read", []string{"vfs_read"}, []string{"vfs_readv", "xvfs_read"}},
		{"vfs_*", []string{"vfs_", "vfs_read"}, []string{"vf", "xvfs_read"}},
		{"*_read", []string{"_read", "vfs_read"}, []string{"vfs_readv"}},
		{"*s_r*", []string{"vfs_read"}, []string{"vfs_write"}},
		{"*", []string{"", "anything"}, nil},
		{"v*d", []string{"vd", "vfs_read"}, []string{"vfs_readv"}},
		{"7", nil, []string{"7"}},
	}
	for _, tt := range tests {
		p := parsePattern(tt.pat)
		for _, s := range tt.yes {
			assert.True(t, p.match(s), "%q on %q", tt.pat, s)
		}
		for _, s := range tt.no {
			assert.False(t, p.match(s), "%q on %q", tt.pat, s)
		}
	}
}

// globOracle turns a well-formed glob into a regular expression; ok is false
// for what the two spell differently.
func globOracle(pat string) (re *regexp.Regexp, ok bool) {
	var b strings.Builder
	for _, c := range []byte(pat) {
		switch {
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteByte('.')
		case c == '[' || c == '\\' || c >= 0x80 || c == '\n':
			return nil, false
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	re, err := regexp.Compile("^(?s:" + b.String() + ")$")
	return re, err == nil
}

func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"a*b", "ab"}, {"*[a-c]?", "xbz"}, {`\`, ""}, {"[", "["}, {"*a*a*a*b", "aaaaaaaaaaaa"}, {"!*x", "y"}, {"08", "f"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pat, s string) {
		p := parsePattern(pat)
		got := p.match(s)
		if p.kind == matchIndex || strings.ContainsAny(s, "\n") {
			return
		}
		plain := strings.TrimPrefix(pat, "!")
		for _, c := range []byte(s) {
			if c >= 0x80 {
				return
			}
		}
		if re, ok := globOracle(plain); ok && re.MatchString(s) != got {
			t.Errorf("%q on %q: got %v", pat, s, got)
		}
		// Every kind of pattern says what the glob of the same text says.
		if globMatch(plain, s) != got {
			t.Errorf("%q on %q: %d says %v, the glob differs", pat, s, p.kind, got)
		}
	})
}
