package bench

import (
	"context"
	"errors"
	"fmt"

	"callops/internal/errno"
	"callops/kernelimage"
)

// chooseIrrelevant settles which function irrelevant ops are on: the one that
// is named, or the first, in address order, that a call of the tracee does not
// reach. A function that the tracee does call would be relevant.
func (r *rig) chooseIrrelevant(ctx context.Context, name string) error {
	if name == "" {
		if _, err := r.k.Func(DefaultIrrelevant); err == nil {
			name = DefaultIrrelevant
		}
	}
	if name != "" {
		site, err := r.site("irrelevant", name)
		if err != nil {
			return err
		}
		reached, err := r.reaches(ctx, site)
		if err == nil && reached {
			err = fmt.Errorf("%s is reached by a call of the tracee, so ops on it are not irrelevant: %w", name, errno.EINVAL)
		}
		r.irrelevant = site
		return err
	}
	for _, site := range r.k.Sites() {
		reached, err := r.reaches(ctx, site)
		if err != nil {
			return err
		}
		if !reached {
			r.irrelevant = site
			return nil
		}
	}
	return fmt.Errorf("irrelevant ops need a function that a call of the tracee does not reach, and it reaches every call site (--irrelevant 0 needs none): %w", errno.EINVAL)
}

// reaches has the tracee called once, with a tracer on the site that counts.
func (r *rig) reaches(ctx context.Context, site kernelimage.Site) (reached bool, err error) {
	if site.IP == r.tracee.IP {
		return true, nil
	}
	probe, err := r.register(ctx, "probe", site, 1, r.ftrace.Code().OpsFuncCount)
	defer func() { err = errors.Join(err, r.release(probe)) }()
	if err != nil {
		return false, err
	}
	if _, err := r.call(ctx, nil, 1); err != nil {
		return false, err
	}
	n, err := r.k.Mem.Load32(probe[0].Addr() + uint64(r.k.Layout.Ops.Size))
	return n != 0, err
}

// irrelevantName is how the result names it.
func (r *rig) irrelevantName() string {
	name, _, _ := r.k.Symbols.FormatName(r.irrelevant.IP)
	return name
}
