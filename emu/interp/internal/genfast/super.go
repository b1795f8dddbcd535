package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// A super-instruction is a run of instructions that the loop executes as one.
// supers.txt has one a line, after how much it saves: the names of its ops, each
// with the registers that it uses, in the order d, n, m, a. Registers are numbered as
// they come first, so that the line says which instruction takes what another
// one made; S, Z and - are SP, ZR and a result for ZR.

// element is an instruction of a super-instruction.
type element struct {
	name string // the op's
	cond string // of Bcond and Csel; pre or post for what writes its base back
	kind string // of Csel: inc, inv, neg
	wide bool   // of Csel
	regs map[byte]string
	join byte // '+', '~', '=': its bytes are above those of its group of accesses, below, within
}

var elementText = regexp.MustCompile(`^(\w+?)(?:\.(\w+))?(?::([\w,-]+))?([+=~]?)$`)

func parseElement(text string, ops map[string]*opBody) (*element, error) {
	m := elementText.FindStringSubmatch(text)
	if m == nil {
		return nil, fmt.Errorf("%q is no element", text)
	}
	e := &element{name: m[1], cond: m[2], regs: map[byte]string{}}
	if m[4] != "" {
		e.join = m[4][0]
	}
	if c, ok := strings.CutPrefix(e.name, "Cs"); ok && c != "" {
		e.wide = strings.HasSuffix(c, "64")
		e.kind, e.name = c[:len(c)-2], "Csel"
	}
	o := ops[e.name]
	if o == nil {
		return nil, fmt.Errorf("%q: no op of that name", text)
	}
	var regs []string
	if m[3] != "" {
		regs = strings.Split(m[3], ",")
	}
	if len(regs) != len(o.letters) {
		return nil, fmt.Errorf("%q has other registers than %q", text, o.letters)
	}
	for i, r := range regs {
		e.regs[o.letters[i]] = r
	}
	return e, nil
}

// opBody is what fast.tmpl says of an op.
type opBody struct {
	name    string
	branch  bool
	letters string // the registers that it names, of dnma in this order
	text    string // expanded; addr and rest as well where it is a plain access to memory
	kind    string // load or store, of those that can be in a group
	size    string // less one
	addr    string
	rest    string
	exits   bool // it may leave the loop, before it has done anything
	writes  string
	offset  string // what is added to Xn
	indexed bool
}

var (
	accessBody  = regexp.MustCompile(`^addr := (.*?); \{\{(load|store) "(.*?)"( ".*?")?\}\}; (.*)$`)
	lastByte    = regexp.MustCompile(`^\(addr\+(\d+)\)$`)
	groupBase   = regexp.MustCompile(`^Xn \+ (in\.imm|\{\{low\}\})$`)
	registerOf  = regexp.MustCompile(`\b[XW]([dnma])\b`)
	operandName = regexp.MustCompile(`\b([ab])\b`)
	assignment  = regexp.MustCompile(`(?m)(^|[;{]\s*|\n\s*)X([dnm]) (\+?)= ([^;\n]*)`)
)

// expand executes text as a template.
func expand(t *template.Template, text string) (string, error) {
	t, err := t.Clone()
	if err != nil {
		return "", err
	}
	if t, err = t.New("text").Parse(text); err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, nil)
	return strings.TrimSpace(b.String()), err
}

func newOpBody(t *template.Template, kind, name, body string) (*opBody, error) {
	o := &opBody{name: name, branch: kind == "branch"}
	var err error
	if o.text, err = expand(t, body); err != nil {
		return nil, err
	}
	o.exits = strings.Contains(o.text, "return")
	if m := accessBody.FindStringSubmatch(body); m != nil {
		b := groupBase.FindStringSubmatch(m[1])
		if b != nil && m[4] == "" {
			o.kind, o.size = m[2], "0"
			if s := lastByte.FindStringSubmatch(m[3]); s != nil {
				o.size = s[1]
			}
			o.indexed = b[1] != "in.imm"
			if o.offset, err = expand(t, b[1]); err != nil {
				return nil, err
			}
			o.addr = "Xn + " + o.offset
			if o.rest, err = expand(t, m[5]); err != nil {
				return nil, err
			}
		}
	}
	for _, l := range "dnma" {
		for _, m := range registerOf.FindAllStringSubmatch(o.text, -1) {
			if m[1] == string(l) {
				o.letters += m[1]
				break
			}
		}
	}
	for _, m := range assignment.FindAllStringSubmatch(o.text, -1) {
		if !strings.Contains(o.writes, m[2]) {
			o.writes += m[2]
		}
	}
	return o, nil
}

