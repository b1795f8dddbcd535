package guestcore

import (
	"fmt"
	"strconv"

	"callops/ftrace"
	"callops/internal/errno"
)

// operate calls a function of the kernel on an ops.
func (c *Core) operate(what string, o *ftrace.Ops, name string, addr uint64, args ...uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.known(o); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if addr == 0 {
		return fmt.Errorf("%s %s: the kernel has no %s: %w", what, o.Name, name, errno.EOPNOTSUPP)
	}
	if err := c.shares(); err != nil {
		return err
	}
	if err := c.status(name, addr, append([]uint64{o.Addr()}, args...)...); err != nil {
		return fmt.Errorf("%s %s: %w", what, o.Name, err)
	}
	return nil
}

// Register is register_ftrace_function.
func (c *Core) Register(o *ftrace.Ops) error {
	return c.operate("register", o, "register_ftrace_function", c.sym.register)
}

// Unregister is unregister_ftrace_function.
func (c *Core) Unregister(o *ftrace.Ops) error {
	return c.operate("unregister", o, "unregister_ftrace_function", c.sym.unregister)
}

// RegisterDirect is register_ftrace_direct.
func (c *Core) RegisterDirect(o *ftrace.Ops, addr uint64) error {
	return c.operate("register direct", o, "register_ftrace_direct", c.sym.registerDirect, addr)
}

// UnregisterDirect is unregister_ftrace_direct, which keeps the filter.
func (c *Core) UnregisterDirect(o *ftrace.Ops, addr uint64) error {
	return c.operate("unregister direct", o, "unregister_ftrace_direct", c.sym.unregisterDirect, addr, 0)
}

// ModifyDirect is modify_ftrace_direct.
func (c *Core) ModifyDirect(o *ftrace.Ops, addr uint64) error {
	return c.operate("modify direct", o, "modify_ftrace_direct", c.sym.modifyDirect, addr)
}

// Direct is ftrace_find_rec_direct.
func (c *Core) Direct(ip uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sym.findDirect == 0 {
		return 0
	}
	x0, err := c.call("ftrace_find_rec_direct", c.sym.findDirect, ip)
	if err != nil {
		return 0
	}
	return x0
}

// Kill is ftrace_kill.
func (c *Core) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.call("ftrace_kill", c.sym.kill) // a crash ends the core all the same
}

// Enabled is the sysctl kernel.ftrace_enabled; ENODEV once ftrace is dead.
func (c *Core) Enabled() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead() {
		return 0, fmt.Errorf("ftrace_enabled: %w", errno.ENODEV)
	}
	v, err := c.k.Mem.Load32(c.sym.enabled)
	return int(int32(v)), err
}

// SetEnabled writes the sysctl, by the kernel's own handler.
func (c *Core) SetEnabled(v int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.pack.Ctl
	table := make([]byte, l.Size)
	put64(table, l.Data, c.sym.enabled)
	put32(table, l.MaxLen, 4)
	put32(table, l.Mode, 0o644)
	text := strconv.Itoa(v)
	lenAndPos := appendWord(appendWord(nil, uint64(len(text))), 0)
	err := c.with("ctl_table", table, func(table uint64) error {
		return c.with("sysctl buffer", append([]byte(text), 0), func(buf uint64) error {
			return c.with("sysctl length", lenAndPos, func(at uint64) error {
				return c.status("ftrace_enable_sysctl", c.sym.sysctl, table, 1, buf, at, at+8)
			})
		})
	})
	if err != nil {
		return fmt.Errorf("ftrace_enabled: %w", err)
	}
	return nil
}
