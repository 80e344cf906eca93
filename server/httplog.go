package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
)

// httpLog sorts what net/http has to say. Nearly all of it is about mistakes of clients
// (handshakes that fail, headers that are none) and is for debugging; but it is also told
// here, and nowhere else, when connections cannot be accepted because open files or memory
// have run out.
type httpLog struct{ log *slog.Logger }

// Write implements io.Writer for a log.Logger: one message a call.
func (l httpLog) Write(line []byte) (int, error) {
	msg := strings.TrimSpace(string(line))
	if rest, ok := strings.CutPrefix(msg, "http: Accept error: "); ok {
		// Repeated once a second at most: that is how long net/http pauses.
		l.log.Warn("connections cannot be accepted", "err", rest)
	} else {
		l.log.Debug("net/http", "msg", msg)
	}
	return len(line), nil
}

// reportPanics logs a handler that panics, with its stack, and breaks off the response.
// net/http would do the same, but as one message among those about clients' mistakes.
func reportPanics(log *slog.Logger, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v != http.ErrAbortHandler { // which is how a handler breaks off a response
				log.Error("a request made the server panic; please report this", "method", r.Method, "path", r.URL.Path,
					"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler)
		}()
		h(w, r)
	})
}
