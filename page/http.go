package page

import (
	"embed"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"

	"callops/internal/errno"
	"callops/play"
)

//go:embed static
var files embed.FS

// Static are the page's files.
func Static() fs.FS {
	sub, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // the name is constant and valid
	}
	return sub
}

// maxRequest is how long a question may be, in bytes.
const maxRequest = 1 << 16

// Handler serves the page, and under /ask/ what s answers. Questions from pages of other origins are
// refused.
func Handler(s *play.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(Static()))
	mux.Handle("POST /ask/{question}", inTurn(runtime.GOMAXPROCS(0), func(w http.ResponseWriter, r *http.Request) {
		request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		answer, err := s.Answer(r.Context(), r.PathValue("question"), request)
		if err != nil {
			http.Error(w, err.Error(), status(err))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer) // the browser has gone
	}))
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !numeric(r.Host) {
			http.Error(w, "this server has no such name", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		guarded.ServeHTTP(w, r)
	})
}

// inTurn serves n requests at once; others wait. Each may take as much memory as a kernel.
func inTurn(n int, h http.HandlerFunc) http.Handler {
	turns := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			h(w, r)
		case <-r.Context().Done():
		}
	})
}

// numeric reports whether a Host is an address or localhost. Another name may be one that a page from
// elsewhere made lead here (DNS rebinding).
func numeric(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	_, err = netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil || name == "localhost"
}

func status(err error) int {
	switch {
	case errors.Is(err, errno.ENOENT):
		return http.StatusNotFound
	case errors.Is(err, errno.EINVAL):
		return http.StatusBadRequest
	}
	return http.StatusUnprocessableEntity
}
