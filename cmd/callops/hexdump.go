package main

import (
	"bytes"
	"fmt"
	"io"
)

// dumpWidth is the number of bytes per line: a SHA-256 digest takes one line.
const dumpWidth = 32

// hexDump writes b as offset, bytes and characters. A * stands for lines
// equal to the one above.
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

// printable is b with a dot for each byte that is not printable ASCII.
func printable(b []byte) []byte {
	p := bytes.Clone(b)
	for i, c := range p {
		if c < ' ' || c > '~' {
			p[i] = '.'
		}
	}
	return p
}
