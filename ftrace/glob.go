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
	glob   *glob // of a matchGlob
	remove bool  // "!": take the matches out of the hash
}

// parsePattern is filter_parse_regex (kernel/trace/trace_events_filter.c) of at most
// maxPattern bytes.
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
			return pattern{kind: matchGlob, text: s, glob: compileGlob(s), remove: remove}
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
		return p.glob.match(name)
	}
	return false
}

// maxPattern is the maximum length of a token in bytes: the longest that
// set_ftrace_filter takes (FTRACE_BUFF_MAX in kernel/trace/ftrace.c).
const maxPattern = 669

// globWords is room for a bit for each place in a pattern, its end included.
const globWords = maxPattern/64 + 1

type places [globWords]uint64

// glob is a pattern as glob_match of lib/glob.c reads it: * is any run, ? any
// character, [a-z] and [!a-z] classes, \c the character c; an unclosed [ stands
// for itself, and a backslash before nothing for nothing. All places that a name
// may have reached in it advance together, a character at a time, so matching is
// linear in the name, whatever the pattern.
type glob struct {
	accept [256]places // by character: the elements that are for it
	star   places      // where a * stands: any character leaves such a place reached
	end    int         // the place after the last element
}

// compileGlob takes a pattern of at most maxPattern bytes.
func compileGlob(pat string) *glob {
	g := &glob{}
	for p := 0; p < len(pat) && pat[p:] != `\`; {
		c := pat[p]
		p++
		if c == '*' {
			g.star.set(g.end)
			continue
		}
		in := func(s byte) bool { return s == c }
		switch c {
		case '?':
			in = func(byte) bool { return true }
		case '[':
			if _, end, closed := globClass(pat, p, 0); closed {
				class := p
				in = func(s byte) bool { ok, _, _ := globClass(pat, class, s); return ok }
				p = end
			}
		case '\\':
			c = pat[p]
			p++
		}
		for s := range g.accept {
			if in(byte(s)) {
				g.accept[s].set(g.end)
			}
		}
		g.end++
	}
	return g
}

func (p *places) set(i int)      { p[i/64] |= 1 << (i % 64) }
func (p *places) has(i int) bool { return p[i/64]>>(i%64)&1 != 0 }

func (g *glob) match(name string) bool {
	reached := places{1}
	words := g.end/64 + 1
	for i := range len(name) {
		accept := &g.accept[name[i]]
		carry, any := uint64(0), uint64(0)
		for w := range words {
			on := reached[w] & accept[w]
			next := on<<1 | carry | reached[w]&g.star[w]
			carry = on >> 63
			any |= next
			reached[w] = next
		}
		if any == 0 {
			return false
		}
	}
	return reached.has(g.end)
}

// globClass reports whether c is in the class whose first character is at p, and
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
