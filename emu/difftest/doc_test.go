package difftest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"callops/emu"
)

var update = flag.Bool("update", false, "write what TestDiff covered to docs/differential.md")

const (
	document   = "../../docs/differential.md"
	tableBegin = "<!-- coverage: begin -->\n"
	tableEnd   = "<!-- coverage: end -->\n"
)

// table shows for each class what was run.
func (c *coverage) table() string {
	var sb strings.Builder
	sb.WriteString("| class | mask, value | cases | distinct words | executed | refused | exception | undefined | in blocks |\n")
	sb.WriteString("|---|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for i := range c.classes {
		cl, cc := &classes[i], &c.classes[i]
		fmt.Fprintf(&sb, "| %s | `%08x` `%08x` | %d | %d | %d | %d | %d | %d | %d |\n",
			cl.name, cl.mask, cl.value, cc.cases, len(cc.words), cc.exits[emu.ExitGate]+cc.exits[emu.ExitBudget],
			cc.exits[emu.ExitFault], cc.exits[emu.ExitException], cc.exits[emu.ExitUndefined], cc.inBlock)
	}
	return sb.String()
}

// write puts the table where the document says.
func (c *coverage) write(t *testing.T, seed uint64) {
	t.Helper()
	doc, err := os.ReadFile(document)
	require.NoError(t, err)
	before, rest, ok := bytes.Cut(doc, []byte(tableBegin))
	require.True(t, ok, "%s has no line %q", document, tableBegin)
	_, after, ok := bytes.Cut(rest, []byte(tableEnd))
	require.True(t, ok, "%s has no line %q", document, tableEnd)
	var out bytes.Buffer
	out.Write(before)
	fmt.Fprintf(&out, "%sSeed %d: %d cases of one instruction, %d blocks.\n\n", tableBegin, seed, c.cases-c.blocks, c.blocks)
	out.WriteString(c.table() + tableEnd)
	out.Write(after)
	require.NoError(t, os.WriteFile(document, out.Bytes(), 0o644))
}