// reads are the registers that an op's text reads.
func (o *opBody) reads() string {
	text := assignment.ReplaceAllStringFunc(o.text, func(s string) string {
		m := assignment.FindStringSubmatch(s)
		if m[3] == "+" {
			return m[1] + "X" + m[2] + " , " + m[4]
		}
		return m[1] + " = " + m[4]
	})
	var letters string
	for _, m := range registerOf.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(letters, m[1]) {
			letters += m[1]
		}
	}
	return letters
}

// The ones that the template has no line for, since they share the evaluation of conditions.
var conditional = map[string]*opBody{
	"Bcond":    {name: "Bcond", branch: true},
	"BcondFar": {name: "BcondFar", branch: true},
	"Csel":     {name: "Csel", letters: "dnm", writes: "d"},
}

// conds are conditions by what made the flags of a and b.
var conds = map[string]map[string]string{
	"flagsSub": {
		"eq": "a == b", "ne": "a != b", "hs": "a >= b", "lo": "a < b", "mi": "int64(a-b) < 0", "pl": "int64(a-b) >= 0",
		"hi": "a > b", "ls": "a <= b", "ge": "int64(a) >= int64(b)", "lt": "int64(a) < int64(b)", "gt": "int64(a) > int64(b)", "le": "int64(a) <= int64(b)",
	},
	"flagsAdd": {"eq": "a+b == 0", "ne": "a+b != 0", "mi": "int64(a+b) < 0", "pl": "int64(a+b) >= 0"},
}

var flagsMade = regexp.MustCompile(`c\.flags = flags\{(.*?), (.*?), (flagsSub|flagsAdd)\}`)

// group are accesses to memory with one look at the TLB.
type group struct {
	number           int
	first, low, high int // elements: where it begins, and the ones of the lowest and the highest byte
	kind             string
}

// super writes the case of a super-instruction.
type super struct {
	text     string
	ops      map[string]*opBody
	elements []*element
	bodies   []*opBody
	groups   []*group // by element
}

// parseSupers parses the list: after a number on each line, the elements.
func parseSupers(text string, ops map[string]*opBody) ([]*super, error) {
	var all []*super
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		s := &super{text: strings.Join(fields[1:], " "), ops: ops}
		for _, f := range fields[1:] {
			e, err := parseElement(f, ops)
			if err != nil {
				return nil, err
			}
			s.elements = append(s.elements, e)
			s.bodies = append(s.bodies, ops[e.name])
		}
		all = append(all, s)
	}
	return all, nil
}

func (s *super) plan() error {
	open := map[string]*group{}
	s.groups = make([]*group, len(s.elements))
	n := 0
	for k, e := range s.elements {
		o := s.bodies[k]
		if o.kind == "" {
			continue
		}
		if e.join == 0 {
			g := &group{number: n, first: k, low: k, high: k, kind: o.kind}
			n++
			open[o.kind], s.groups[k] = g, g
			continue
		}
		g := open[o.kind]
		if g == nil {
			return fmt.Errorf("element %d joins no group", k)
		}
		s.groups[k] = g
		switch e.join {
		case '+':
			g.high = k
		case '~':
			g.low = k
		}
	}
	return nil
}

// offset is that of an element's access from the base of its group.
func (s *super) offset(g *group, k int) string {
	o := s.bodies[k]
	if k == g.first && o.indexed && s.elements[k].cond == "pre" {
		return "0"
	}
	return "(" + instOf(k, o.offset) + ")"
}

