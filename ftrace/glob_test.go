package ftrace

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/internal/errno"
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
		p := parsePattern(tt.in)
		p.glob = nil
		assert.Equal(t, pattern{kind: tt.kind, text: tt.text, remove: tt.remove}, p, tt.in)
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
		assert.Equal(t, tt.want, compileGlob(tt.pat).match(tt.s), "%q on %q", tt.pat, tt.s)
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
		if len(pat) > maxPattern {
			return
		}
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
		// Every kind of pattern matches what the glob of the same text matches.
		if globMatch(plain, s) != got || compileGlob(plain).match(s) != got {
			t.Errorf("%q on %q: kind %d reports %v, the glob differs", pat, s, p.kind, got)
		}
	})
}

// globMatch is the oracle: it goes back to the last *, as lib/glob.c does, which
// takes len(pat)*len(s) steps at most.
func globMatch(pat, s string) bool {
	backPat, backS, canBack := 0, 0, false
	p, i := 0, 0
	for {
		switch ok, next, star := globStep(pat, p, s, i); {
		case star:
			if p+1 == len(pat) {
				return true
			}
			p++
			backPat, backS, canBack = p, i, true
			continue
		case ok && i == len(s):
			return true
		case ok:
			p, i = next, i+1
			continue
		}
		if i == len(s) || !canBack {
			return false
		}
		backS++
		p, i = backPat, backS
	}
}

// globStep matches one element of the pattern at p against the character at i,
// or the end of both, and returns where the pattern goes on.
func globStep(pat string, p int, s string, i int) (ok bool, next int, star bool) {
	if p == len(pat) || pat[p:] == `\` { // a backslash before nothing is the end too
		return i == len(s), p, false
	}
	c := pat[p]
	if c == '*' {
		return false, p, true
	}
	if i == len(s) {
		return false, p, false
	}
	switch c {
	case '?':
		return true, p + 1, false
	case '[':
		if in, end, closed := globClass(pat, p+1, s[i]); closed {
			return in, end, false
		}
	case '\\':
		p++
		c = pat[p]
	}
	return c == s[i], p + 1, false
}

func TestParseSelector_IsBounded(t *testing.T) {
	k := bootIdle(t, nil, nil)
	o := k.ops("o", k.code.OpsFuncNop, 0, "gcd")
	long := strings.Repeat("a", maxPattern-1)
	for _, pat := range []string{long + "*", "*" + long, "?" + long} {
		sel, err := parseSelector(pat, false)
		require.NoError(t, err)
		assert.True(t, sel.match(strings.Repeat("a", maxPattern), ""))
		assert.ErrorIs(t, k.SetFilter(o, pat+"a", nil), errno.EINVAL)
		assert.ErrorContains(t, k.SetNotrace(o, pat+"a", nil), "a pattern of 670 bytes")
		_, err = k.Match(pat + "a")
		assert.ErrorContains(t, err, "a pattern of 670 bytes")
	}
	assert.Equal(t, 1, o.hash.filter.count)
}

// What goes back to the last * takes the product of both lengths for these.
func BenchmarkGlob_NamesOfDoublingLength(b *testing.B) {
	p := parsePattern("*" + strings.Repeat("a", maxPattern-3) + "?b")
	for n := 512; n <= 1<<16; n *= 2 {
		name := strings.Repeat("a", n)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				if p.match(name) {
					b.Fatal("matches")
				}
			}
		})
	}
}
