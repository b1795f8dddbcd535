package services

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"callops/emu/interp"
	"callops/kernel"
)

func TestLogStore_LevelsAndContinuedLines(t *testing.T) {
	type call struct {
		cpu      int
		facility int32
		level    int
		dev      bool
		text     string
		length   int
	}
	const none = levelDefault
	for name, c := range map[string]struct {
		calls []call
		want  []Line
	}{
		"the text says its level":          {[]call{{0, 0, none, false, "\x013hello\n", 5}}, []Line{{Level: 3, CPU: 0, Text: "hello"}}},
		"the caller's level goes first":    {[]call{{0, 0, 6, false, "\x013hello\n", 5}}, []Line{{Level: 6, CPU: 0, Text: "hello"}}},
		"neither does":                     {[]call{{1, 0, none, false, "hello\n", 5}}, []Line{{Level: 4, CPU: 1, Text: "hello"}}},
		"in the scheduler":                 {[]call{{0, 0, -2, false, "\x015hello\n", 5}}, []Line{{Level: 5, CPU: 0, Text: "hello"}}},
		"from user space, nothing is read": {[]call{{0, 8, 5, false, "\x013hello\n", 7}}, []Line{{Level: 5, CPU: 0, Text: "\x013hello"}}},
		"what is no level is text":         {[]call{{0, 0, none, false, "\x01xhello\n", 7}}, []Line{{Level: 4, CPU: 0, Text: "\x01xhello"}}},
		"a record of two lines":            {[]call{{0, 0, none, false, "\x012one\ntwo\n", 7}}, []Line{{Level: 2, CPU: 0, Text: "one"}, {Level: 2, CPU: 0, Text: "two"}}},
		"an empty line":                    {[]call{{0, 0, none, false, "\n", 0}}, []Line{{Level: 4, CPU: 0, Text: ""}}},
		"nothing at all":                   {[]call{{0, 0, none, false, "", 0}}, []Line{{Level: 4, CPU: 0, Text: ""}}},
		"continued": {[]call{
			{0, 0, none, false, "\x016one", 3}, {0, 0, none, false, "\x01c, two", 5}, {0, 0, none, false, "\x01c\n", 0},
		}, []Line{{Level: 6, CPU: 0, Text: "one, two"}}},
		"the next one ends it": {[]call{
			{0, 0, none, false, "\x016one", 3}, {0, 0, none, false, "\x015two\n", 3}, {0, 0, none, false, "\x01cthree", 5},
		}, []Line{{Level: 6, CPU: 0, Text: "one"}, {Level: 5, CPU: 0, Text: "two"}, {Level: 4, CPU: 0, Text: "three"}}},
		"by its own CPU only": {[]call{
			{0, 0, none, false, "\x016one", 3}, {1, 0, none, false, "\x01ctwo\n", 3}, {0, 0, none, false, "\x01cthree\n", 5},
		}, []Line{{Level: 6, CPU: 0, Text: "one"}, {Level: 4, CPU: 1, Text: "two"}, {Level: 4, CPU: 0, Text: "three"}}},
		"a device's is a whole line": {[]call{{0, 0, 3, true, "one", 3}, {0, 0, none, false, "\x01ctwo", 3}}, []Line{{Level: 3, CPU: 0, Text: "one"}, {Level: 4, CPU: 0, Text: "two"}}},
		"no longer than a record": {[]call{
			{0, 0, none, false, strings.Repeat("x", 1000), 1000}, {0, 0, none, false, "\x01c" + strings.Repeat("y", 100), 100},
		}, []Line{{Level: 4, CPU: 0, Text: strings.Repeat("x", 1000)}, {Level: 4, CPU: 0, Text: strings.Repeat("y", 100)}}},
	} {
		var got []Line
		s := &Services{log: log{emit: func(l Line) { got = append(got, l) }}}
		for _, call := range c.calls {
			assert.Equal(t, call.length, s.log.store(call.cpu, 0, call.facility, call.level, messageLevel, call.dev, call.text), name)
		}
		s.Flush()
		s.Flush()
		assert.Equal(t, c.want, got, name)
	}
}

func TestLogStore_WithoutAListenerNothingIsKept(t *testing.T) {
	var l log
	assert.Equal(t, 5, l.store(0, 0, 0, levelDefault, messageLevel, false, "hello\n"))
	l.flush()
	assert.False(t, l.open)
}

func testPrintk(m *machine) {
	before := *m.CPUs[0].Regs()
	assert.EqualValues(m.t, 11, m.call("_printk", m.string("\x013%s=%d %c%%\n"), m.string("hello"), ^uint64(4), 'x'), "how many were printed")
	assert.EqualValues(m.t, 5, m.call("_printk", m.string("\x01dbig")))
	levels, texts := m.logged()
	assert.Equal(m.t, []string{"hello=-5 x%", "\x01dbig"}, texts)
	assert.Equal(m.t, []int{3, 4}, levels)

	m.call("_printk_deferred", m.string("\x016later\n"))
	m.call("__warn_printk", m.string("%u things\n"), 3)
	levels, texts = m.logged()
	assert.Equal(m.t, []string{"later", "------------[ cut here ]------------", "3 things"}, texts)
	assert.Equal(m.t, []int{6, 4, 4}, levels)

	m.call("_printk", m.string("%s"), m.string(strings.Repeat("x", 5000)))
	_, texts = m.logged()
	assert.Equal(m.t, []string{strings.Repeat("x", recordMax-1)}, texts, "as much as a record holds")

	fn, err := m.Func("strlen")
	assert.NoError(m.t, err)
	m.call("_printk", m.string("%pS\n"), fn)
	_, texts = m.logged()
	assert.Equal(m.t, []string{m.Symbols.Format(fn)}, texts, "the kernel's own formats")
	assert.Equal(m.t, before, *m.CPUs[0].Regs())
}

// What vprintk_emit returns is what the function that it replaces does.
func testPrintkResult(m *machine) {
	k, err := kernel.Boot(m.Image, interp.New, nil)
	require.NoError(m.t, err)
	defer func() { assert.NoError(m.t, k.Close()) }()
	own := &machine{Kernel: k, t: m.t}
	for _, text := range []string{
		"hello\n", "hello", "", "\n", "\x013hello\n", "\x01c, more\n", "\x015\x01cmore", "\x01dbig\n", "\x01", "\x016", "two\nlines\n\n",
		"%d of %s\n", strings.Repeat("x", 900),
	} {
		want := own.call("_printk", own.string(text), 7, own.string("nine"))
		assert.Equal(m.t, want, m.call("_printk", m.string(text), 7, m.string("nine")), "%q", text)
	}
}

func testPrintkFault(m *machine) {
	_, err := m.try("_printk", 0xdead_0000_0000)
	assert.ErrorContains(m.t, err, "stopped in vprintk_emit+0x")
	assert.ErrorContains(m.t, err, "printk: vsnprintf: ")
	m.call("_printk", m.string("on\n"))
	_, texts := m.logged()
	assert.Equal(m.t, []string{"on"}, texts)
}
