package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"callops/ftrace"
	"callops/kernel"
	"callops/kernelimage"
	"callops/machine"
)

const (
	// registrationSites is about what a distribution's kernel has.
	registrationSites = 50000
	registrationRuns  = 7
)

// joined are the ops of Registration.Joins.
var joined = []int{2, 3, 10}

// Join is the cost of one more ops with all sites in its filter.
type Join struct {
	Ops          int   `json:"ops"` // on each site with it
	RegisterNs   int64 `json:"register_ns"`
	UnregisterNs int64 `json:"unregister_ns"`
}

// attachSites are how many sites Registration.Attach is measured with, beside all there are.
var attachSites = []int{1, 10, 100, 1000, 2000, 5000, 10000, 20000}

// Attach is the cost of one ops with some of the sites in its filter.
type Attach struct {
	Sites        int   `json:"sites"`
	RegisterNs   int64 `json:"register_ns"`
	UnregisterNs int64 `json:"unregister_ns"`
}

// Registration is the cost of one ops on many sites, each in its filter, and of more
// beside it.
type Registration struct {
	Engine  string        `json:"engine"`
	Scheme  ftrace.Scheme `json:"scheme"`
	CallOps bool          `json:"call_ops"`
	Sites   int           `json:"sites"`

	// Image is the kernel whose sites they are; "" is one made up for it.
	Image string `json:"image,omitempty"`

	// Wall clock of registering and unregistering it, the least of several
	// runs, which patches every site.
	RegisterNs   int64 `json:"register_ns"`
	UnregisterNs int64 `json:"unregister_ns"`

	Joins  []Join   `json:"joins"`  // likewise, of the second, third and tenth ops
	Attach []Attach `json:"attach"` // likewise, of one with so many sites in its filter, ascending

	// HostBytes and GuestBytes are what a site takes beside the kernel's text
	// while the ops is registered: of Go's heap (its record, and the filter as
	// the core keeps it) and of the kernel's (the filter as code reads it).
	HostBytes  float64 `json:"host_bytes_per_site"`
	GuestBytes float64 `json:"guest_bytes_per_site"`
}

// registration measures it on all sites of the configured image, or else on those
// of a synthetic kernel.
func (c *Config) registration(ctx context.Context, engine Engine, scheme ftrace.Scheme) (*Registration, error) {
	if c.Image != nil {
		reg, err := c.register(ctx, c.Image, engine, scheme)
		if err != nil {
			return nil, err
		}
		reg.Image = c.Image.Name()
		return reg, nil
	}
	img, err := syntheticImage(registrationSites, hasLiterals(scheme))
	if err != nil {
		return nil, err
	}
	return c.register(ctx, img, engine, scheme)
}

// register measures it on all sites of an image. Nothing else may allocate
// meanwhile, or it is counted too.
func (c *Config) register(ctx context.Context, img *kernelimage.Image, engine Engine, scheme ftrace.Scheme) (reg *Registration, err error) {
	mc := &machine.Config{Image: img, Engine: engine.New}
	c.core(mc, scheme)
	start := mc.Ftrace
	mc.Ftrace = nil // what it takes of the host's heap is measured
	m, err := machine.New(ctx, mc)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	k, r := m.Kernel, m.Ftrace
	hostBefore := heapInUse()
	if start != nil {
		opts, err := start(k)
		if err != nil {
			return nil, err
		}
		if r, err = ftrace.New(k, opts); err != nil {
			return nil, err
		}
	}
	guestBefore, err := heapTop(k)
	if err != nil {
		return nil, err
	}
	o, err := r.NewOps("registration", r.Code().OpsFuncNop, &ftrace.OpsOptions{Extra: counterSize})
	if err != nil {
		return nil, err
	}
	if err := filterAll(r, o); err != nil {
		return nil, err
	}
	n := len(r.Records())
	reg = &Registration{Engine: engine.Name, Scheme: scheme, CallOps: r.CallOps(), Sites: n}
	if reg.RegisterNs, reg.UnregisterNs, err = timed(ctx, r, o); err != nil {
		return nil, err
	}
	if err := r.Register(o); err != nil {
		return nil, err
	}
	guestAfter, err := heapTop(k)
	if err != nil {
		return nil, err
	}
	reg.HostBytes = float64(int64(heapInUse()-hostBefore)) / float64(n)
	reg.GuestBytes = float64(guestAfter-guestBefore) / float64(n)
	if err := r.Unregister(o); err != nil {
		return nil, err
	}
	if err := reg.attach(ctx, r); err != nil {
		return nil, err
	}
	if err := r.Register(o); err != nil {
		return nil, err
	}
	if err := reg.join(ctx, r); err != nil {
		return nil, err
	}
	return reg, r.Close()
}

