package page

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestInTurn_ServesNoMoreAtOnce(t *testing.T) {
	const limit, requests = 2, 20
	var now, most atomic.Int64
	full, goOn := make(chan struct{}, requests), make(chan struct{})
	h := inTurn(limit, func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		full <- struct{}{}
		<-goOn
		now.Add(-1)
	})
	ask := func(ctx context.Context) {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/ask/play", nil))
	}
	var all sync.WaitGroup
	for range requests {
		all.Go(func() { ask(t.Context()) })
	}
	for range limit {
		<-full
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ask(gone) // returns, though there is no turn for it
	assert.EqualValues(t, limit, now.Load())
	close(goOn)
	all.Wait()
	assert.LessOrEqual(t, most.Load(), int64(limit))
}
