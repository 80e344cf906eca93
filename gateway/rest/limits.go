package rest

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"rebase/auth"
	"rebase/gateway/limit"
)

// maxPause is how long a request is held back because its caller is too fast. One that would be held longer is
// refused with 429, which costs less than to keep it.
const maxPause = 2 * time.Second

// admit counts the request, as its caller's or, if identity is nobody's, its address's. Streams are counted as
// connections too, until release.
func (q *request) admit(id auth.Identity) error {
	var err error
	if q.method == http.MethodGet && wantsStream(q.r) {
		q.limits, err = q.o.Limiter.Connect(q.ns, q.r.RemoteAddr)
	} else {
		q.limits = q.o.Limiter.Request(q.ns, q.r.RemoteAddr)
	}
	if err == nil {
		err = q.limits.Identify(id.User(), id.Admin)
	}
	if err != nil {
		return tooMuch(err)
	}
	wait, err := q.limits.ChargeWithin(maxPause, 1, 0)
	if err != nil {
		return tooMuch(err)
	}
	return q.pause(wait)
}

func (q *request) pause(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-q.r.Context().Done():
		return q.r.Context().Err()
	case <-q.closing:
		return &apiError{status: http.StatusServiceUnavailable, msg: msgUnavailable}
	}
}

// tooMuch is the answer to who has used up its share, or meets others who have used up the database's.
func tooMuch(err error) error {
	var e *limit.Exceeded
	if !errors.As(err, &e) {
		return err
	}
	status := http.StatusTooManyRequests
	if e.Scope == limit.Database {
		status = http.StatusServiceUnavailable
	}
	seconds := strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds())))
	return &apiError{status: status, msg: "Too many requests: " + e.Error() + ". Try again in " + seconds + " s.", header: http.Header{"Retry-After": {seconds}}}
}
