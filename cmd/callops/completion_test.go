package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What the shell asks is "__complete", the words so far, and the one being typed.
func TestCompletion(t *testing.T) {
	for name, c := range map[string]struct {
		words []string
		want  []string
	}{
		"functions":             {[]string{"call", "crc32_"}, []string{"crc32_byte", "crc32_update"}},
		"of_a_second_call":      {[]string{"call", "gcd", "4", "2", "--", "strl"}, []string{"strlen"}},
		"arguments_are_any":     {[]string{"call", "strlen", "g"}, nil},
		"of_an_image":           {[]string{"call", "--image", "../../kernelimage/testdata/workload/debug-5.elf", "ad"}, []string{"add"}},
		"filters_have_sites":    {[]string{"trace", "--filter", "untr"}, nil},
		"filters":               {[]string{"trace", "--filter", "fi"}, []string{"fib"}},
		"sites":                 {[]string{"sites", "gc"}, []string{"gcd"}},
		"choices":               {[]string{"trace", "--tracer", ""}, []string{"function", "function_graph", "profile", "insn"}},
		"a_list":                {[]string{"trace", "--ops-flags", ""}, []string{"recursion", "rcu", "regs"}},
		"what_a_list_lacks":     {[]string{"bench", "--direct", "mini,jump,"}, []string{"mini,jump,ops", "mini,jump,tagged", "mini,jump,hash"}},
		"schemes":               {[]string{"bench", "--scheme", "sets,"}, []string{"sets,callops", "sets,list", "sets,global"}},
		"an_image_that_is_none": {[]string{"call", "--image", "completion_test.go", "a"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, _ := runIn(nil, append([]string{"__complete"}, c.words...)...)
			assert.Equal(t, exitDone, code)
			words, _, _ := strings.Cut(out, ":") // the directive
			assert.Equal(t, c.want, append([]string(nil), strings.Fields(words)...))
		})
	}
}

// Help marks a flag's placeholder by quotes, which the shell would show.
func TestCompletion_DescribesFlagsWithoutQuotes(t *testing.T) {
	for _, cmd := range []string{"bench", "call", "check", "image", "sites", "trace"} {
		code, out, _ := runIn(nil, "__complete", cmd, "--")
		assert.Equal(t, exitDone, code)
		assert.NotContains(t, out, "`", cmd)
	}
	_, out, _ := runIn(nil, "__complete", "bench", "--tracee")
	assert.Contains(t, out, "--tracee\tFUNC to call")
}
