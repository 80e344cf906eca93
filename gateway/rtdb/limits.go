package rtdb

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"rebase/auth"
	"rebase/gateway/limit"
)

// What a client hears of limits is chosen by what SDKs make of it. A connection that is refused or closed they
// open again, with delays that grow to minutes, and send again whatever was not answered; an answer that is an error
// they hand to the app, and a write that has got one is undone. (And a client that is told to shut down never comes
// back.) So nobody is told that it is too fast: its connection is read more slowly, and closed if
// that would take too long.

// statusTryAgain is the code of a connection that is closed for the time being.
const statusTryAgain ws.StatusCode = 1013

// refuseConnection answers a request for a connection that would be one too many.
func refuseConnection(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	var e *limit.Exceeded
	if errors.As(err, &e) {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
		if e.Scope != limit.Database {
			status = http.StatusTooManyRequests
		}
	}
	http.Error(w, err.Error(), status)
}

// charge counts what has come, before it is looked at. It returns until when to wait, when it has been carried out, before anything more is
// read; an error ends the connection.
func (c *client) charge(messages, bytes int) (until time.Duration, err error) {
	wait, err := c.limits.Charge(messages, bytes)
	switch {
	case err != nil:
		return 0, closef(statusTryAgain, "%v; try again", err)
	case wait > 0:
		return c.srv.wheel.elapsed() + wait, nil
	}
	return 0, nil
}

// pause leaves the client waiting, or returns when its connection is being closed.
func (c *client) pause(until time.Duration) {
	if until == 0 {
		return
	}
	wait := until - c.srv.wheel.elapsed()
	if wait <= 0 {
		return
	}
	over := false
	t := time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		over = true
		c.progressed()
	})
	defer t.Stop()
	c.waitUntil(func() bool {
		t, _ := c.via.(*wsTransport)
		return over || t != nil && t.finishing
	})
}

// identify counts the client as the user that it is about to become. If that one has too many connections this one is
// closed, with the request unanswered.
func (c *client) identify(id auth.Identity) (ok bool) {
	err := c.limits.Identify(id.User(), id.Admin)
	if err == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.via.finish(statusTryAgain, err.Error()+"; try again")
	}
	return false
}
