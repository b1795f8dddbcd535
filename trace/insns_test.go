package trace

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var someInsns = []any{
	Patch{Addr: 0xffff800080000210, Where: "literal of gcd", Old: "ftrace_nop_ops+0x0/0xd8", New: "0xffff8000f0000000 (ops trace)"},
	Patch{Addr: 0xffff80008000021c, Where: "gcd+0x4", Old: "nop", New: "bl ffff800078001000 <ftrace_caller>"},
	Insn{0, 1, 0xffff800080000218, "gcd", 0xaa1e03e9, "mov x9, x30", []RegChange{{"x9", "0xffffa00000000000"}}, ""},
	Insn{1, 22, 0xffff800080000220, "a_function_with_a_long_name+0x8", 0xa9417bfd, "ldp x29, x30, [sp, #16]",
		[]RegChange{{"x29", "0xffff800080010000"}, {"x30", "0xffff800080000220"}}, ""},
	Insn{0, 23, 0xffff800080000238, "gcd+0x20", 0xd65f03c0, "ret", nil, "schedule"},
}

func write(w InsnWriter) {
	for _, e := range someInsns {
		switch e := e.(type) {
		case Insn:
			w.Insn(e)
		case Patch:
			w.Patch(e)
		}
	}
}

func TestInsnText_FitsALine(t *testing.T) {
	var sb strings.Builder
	write(NewInsnText(&sb, 100))
	assert.Equal(t, `# CPU  NUMBER  ADDRESS           WHERE                 INSTRUCTION, CHANGED REGISTERS
patch          ffff800080000210  literal of gcd        ftrace_nop_ops+0x0/0xd8
                                                         -> 0xffff8000f0000000 (ops trace)
patch          ffff80008000021c  gcd+0x4               nop -> bl ffff800078001000 <ftrace_caller>
[000]       1  ffff800080000218  gcd                   mov x9, x30          x9=0xffffa00000000000
[001]      22  ffff800080000220  a_function_with_a_long_name+0x8  ldp x29, x30, [sp, #16]
                                                         x29=0xffff800080010000
                                                         x30=0xffff800080000220
[000]      23  ffff800080000238  gcd+0x20              ret
gate           schedule
`, sb.String())
	for line := range strings.Lines(sb.String()) {
		assert.LessOrEqual(t, len(strings.TrimSuffix(line, "\n")), 100, line)
	}
	sb.Reset()
	write(NewInsnText(&sb, 0))
	assert.Equal(t, 1+len(someInsns)+1, strings.Count(sb.String(), "\n"), "a line an event, and one for the gate")
}

func TestInsnJSON_IsAnArraysContent(t *testing.T) {
	var sb strings.Builder
	j := NewInsnJSON(&sb)
	write(j)
	require.NoError(t, j.Err())
	var events []map[string]any
	require.NoError(t, json.Unmarshal([]byte("["+sb.String()+"]"), &events))
	require.Len(t, events, len(someInsns))
	assert.Equal(t, "0xffff800080000210", events[0]["address"])
	assert.Equal(t, "bl ffff800078001000 <ftrace_caller>", events[1]["new"])
	assert.Equal(t, map[string]any{"x9": "0xffffa00000000000"}, events[2]["changes"])
	assert.Equal(t, "schedule", events[4]["gate"])

	bad := NewInsnJSON(full{})
	write(bad)
	assert.ErrorIs(t, bad.Err(), errFull)
}
