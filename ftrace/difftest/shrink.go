package difftest

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// Shrink looks for a shorter sequence that ends in a difference in the same thing, by leaving out
// runs of steps, half of them first. Each try is on machines of its own. It returns the
// shortest that it found until ctx ended; a step about an ops that was never made changes
// nothing.
func Shrink(ctx context.Context, cfg Config, d *Difference) *Difference {
	for size := len(d.Steps) / 2; size > 0; {
		shorter := d.without(ctx, cfg, size)
		switch {
		case shorter != nil:
			d = shorter
			size = min(size, len(d.Steps)/2)
		default:
			size /= 2
		}
		if ctx.Err() != nil {
			break
		}
	}
	return d
}

// without is the first difference that remains without some run of size steps before the last;
// nil: none does.
func (d *Difference) without(ctx context.Context, cfg Config, size int) *Difference {
	for at := len(d.Steps) - 1 - size; at >= 0; at -= size {
		steps := slices.Delete(slices.Clone(d.Steps), at, at+size)
		if shorter := replay(ctx, cfg, steps); shorter != nil && subject(shorter) == subject(d) {
			return shorter
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// replay applies steps on fresh machines; nil: the cores agree, or could not be asked.
func replay(ctx context.Context, cfg Config, steps []Step) *Difference {
	p, err := NewPair(ctx, cfg)
	if err != nil {
		return nil
	}
	defer p.Close()
	for i, step := range steps {
		err := p.Apply(ctx, step, i == len(steps)-1)
		var d *Difference
		if errors.As(err, &d) {
			return d
		}
		if err != nil {
			return nil
		}
	}
	return nil
}

// subject is what differs, without where.
func subject(d *Difference) string {
	what, _, _ := strings.Cut(d.What, ",")
	return what
}
