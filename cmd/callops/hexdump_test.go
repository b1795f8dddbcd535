package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHexDump(t *testing.T) {
	b := make([]byte, 5*dumpWidth+3)
	copy(b, "text\xff\x7f")
	b[len(b)-1] = 0x41
	var out strings.Builder
	hexDump(&out, b)
	zeros := strings.Repeat("00", dumpWidth) + "  |" + strings.Repeat(".", dumpWidth) + "|\n"
	assert.Equal(t, "000000  74657874ff7f"+strings.Repeat("00", dumpWidth-6)+"  |text"+strings.Repeat(".", dumpWidth-4)+"|\n"+
		"000020  "+zeros+
		"*\n"+
		"0000a0  000041"+strings.Repeat(" ", 2*dumpWidth-6)+"  |..A|\n", out.String())
}
