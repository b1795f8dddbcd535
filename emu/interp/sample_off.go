//go:build !runs

package interp

const sampling = false

func sliceLength() uint64  { return slice }
func (c *CPU) sample()     {}
func (e *Engine) sampled() {}
