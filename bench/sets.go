package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"callops/ftrace"
	"callops/kernelimage"
	"callops/machine"
)

// Site i of an image has those of setOps ops whose bits are set in i modulo distinctSets and some
// more, so that there are at least distinctSets sets wanted.
const (
	setOps       = 14
	distinctSets = ftrace.DefaultSetLimit
	setHeap      = 256 << 20
)

// setLimits are those that are measured.
var setLimits = []int{ftrace.DefaultSetLimit, ftrace.DefaultSetLimit / 10}

// SetCost is what many different sets on many sites take.
type SetCost struct {
	Sites  int `json:"sites"`
	Ops    int `json:"ops"`
	Wanted int `json:"wanted"` // different sets
	Limit  int `json:"limit"`

	// Live are the sets in the end, OnList the sites that found none for want of room, and
	// Waits how often an operation waited for the readers of retired sets to make room.
	Live   int `json:"live"`
	OnList int `json:"on_list"`
	Waits  int `json:"waits"`

	Bytes      uint64 `json:"bytes"`       // of the kernel's memory, all live sets
	RegisterNs int64  `json:"register_ns"` // wall clock of registering the ops, one after another
}

// sets measures it on all sites of an image, or of one made up for it, with each limit.
func sets(ctx context.Context, img *kernelimage.Image, engine Engine, limits ...int) ([]SetCost, error) {
	if img == nil {
		var err error
		if img, err = syntheticImage(registrationSites, true); err != nil {
			return nil, err
		}
	}
	var costs []SetCost
	for _, limit := range limits {
		c, err := setCost(ctx, img, engine, limit)
		if err != nil {
			return nil, fmt.Errorf("%d sets: %w", limit, err)
		}
		costs = append(costs, *c)
	}
	return costs, nil
}

// waits counts grace periods, which end at once.
type waits struct{ n int }

func (w *waits) SynchronizeRCUTasksRude() error { w.n++; return nil }
func (w *waits) SynchronizeRCUTasks() error     { return nil }
func (w *waits) CallRCU(free func())            { free() }
func (w *waits) CallRCUTasks(free func())       { free() }

func setCost(ctx context.Context, img *kernelimage.Image, engine Engine, limit int) (c *SetCost, err error) {
	grace := &waits{}
	m, err := machine.New(ctx, &machine.Config{
		Image: img, Engine: engine.New, Heap: setHeap,
		Ftrace: machine.Options(&ftrace.Options{Scheme: ftrace.Sets, SetLimit: limit, Grace: grace}),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	r := m.Ftrace.(*ftrace.Registry)
	recs := r.Records()
	c = &SetCost{Sites: len(recs), Ops: setOps, Wanted: distinctSets, Limit: limit}
	var all []*ftrace.Ops
	for bit := range setOps {
		o, err := r.NewOps(fmt.Sprint("sets", bit), r.Code().OpsFuncNop, nil)
		if err != nil {
			return nil, err
		}
		var ips []uint64
		for i, rec := range recs {
			if wanted(i)>>bit&1 != 0 {
				ips = append(ips, rec.IP)
			}
		}
		if err := r.SetFilterIPs(o, ips, nil); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	start := time.Now()
	for _, o := range all {
		if err := r.Register(o); err != nil {
			return nil, err
		}
	}
	c.RegisterNs = time.Since(start).Nanoseconds()
	st := r.Sets()
	c.Live, c.OnList, c.Waits, c.Bytes = st.Live, st.OnList, grace.n, st.Bytes
	return c, r.Close()
}

// wanted are the ops of site i, a bit each: first all numbers with one bit, and then on, so that
// distinctSets sites differ.
func wanted(i int) int { return i % (distinctSets + setOps + 1) }
