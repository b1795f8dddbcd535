package guestcore

import (
	"errors"
	"fmt"
	"strings"

	"callops/ftrace"
	"callops/internal/errno"
)

// SetFilter is ftrace_set_filter; a pattern with a command (:mod:) is written to a control file, as
// all are after the first such one, see [Core.Waiting].
func (c *Core) SetFilter(o *ftrace.Ops, pat string, opts *ftrace.FilterOptions) error {
	return c.setPattern(o, "ftrace_set_filter", c.sym.setFilter, false, pat, opts)
}

// SetNotrace is ftrace_set_notrace.
func (c *Core) SetNotrace(o *ftrace.Ops, pat string, opts *ftrace.FilterOptions) error {
	return c.setPattern(o, "ftrace_set_notrace", c.sym.setNotrace, true, pat, opts)
}

// maxPattern is that of [ftrace.Registry.SetFilter].
const maxPattern = 669

func (c *Core) setPattern(o *ftrace.Ops, name string, addr uint64, notrace bool, pat string, opts *ftrace.FilterOptions) error {
	if opts == nil {
		opts = &ftrace.FilterOptions{}
	}
	if opts.Remove && !strings.HasPrefix(pat, "!") {
		pat = "!" + pat
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.known(o); err != nil {
		return fmt.Errorf("set filter: %w", err)
	}
	switch {
	case len(pat) > maxPattern || strings.Contains(pat, "\x00"):
		return fmt.Errorf("filter of %d bytes: %w", len(pat), errno.EINVAL)
	case pat == "" && !opts.Reset:
		return fmt.Errorf("filter of %s: an empty pattern: %w", o.Name, errno.EINVAL)
	}
	if _, ok := c.arrays[o]; ok || strings.Contains(pat, ":") {
		if err := c.writeFilter(o, notrace, pat, opts.Reset); err != nil {
			return fmt.Errorf("filter %q of %s: %w", pat, o.Name, err)
		}
		return nil
	}
	err := c.with("filter", append([]byte(pat), 0), func(buf uint64) error {
		if pat == "" {
			buf = 0
		}
		return c.status(name, addr, o.Addr(), buf, uint64(len(pat)), truth(opts.Reset))
	})
	if err != nil {
		return fmt.Errorf("filter %q of %s: %w", pat, o.Name, err)
	}
	return nil
}

func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// SetFilterIP is ftrace_set_filter_ip.
func (c *Core) SetFilterIP(o *ftrace.Ops, ip uint64, opts *ftrace.FilterOptions) error {
	return c.SetFilterIPs(o, []uint64{ip}, opts)
}

// SetFilterIPs is ftrace_set_filter_ips.
func (c *Core) SetFilterIPs(o *ftrace.Ops, ips []uint64, opts *ftrace.FilterOptions) error {
	if opts == nil {
		opts = &ftrace.FilterOptions{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.known(o); err != nil {
		return fmt.Errorf("set filter: %w", err)
	}
	var array []byte
	for _, ip := range ips {
		array = appendWord(array, ip)
	}
	if len(array) == 0 { // the function's array can't be empty
		array = make([]byte, 8)
	}
	err := c.with("ips", array, func(at uint64) error {
		return c.status("ftrace_set_filter_ips", c.sym.setFilterIPs, o.Addr(), at, uint64(len(ips)), truth(opts.Remove), truth(opts.Reset))
	})
	if err != nil {
		return fmt.Errorf("filter of %s: %w", o.Name, err)
	}
	return nil
}

// Matches is ftrace_ops_test, with regs.
func (c *Core) Matches(o *ftrace.Ops, ip uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known(o) != nil || o.Flags()&ftrace.OpsInitialized == 0 {
		return false
	}
	x0, err := c.call("ftrace_ops_test", c.sym.opsTest, o.Addr(), ip, o.Addr())
	return err == nil && int32(x0) != 0
}

// Match returns the records that the kernel's own matching finds for a pattern, in the
// order of Records.
func (c *Core) Match(pat string) (found []ftrace.Record, err error) {
	o, err := c.newOps("match", c.code.Stub, &ftrace.OpsOptions{})
	if err != nil {
		return nil, err
	}
	defer func() {
		if freed := errors.Join(c.FreeFilter(o), c.FreeOps(o)); err == nil && freed != nil {
			found, err = nil, freed
		}
	}()
	if err := c.SetFilter(o, pat, nil); err != nil {
		return nil, err
	}
	ips, err := c.filterOf(o)
	if err != nil {
		return nil, err
	}
	recs, err := c.records()
	if err != nil {
		return nil, err
	}
	for _, rec := range recs {
		if ips[rec.IP] {
			found = append(found, rec)
		}
	}
	return found, nil
}
