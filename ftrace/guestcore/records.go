package guestcore

import (
	"encoding/binary"
	"fmt"

	"callops/ftrace"
)

// Bounds of what is walked: what goes on further is corrupt.
const (
	maxPages   = 1 << 16
	maxRecords = 1 << 20
	maxList    = 1 << 16
	maxBits    = 20
	maxEntries = 1 << 20
)

// Records reads the kernel's records: its own in ip order, then each module's. What is
// corrupt ends them; Validate tells.
func (c *Core) Records() []ftrace.Record {
	recs, _ := c.records()
	return recs
}

func (c *Core) records() (recs []ftrace.Record, err error) {
	page, err := c.k.Mem.Load64(c.sym.pages)
	if err != nil {
		return nil, err
	}
	l := &c.pack.Page
	for n := 0; page != 0; n++ {
		words := make([]uint64, 3)
		for i, off := range []int{l.Next, l.Records, l.Index &^ 7} {
			if words[i], err = c.k.Mem.Load64(page + uint64(off)); err != nil {
				return recs, &CorruptError{"struct ftrace_page", page, err.Error()}
			}
		}
		count := words[2]
		if l.Index&7 != 0 {
			count >>= 32
		}
		count = uint64(uint32(count))
		if n >= maxPages || uint64(len(recs))+count > maxRecords {
			return recs, &CorruptError{"struct ftrace_page", page, fmt.Sprintf("%d records, after %d on %d pages", count, len(recs), n)}
		}
		if recs, err = c.appendRecords(recs, words[1], count); err != nil {
			return recs, err
		}
		page = words[0]
	}
	return recs, nil
}

func (c *Core) appendRecords(recs []ftrace.Record, at, count uint64) ([]ftrace.Record, error) {
	l := &c.pack.Rec
	b := make([]byte, count*uint64(l.Size))
	if err := c.k.Mem.Read(at, b); err != nil {
		return recs, &CorruptError{"records", at, err.Error()}
	}
	for ; len(b) > 0; b = b[l.Size:] {
		recs = append(recs, ftrace.Record{
			IP:    binary.LittleEndian.Uint64(b[l.IP:]),
			Flags: ftrace.RecFlags(binary.LittleEndian.Uint32(b[l.Flags:])),
		})
	}
	return recs, nil
}

// Count is the number of ops that a record's site has.
func (c *Core) Count(rec ftrace.Record) int { return ftrace.CountOf(c.k.Image.Profile(), rec.Flags) }

// Registered reads the kernel's list of ops, newest first. One that was not made by NewOps
// has its symbol's name.
func (c *Core) Registered() []*ftrace.Ops {
	list, _ := c.registered()
	return list
}

func (c *Core) registered() (list []*ftrace.Ops, err error) {
	at, err := c.k.Mem.Load64(c.code.OpsList)
	for ; err == nil && at != c.code.ListEnd; at, err = c.k.Mem.Load64(at + uint64(c.k.Layout.Ops.Next)) {
		if len(list) > maxList {
			return list, &CorruptError{"ftrace_ops_list", c.code.OpsList, "it does not end"}
		}
		o := c.opsAt(at)
		if o == nil {
			o = ftrace.GuestOps(c.k.Symbols.Format(at), at, c.k.Mem, &c.k.Layout.Ops)
		}
		list = append(list, o)
	}
	if err != nil {
		return list, &CorruptError{"ftrace_ops_list", at, err.Error()}
	}
	return list, nil
}

// Location is ftrace_location.
func (c *Core) Location(ip uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	x0, err := c.call("ftrace_location", c.sym.location, ip)
	if err != nil {
		return 0
	}
	return x0
}

// filterOf reads the sites in an ops' filter.
func (c *Core) filterOf(o *ftrace.Ops) (map[uint64]bool, error) {
	l := c.k.Layout
	hash, err := c.k.Mem.Load64(o.Addr() + uint64(l.Ops.LocalHash+l.OpsHash.Filter))
	if err != nil || hash == 0 {
		return nil, err
	}
	bits, err := c.k.Mem.Load64(hash + uint64(l.Hash.SizeBits))
	if err != nil {
		return nil, err
	}
	buckets, err := c.k.Mem.Load64(hash + uint64(l.Hash.Buckets))
	if err != nil {
		return nil, err
	}
	ips := make(map[uint64]bool)
	if bits > maxBits {
		return nil, &CorruptError{"struct ftrace_hash", hash, fmt.Sprintf("size_bits is %d", bits)}
	}
	heads, err := c.k.Mem.ReadWords(buckets, 1<<bits)
	if err != nil {
		return nil, err
	}
	for _, at := range heads {
		for at != 0 {
			if len(ips) > maxEntries {
				return nil, &CorruptError{"struct ftrace_hash", hash, "a bucket does not end"}
			}
			entry := at - uint64(l.Entry.Next)
			ip, err := c.k.Mem.Load64(entry + uint64(l.Entry.IP))
			if err != nil {
				return nil, err
			}
			if ips[ip] = true; err == nil {
				at, err = c.k.Mem.Load64(at)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return ips, nil
}
