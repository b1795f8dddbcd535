package main

import (
	"bytes"
	"fmt"
	"io"
)

// dumpWidth is how many bytes stand on a line: a SHA-256 digest is one line.
const dumpWidth = 32

// hexDump writes b as offset, bytes and characters. A * stands for lines that
// are like the one above.
func hexDump(w io.Writer, b []byte) {
	var last []byte
	starred := false
	for off := 0; off < len(b); off += dumpWidth {
		line := b[off:min(off+dumpWidth, len(b))]
		if off > 0 && off+dumpWidth < len(b) && bytes.Equal(line, last) {
			if !starred {
				fmt.Fprintln(w, "*")
			}
			starred = true
			continue
		}
		starred = false
		fmt.Fprintf(w, "%06x  %-*x  |%s|\n", off, 2*dumpWidth, line, printable(line))
		last = line
	}
}

// printable is b with a dot for whatever is no ASCII character.
func printable(b []byte) []byte {
	p := bytes.Clone(b)
	for i, c := range p {
		if c < ' ' || c > '~' {
			p[i] = '.'
		}
	}
	return p
}
