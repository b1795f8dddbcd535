//go:build !cgo

package unicorn

import (
	"errors"
	"fmt"

	"callops/emu"
)

// New fails: this build has no cgo, and Unicorn is a C library.
func New(*emu.Memory) (emu.Engine, error) {
	return nil, fmt.Errorf("unicorn: built without cgo: %w", errors.ErrUnsupported)
}
