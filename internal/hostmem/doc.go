// Package hostmem wraps the host's virtual memory: pages that
// are zero and not on the Go heap, pages of a file that are copied when they are
// written to, and files in memory.
//
// On Unix that is mmap. Elsewhere (Windows, js/wasm) memory is the Go heap's and
// files are read; [Mapped] tells the two apart. The build tag nommap selects the heap on
// Unix too, for tests.
package hostmem

import "io"

// PageSize is what the memory is aligned to at least: the granule of guests.
const PageSize = 4096

// Scratch is a file in memory that has no name. It goes with Close, and with
// the process.
type Scratch interface {
	io.Writer
	io.ReaderAt
	io.Closer
}
