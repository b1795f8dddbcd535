package bench

import (
	"context"
	"errors"
	"fmt"

	"callops/emu"
	"callops/ftrace"
	"callops/internal/errno"
	"callops/kernel"
	"callops/machine"
	"callops/trampolines"
)

// DirectChange is what it takes to attach, change or detach direct calls, counted where the core
// does it.
type DirectChange struct {
	Design    string `json:"design"`
	Sites     int    `json:"sites"`
	Addresses int    `json:"addresses"` // that they call
	Change    string `json:"change"`    // attach, change one, change all, detach

	Literals     int `json:"literals"`     // stores to them
	Instructions int `json:"instructions"` // stores to text
	Fields       int `json:"fields"`       // stores to ops, the list and the like
	Filled       int `json:"filled"`       // bytes written to what no CPU could reach yet

	IPIs      int `json:"ipis"`      // to every CPU
	Waits     int `json:"waits"`     // synchronous grace periods
	Callbacks int `json:"callbacks"` // handed to call_rcu and call_rcu_tasks

	// Held is what there is on the kernel's heap afterwards, in bytes a site: ops, filters,
	// mini-ops and tables that code reads. direct_functions, which the core alone reads, comes on
	// top in every design but hash.
	Held float64 `json:"held_bytes_per_site"`
}

// Names of changes.
const (
	changeAttach = "attach"
	changeOne    = "change one"
	changeAll    = "change all"
	changeDetach = "detach"
)

// changes counts the changes of one design: to sites with an address each, as BPF's trampolines
// are, and to many that share one. The image's own code makes none of a difference to the core.
func (c *DirectConfig) changes(ctx context.Context, d DirectDesign) (all []DirectChange, err error) {
	if d.Own || d.Direct == trampolines.DirectJump {
		return nil, nil // the core does as with DirectOps
	}
	for _, n := range c.Sites {
		if c.Image != nil && n > len(c.Image.Sites()) {
			continue // a small image has its price of a call all the same
		}
		addresses := []int{1}
		// An ops for each of many addresses takes time by the square of their number: each
		// registration copies direct_functions, and looks at every ops.
		if n > 1 && (d.Direct.OneOps() || n <= maxOpsAddresses) {
			addresses = append(addresses, n)
		}
		for _, a := range addresses {
			ch, err := c.change(ctx, d, n, a)
			if err != nil {
				return nil, fmt.Errorf("%d sites, %d addresses: %w", n, a, err)
			}
			all = append(all, ch...)
		}
	}
	return all, nil
}

// maxOpsAddresses is how many addresses DirectOps is measured with.
const maxOpsAddresses = 1000

// change counts changes to n sites that call so many addresses.
func (c *DirectConfig) change(ctx context.Context, d DirectDesign, n, addresses int) (all []DirectChange, err error) {
	img := c.Image
	if img == nil {
		if img, err = syntheticImage(n, !d.NoLiterals); err != nil {
			return nil, err
		}
	}
	var count *counted
	m, err := machine.New(ctx, &machine.Config{
		Image: img, Engine: c.Engine.New, Heap: directHeap,
		Ftrace: func(k *kernel.Kernel) (*ftrace.Options, error) {
			count = newCounted(k)
			return &ftrace.Options{Scheme: d.scheme(), Direct: d.Direct, Memory: count, Grace: count}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	r := m.Ftrace.(*ftrace.Registry)
	records := r.Records()
	if len(records) < n {
		return nil, fmt.Errorf("%s has %d sites: %w", img.Name(), len(records), errno.EINVAL)
	}
	calls := make([]ftrace.DirectCall, n)
	for i := range calls {
		calls[i] = ftrace.DirectCall{IP: records[i].IP, Addr: r.Code().Caller + directGap*uint64(1+i%addresses)}
	}
	note := func(change string) {
		all = append(all, count.taken(DirectChange{Design: d.String(), Sites: n, Addresses: addresses, Change: change}))
	}
	count.taken(DirectChange{})
	a, err := attachDirect(r, d.Direct, calls)
	if err != nil {
		return nil, err
	}
	note(changeAttach)
	away := directGap * uint64(addresses)
	if len(a.ops) == n || a.design.OneOps() { // it can change one
		if err := a.modify(1, away); err != nil {
			return nil, err
		}
		note(changeOne)
	}
	if err := a.modify(n, away); err != nil {
		return nil, err
	}
	note(changeAll)
	if err := a.detach(); err != nil {
		return nil, err
	}
	note(changeDetach)
	return all, nil
}

// directHeap has room for an ops for each of 1000 addresses, and for what one of 40000 needs.
const directHeap = 64 << 20

// directGap is between addresses of direct calls, which nothing runs here.
const directGap = 16

// counted counts what the core does to a machine. Grace periods end at once.
type counted struct {
	ftrace.Memory
	literals map[uint64]bool
	held     int
	n        DirectChange
}

func newCounted(k *kernel.Kernel) *counted {
	c := &counted{Memory: ftrace.LiveMemory(k), literals: make(map[uint64]bool)}
	for _, s := range k.Sites() {
		c.literals[s.Literal] = k.Image.CallOps()
	}
	k.Heap.Observe(func(o emu.Object) {
		if o.Freed {
			c.held -= int(o.Size)
		} else {
			c.held += int(o.Size)
		}
	})
	return c
}

// taken returns what was counted since it was last called, in ch.
func (c *counted) taken(ch DirectChange) DirectChange {
	n := c.n
	n.Design, n.Sites, n.Addresses, n.Change = ch.Design, ch.Sites, ch.Addresses, ch.Change
	if n.Sites > 0 {
		n.Held = float64(c.held) / float64(n.Sites)
	}
	c.n = DirectChange{}
	return n
}

func (c *counted) Store32(addr uint64, v uint32) error {
	c.n.Instructions++
	return c.Memory.Store32(addr, v)
}

func (c *counted) Store64(addr, v uint64) error {
	if c.literals[addr] {
		c.n.Literals++
	} else {
		c.n.Fields++
	}
	return c.Memory.Store64(addr, v)
}

func (c *counted) StoreRelease64(addr, v uint64) error {
	c.n.Fields++
	return c.Memory.StoreRelease64(addr, v)
}

func (c *counted) Write(addr uint64, p []byte) error {
	c.n.Filled += len(p)
	return c.Memory.Write(addr, p)
}

func (c *counted) SyncCPUs() {
	c.n.IPIs++
	c.Memory.SyncCPUs()
}

func (c *counted) wait() error { c.n.Waits++; return nil }

func (c *counted) SynchronizeRCUTasksRude() error { return c.wait() }
func (c *counted) SynchronizeRCUTasks() error     { return c.wait() }

func (c *counted) CallRCU(free func())      { c.n.Callbacks++; free() }
func (c *counted) CallRCUTasks(free func()) { c.CallRCU(free) }

var _ ftrace.GracePeriods = (*counted)(nil)