// attach times ops on fewer sites; nothing else is registered.
func (reg *Registration) attach(ctx context.Context, r ftrace.Core) error {
	for _, n := range attachSites {
		if n >= reg.Sites {
			break
		}
		o, err := r.NewOps(fmt.Sprintf("attach%d", n), r.Code().OpsFuncNop, &ftrace.OpsOptions{Extra: counterSize})
		if err != nil {
			return err
		}
		if err := filterSites(r, o, n); err != nil {
			return err
		}
		a := Attach{Sites: n}
		if a.RegisterNs, a.UnregisterNs, err = timed(ctx, r, o); err != nil {
			return err
		}
		reg.Attach = append(reg.Attach, a)
	}
	reg.Attach = append(reg.Attach, Attach{reg.Sites, reg.RegisterNs, reg.UnregisterNs})
	return nil
}

// join adds ops to the one that is registered, and times some of them.
func (reg *Registration) join(ctx context.Context, r ftrace.Core) error {
	for n := 2; n <= joined[len(joined)-1]; n++ {
		o, err := r.NewOps(fmt.Sprintf("registration%d", n), r.Code().OpsFuncNop, &ftrace.OpsOptions{Extra: counterSize})
		if err != nil {
			return err
		}
		if slices.Contains(joined, n) { // the others have no filter, which is every site too
			if err := filterAll(r, o); err != nil {
				return err
			}
			j := Join{Ops: n}
			if j.RegisterNs, j.UnregisterNs, err = timed(ctx, r, o); err != nil {
				return err
			}
			reg.Joins = append(reg.Joins, j)
		}
		if err := r.Register(o); err != nil {
			return err
		}
	}
	return nil
}

// filterAll puts every site into the ops' filter: an empty filter would stand
// for all of them too, and take no memory.
func filterAll(r ftrace.Core, o *ftrace.Ops) error { return filterSites(r, o, math.MaxInt) }

// filterSites puts the first n sites into the ops' filter.
func filterSites(r ftrace.Core, o *ftrace.Ops, n int) error {
	records := r.Records()
	var ips []uint64
	for _, rec := range records[:min(n, len(records))] {
		ips = append(ips, rec.IP)
	}
	return r.SetFilterIPs(o, ips, nil)
}

// timed registers and unregisters an ops, several times.
func timed(ctx context.Context, r ftrace.Core, o *ftrace.Ops) (register, unregister int64, err error) {
	register, unregister = math.MaxInt64, math.MaxInt64
	for range registrationRuns {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		start := time.Now()
		if err := r.Register(o); err != nil {
			return 0, 0, err
		}
		registered := time.Now()
		if err := r.Unregister(o); err != nil {
			return 0, 0, err
		}
		register = min(register, registered.Sub(start).Nanoseconds())
		unregister = min(unregister, time.Since(registered).Nanoseconds())
	}
	return register, unregister, nil
}

// heapInUse is what Go's heap holds that is still wanted. The first collection
// ends the life of what finalizers and pools kept, the second one frees it.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// heapTop is the end of the kernel's heap in use: it gives out memory that was
// never used, in ascending order, until there is none.
func heapTop(k *kernel.Kernel) (uint64, error) {
	addr, err := k.Heap.Alloc("mark", 0)
	if err != nil {
		return 0, err
	}
	return addr, k.Heap.Free(addr)
}
