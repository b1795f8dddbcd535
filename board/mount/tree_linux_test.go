package mount

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/assert"
)

// by is a request of a process.
func by(t *testing.T, pid uint32) context.Context {
	return fuse.NewContext(t.Context(), &fuse.Caller{Pid: pid})
}

func TestDoLast_WaitsForOthers(t *testing.T) {
	tests := []struct {
		name   string
		asker  uint32
		every  time.Duration
		times  int
		waited time.Duration
	}{
		{"that list a folder", 7, gap / 2, 10, 10*gap/2 + gap},
		{"until they pause", 7, 10 * gap, 3, gap},
		{"not for long", 7, gap / 2, 1000, patience},
		{"and not for itself", 8, gap / 2, 10, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &tree{}
				ask := func() { tr.look(by(t, test.asker), func(context.Context) error { return nil }) }
				ask()
				var other sync.WaitGroup
				other.Go(func() {
					for range test.times {
						time.Sleep(test.every)
						ask()
					}
				})
				begin := time.Now()
				var waited time.Duration
				errno := tr.doLast(by(t, 8), func(context.Context) error {
					waited = time.Since(begin)
					return nil
				})
				other.Wait()
				assert.Zero(t, errno)
				assert.InDelta(t, test.waited, waited, float64(gap/2))
			})
		})
	}
}