var inName = regexp.MustCompile(`\bin\b`)

func instName(k int) string {
	if k == 0 {
		return "in"
	}
	return fmt.Sprintf("i%d", k)
}

func instOf(k int, text string) string { return inName.ReplaceAllString(text, instName(k)) }

func value(reg string) string {
	switch reg {
	case "Z":
		return "rZ"
	case "S":
		return "rS"
	}
	return "r" + reg
}

// exits reports whether element k may leave the loop.
func (s *super) exits(k int) bool {
	o := s.bodies[k]
	return o.branch || o.exits && (s.groups[k] == nil || s.groups[k].first == k)
}

// dead reports whether what element k writes to a register is overwritten
// before anyone can see it.
func (s *super) dead(k int, reg string) bool {
	for j := k + 1; j < len(s.elements); j++ {
		if s.exits(j) {
			return false
		}
		for _, l := range s.bodies[j].writes {
			if s.elements[j].regs[byte(l)] == reg {
				return true
			}
		}
	}
	return false
}

func (s *super) write(w *strings.Builder, number int) error {
	if err := s.plan(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\t\tcase opSuper+%d: // %s\n", number, s.text)
	var names []string
	var body strings.Builder
	known := map[string]bool{"Z": true, "-": true}
	flagsKind := ""
	needed := map[int]bool{} // elements whose flags another one looks at
	for k, o := range s.bodies {
		if _, ok := conditional[o.name]; ok {
			if s.flagsOf(k) < 0 {
				return fmt.Errorf("element %d has no flags", k)
			}
			needed[s.flagsOf(k)] = true
		}
	}
	for _, g := range s.groups {
		if g != nil {
			name := fmt.Sprintf("g%d", g.number)
			if !slices.Contains(names, name) {
				names = append(names, name)
				fmt.Fprintf(w, "var %s unsafe.Pointer\n", name)
			}
		}
	}
	for k, e := range s.elements {
		o := s.bodies[k]
		text, reads := o.text, o.reads()
		if _, ok := conditional[o.name]; ok {
			cond, ok := conds[flagsKind][e.cond]
			if !ok {
				return fmt.Errorf("element %d: no condition %q of %q", k, e.cond, flagsKind)
			}
			cond = operandName.ReplaceAllString(cond, fmt.Sprintf("f${1}%d", s.flagsOf(k)))
			if o.branch {
				text = strings.Replace(s.ops[map[string]string{"Bcond": "Cbz64", "BcondFar": "Cbz64Far"}[o.name]].text, "Xn == 0", cond, 1)
			} else {
				reads = "nm"
				v := map[string]string{"el": "Xm", "inc": "Xm + 1", "inv": "^Xm", "neg": "-Xm"}[e.kind]
				n := "Xn"
				if !e.wide {
					v, n = "uint64(uint32("+v+"))", "uint64(Wn)"
				}
				text = "v := " + v + "; if " + cond + " { v = " + n + " }; Xd = v"
			}
		}
		fmt.Fprintf(&body, "{ // %s\n", e.name)
		for _, l := range reads {
			if r := e.regs[byte(l)]; !known[r] {
				known[r] = true
				from := fmt.Sprintf("c.x[%s.r%c]", instName(k), l)
				if r == "S" {
					from = "c.x[slotSP]"
				}
				fmt.Fprintf(&body, "%s = %s\n", value(r), from)
			}
		}
		if o.branch {
			if k > 0 {
				fmt.Fprintf(&body, "in = %s\n", instName(k))
			}
		} else {
			text = instOf(k, text)
			if g := s.groups[k]; g != nil {
				text = s.access(g, k)
			}
		}
		if m := flagsMade.FindStringSubmatch(text); m != nil {
			flagsKind = m[3]
			if needed[k] {
				fmt.Fprintf(w, "var fa%d, fb%d uint64\n", k, k)
				text = strings.Replace(text, m[0], fmt.Sprintf("fa%d, fb%d = %s, %s; c.flags = flags{fa%d, fb%d, %s}", k, k, m[1], m[2], k, k, m[3]), 1)
			}
		}
		text = assignment.ReplaceAllStringFunc(text, func(a string) string {
			m := assignment.FindStringSubmatch(a)
			r, v := e.regs[m[2][0]], m[4]
			if m[3] == "+" {
				v = "X" + m[2] + " + " + v
			}
			if r == "-" {
				return m[1] + "_ = " + v
			}
			set := value(r) + " = " + v + "; "
			if known[r] && registerOf.ReplaceAllStringFunc(v, func(n string) string { return value(e.regs[n[1]]) }) == value(r) {
				set = "" // to itself
			}
			known[r] = true
			if s.dead(k, r) {
				return m[1] + set + "_ = " + value(r)
			}
			to := fmt.Sprintf("c.x[%s.r%s]", instName(k), m[2])
			if r == "S" {
				to = "c.x[slotSP]"
			}
			return m[1] + set + to + " = " + value(r)
		})
		text = registerOf.ReplaceAllStringFunc(text, func(name string) string {
			v := value(e.regs[name[1]])
			if name[0] == 'W' {
				return "uint32(" + v + ")"
			}
			return v
		})
		body.WriteString(text + "\n}\n")
	}
	for k := 1; k < len(s.elements); k++ {
		if i := instName(k); regexp.MustCompile(`\b` + i + `\b`).MatchString(body.String()) {
			fmt.Fprintf(w, "%s := (*inst)(unsafe.Add(unsafe.Pointer(in), %d*instSize))\n", i, k)
		}
	}
	names = names[:0]
	if strings.Contains(body.String(), "rZ") {
		names = append(names, "rZ")
	}
	for r := range known {
		if r != "Z" && r != "-" {
			names = append(names, value(r))
		}
	}
	slices.Sort(names)
	if len(names) > 0 {
		fmt.Fprintf(w, "var %s uint64\n", strings.Join(names, ", "))
	}
	w.WriteString(body.String())
	if n := len(s.elements); !s.bodies[n-1].branch {
		fmt.Fprintf(w, "in = (*inst)(unsafe.Add(unsafe.Pointer(in), %d*instSize))\ncontinue\n", n)
	}
	return nil
}

// flagsOf is the element before k whose flags that one finds, or -1.
func (s *super) flagsOf(k int) int {
	for k--; k >= 0 && !flagsMade.MatchString(s.bodies[k].text); k-- {
	}
	return k
}

// access is the text of an access in a group.
func (s *super) access(g *group, k int) string {
	o := s.bodies[k]
	if k != g.first {
		return fmt.Sprintf("q := unsafe.Add(g%d, %s); %s", g.number, difference(s.offset(g, k), s.offset(g, g.low)), instOf(k, o.rest))
	}
	text := "addr := " + instOf(k, o.addr) + "\n"
	if g.low != k {
		text += fmt.Sprintf("addr += %s\n", difference(s.offset(g, g.low), s.offset(g, k)))
	}
	last := "addr + " + s.bodies[g.high].size
	if g.high != g.low {
		last = fmt.Sprintf("addr + %s + %s", difference(s.offset(g, g.high), s.offset(g, g.low)), s.bodies[g.high].size)
	}
	table := g.kind + "s"
	text += fmt.Sprintf("tlb := &c.%s[slotOf(addr)]\nif tlb.page != (%s)/emu.PageSize {\nreturn p, %s, count, false\n}\n", table, last, instName(k))
	text += fmt.Sprintf("g%d = unsafe.Add(tlb.host, addr%%emu.PageSize)\n", g.number)
	q := fmt.Sprintf("g%d", g.number)
	if g.low != k {
		q = fmt.Sprintf("unsafe.Add(%s, %s)", q, difference(s.offset(g, k), s.offset(g, g.low)))
	}
	return text + "q := " + q + "\n" + instOf(k, o.rest)
}

// difference is a-b.
func difference(a, b string) string {
	switch {
	case a == b:
		return "0"
	case b == "0":
		return a
	}
	return a + "-" + b
}
