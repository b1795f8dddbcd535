package format

import "context"

// Steps runs the steps of reading a file up to the first error, which is ctx's
// where that ends.
func Steps(ctx context.Context, all ...func() error) error {
	for _, step := range all {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
