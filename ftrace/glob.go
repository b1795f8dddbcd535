package ftrace

import "strings"

// patternKind is enum regex_type: how a filter pattern matches names.
type patternKind uint8

const (
	matchFull patternKind = iota
	matchFront
	matchEnd
	matchMiddle
	matchGlob
	matchIndex // a record's place in available_filter_functions, from 1
)

// pattern is one parsed filter pattern.
type pattern struct {
	kind   patternKind
	text   string
	remove bool // "!": take the matches out of the hash
}

// parsePattern is filter_parse_regex (kernel/trace/trace_events_filter.c).
func parsePattern(s string) pattern {
	s, remove := strings.CutPrefix(s, "!")
	p := pattern{kind: matchFull, text: s, remove: remove}
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		p.kind = matchIndex
		return p
	}
	for i, c := range []byte(s) {
		switch {
		case strings.IndexByte(`?[\\`, c) >= 0, c == '*' && i > 0 && i < len(s)-1:
			return pattern{kind: matchGlob, text: s, remove: remove}
		case c == '*' && i == 0:
			p.kind, p.text = matchEnd, s[1:]
		case c == '*' && p.kind == matchEnd:
			p.kind, p.text = matchMiddle, s[1:i]
		case c == '*':
			p.kind, p.text = matchFront, s[:i]
		}
	}
	return p
}

// match is ftrace_match; an index matches no name.
func (p *pattern) match(name string) bool {
	switch p.kind {
	case matchFull:
		return name == p.text
	case matchFront:
		return strings.HasPrefix(name, p.text)
	case matchEnd:
		return strings.HasSuffix(name, p.text)
	case matchMiddle:
		return strings.Contains(name, p.text)
	case matchGlob:
		return globMatch(p.text, name)
	}
	return false
}

// globMatch is glob_match of lib/glob.c: * is any run, ? any character, [a-z]
// and [!a-z] classes, \c the character c; an unclosed [ stands for itself. It
// goes back to the last * only, so it takes len(pat)*len(s) steps at most.
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

// globClass tells whether c is in the class whose first character is at p, and
// where the pattern goes on after its ].
func globClass(pat string, p int, c byte) (in bool, end int, closed bool) {
	inverted := p < len(pat) && pat[p] == '!'
	if inverted {
		p++
	}
	for first := true; ; first = false {
		if p >= len(pat) {
			return false, p, false
		}
		lo := pat[p]
		p++
		if lo == ']' && !first {
			return in != inverted, p, true
		}
		hi := lo
		if p+1 < len(pat) && pat[p] == '-' && pat[p+1] != ']' {
			hi = pat[p+1]
			p += 2
		}
		in = in || lo <= c && c <= hi
	}
}
