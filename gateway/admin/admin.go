package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Prefix is the part of the URL space that belongs to the server rather than to
// databases. A database has no path there: keys may not contain a slash, but
// "_rebase" is a legal key, so the prefix is taken from the root of the HTTP
// space and a database's node of that name is reached as "/_rebase.json".
const Prefix = "/_rebase/"

// readyTimeout bounds one readiness check, so that a probe is answered even
// while a disk hangs.
const readyTimeout = 5 * time.Second

// Options says what a handler answers with. All fields are optional.
type Options struct {
	Gatherer prometheus.Gatherer             // what /_rebase/metrics shows; nil: not found
	Ready    func(ctx context.Context) error // nil error: the server can take writes; nil: always ready
	Version  string                          // of the program, "" is "unknown"
	Started  time.Time                       // of the process, for the uptime; zero: not told
	Profiles bool                            // serve the Go profiles at /_rebase/debug/pprof/; false: not found
}

// New returns the handler of the paths below [Prefix]. Everything else is 404.
func New(o Options) http.Handler {
	if o.Version == "" {
		o.Version = "unknown"
	}
	h := &handler{o: o}
	if o.Gatherer != nil {
		h.metrics = promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true})
	}
	return h
}

type handler struct {
	o       Options
	metrics http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed, status{Status: "error", Error: "method not allowed"})
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, profilesPrefix); ok && h.o.Profiles {
		profile(w, r, name)
		return
	}
	switch r.URL.Path {
	case Prefix + "metrics":
		if h.metrics != nil {
			h.metrics.ServeHTTP(w, r)
			return
		}
	case Prefix + "health":
		s := status{Status: "ok"}
		if !h.o.Started.IsZero() {
			s.UptimeSeconds = int64(time.Since(h.o.Started).Seconds())
		}
		answer(w, http.StatusOK, s)
		return
	case Prefix + "ready":
		h.ready(w, r)
		return
	case Prefix + "version":
		answer(w, http.StatusOK, version{
			Version: h.o.Version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
			Protocol: "5", // of the Firebase Realtime Database, as clients name it in "v"
		})
		return
	}
	answer(w, http.StatusNotFound, status{Status: "error", Error: "not found"})
}

type status struct {
	Status        string `json:"status"`
	Error         string `json:"error,omitempty"`
	UptimeSeconds int64  `json:"uptimeSeconds,omitempty"`
}

type version struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Protocol string `json:"protocol"`
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	if h.o.Ready == nil {
		answer(w, http.StatusOK, status{Status: "ready"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	// The check runs beside this request: one stuck in a system call does not
	// see its context end, and the probe must be answered all the same.
	result := make(chan error, 1)
	go func() { result <- h.o.Ready(ctx) }()
	var err error
	select {
	case err = <-result:
	case <-ctx.Done():
		err = errors.New("the check did not finish in time")
	}
	if err != nil {
		answer(w, http.StatusServiceUnavailable, status{Status: "unavailable", Error: err.Error()})
		return
	}
	answer(w, http.StatusOK, status{Status: "ready"})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nobody left to tell
}
