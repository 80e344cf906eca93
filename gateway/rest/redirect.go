package rest

import (
	"context"
	"net/http"
	"time"
)

// redirectSpread is the time over which streams are ended, so that the other servers do not get all of them at once.
const redirectSpread = time.Second

// Redirect ends all streams, over a second or so: their readers begin again, as EventSource does by itself, and get the whole data first. New streams are sent to
// the host, with its port, that to returns at that moment, by a temporary redirect as the real service does it;
// if that is empty they are served here, since whatever stands before the servers may lead them elsewhere. Other requests are served as
// before. It returns when the streams that were open have been told, or ctx ends. to must not block.
func (s *Server) Redirect(ctx context.Context, to func() string) {
	s.redirect.Store(&to)
	s.mu.Lock()
	all := make([]*reader, 0, len(s.readers))
	for rd := range s.readers {
		all = append(all, rd)
	}
	s.mu.Unlock()
	begin := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for next := 0; next < len(all); {
		passed := time.Since(begin)
		for next < len(all) && float64(next)*float64(redirectSpread) <= float64(len(all))*float64(passed) {
			all[next].move()
			next++
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// EndRedirect lets new streams stay again.
func (s *Server) EndRedirect() { s.redirect.Store(nil) }

func (rd *reader) move() { rd.moving.Do(func() { close(rd.moved) }) }

// elsewhere answers that the stream is to be asked for at another host. The scheme is the one by which the client has come.
func (q *request) elsewhere(host string) error {
	u := *q.r.URL
	if query := u.Query(); !query.Has("ns") { // the host may have said which
		query.Set("ns", q.ns)
		u.RawQuery = query.Encode()
	}
	return &apiError{status: http.StatusTemporaryRedirect, msg: "the stream is served elsewhere",
		header: http.Header{"Location": {"//" + host + u.RequestURI()}}}
}
