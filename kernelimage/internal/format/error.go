// Package format holds what the readers of all file formats share: the error
// that describes what is wrong in a file, and where.
package format

import (
	"fmt"
	"strings"

	"callops/internal/errno"
	"callops/internal/text"
)

// Error is a file that cannot be loaded: what is wrong, and where. For
// errors.Is it is the errno that the kernel's module loader would return:
// ENOEXEC for a file that is no loadable image, ENOENT for a symbol that
// nothing defines, EINVAL for call sites that cannot be patched.
type Error struct {
	File    string
	Section string // the section, segment or table; "" for the file itself
	Offset  uint64 // in the file; of a segment or a call site, its address
	Symbol  string // what is there, as symbol+0xoff, where that is known
	Value   any    // what was found there; nil where the message says it all
	Msg     string
	Errno   errno.Errno
}

// Error returns one line without control characters, whatever the file's names hold.
func (e *Error) Error() string {
	var sb strings.Builder
	sb.WriteString(e.File)
	if e.Section != "" {
		fmt.Fprintf(&sb, ": %s", e.Section)
	}
	if e.Offset != 0 {
		fmt.Fprintf(&sb, " at %#x", e.Offset)
	}
	if e.Symbol != "" {
		fmt.Fprintf(&sb, " (%s)", e.Symbol)
	}
	fmt.Fprintf(&sb, ": %s", e.Msg)
	switch v := e.Value.(type) {
	case nil:
	case string:
		fmt.Fprintf(&sb, ": %s", v)
	default:
		fmt.Fprintf(&sb, ": %#x", v)
	}
	return text.Printable(sb.String())
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }
