package services

import (
	"fmt"
	"sync"

	"callops/emu"
	"callops/internal/errno"
)

// clock is the time of a kernel that has no timers: nanoseconds that pass only while every
// task sleeps, to when the first of them is to be woken.
type clock struct {
	s *Services

	mu    sync.Mutex
	now   uint64 // ns
	tick  uint64 // ns that a jiffy lasts; 0: not known yet
	began uint64 // jiffies when now was 0
}

func (c *clock) read() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// jiffy is how long one lasts. The kernel tells how many there are in a second; it is asked each time, so that the
// same call always takes the same number of instructions.
func (c *clock) jiffy(cpu emu.CPU) (uint64, error) {
	sym, err := c.s.k.Symbols.Lookup("__msecs_to_jiffies")
	if err != nil {
		return 0, err
	}
	hz, err := c.s.guest(background, cpu, sym.Addr, 1000)
	if err != nil {
		return 0, err
	}
	if hz == 0 || hz > 1_000_000 {
		return 0, fmt.Errorf("a second has %d jiffies: %w", hz, errno.EINVAL)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.tick == 0
	c.tick = 1_000_000_000 / hz
	if first && c.s.jiffies != 0 {
		now, err := c.s.k.Mem.Load64(c.s.jiffies)
		if err != nil {
			return 0, err
		}
		c.began = now - c.now/c.tick
	}
	return c.tick, nil
}

// advance sets the clock, unless that was later already.
func (c *clock) advance(to uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to <= c.now {
		return
	}
	c.now = to
	if c.s.jiffies != 0 && c.tick != 0 {
		_ = c.s.k.Mem.Store64(c.s.jiffies, c.began+c.now/c.tick) // where it was read from
	}
}
