package rtdb

import (
	"context"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"rebase/tree"
)

// A server that is to be taken out of service tells its clients to connect to another one, by the protocol's own "reset". What SDKs do with it
// (the JavaScript SDK's Connection.onReset_ and RepoInfo): they close the connection, connect to the host named, with
// the last session's id, send their listens again and then the writes that have had no answer, oldest first. To the application it is a short
// break of the connection.
//
// The host named takes the place of the one that the application was configured with, for as long as the client lives, and so does the
// host of every handshake. There is one way back: if a connection to a host whose name begins with "s-" fails, the
// SDK returns to the configured one (RepoInfo.isCacheableHost; browsers also remember such a host across visits). With any other name the client tries
// that host for ever. So nodes that clients are sent to by name should be called s-something, with a configured name before
// them that leads to any node; or all nodes are behind one address that a load balancer serves, and that is what clients are told again. An empty
// host, which the SDK would take for one, is never sent.

const (
	// redirectSpread is the time over which clients are told, so that the other servers do not get all at once.
	redirectSpread = time.Second
	// redirectPatience is how long a client's answers are waited for. What it has no answer to by then it sends again elsewhere, where it is recognised.
	redirectPatience = time.Second
	redirectStep     = 20 * time.Millisecond
)

// Redirect tells all clients to connect again: to the host, with its port, that to returns at that moment, or to the address by which
// they have reached this server if that is empty. Clients are told over a second or so, each after the answers to its requests, or a
// second later. Those that come afterwards, until EndRedirect, are greeted and then told the same; but they may stay while the host is empty, or
// they would come back for ever. It returns when all that were there
// are gone, or ctx ends. to is called on many goroutines and must not block.
func (s *Server) Redirect(ctx context.Context, to func() string) {
	s.redirect.Store(&to)
	s.mu.Lock()
	all := make([]*client, 0, len(s.clients))
	for _, c := range s.clients {
		all = append(all, c)
	}
	s.mu.Unlock()
	begin := time.Now()
	tick := time.NewTicker(redirectStep)
	defer tick.Stop()
	var under []*client // those whose turn has come, and who are not gone
	for next := 0; s.redirect.Load() == &to; {
		passed := time.Since(begin)
		for next < len(all) && float64(next)*float64(redirectSpread) <= float64(len(all))*float64(passed) {
			under = append(under, all[next])
			next++
		}
		must := passed > redirectSpread+redirectPatience
		under = slices.DeleteFunc(under, func(c *client) bool { return c.redirected(to, must) })
		if next == len(all) && len(under) == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// EndRedirect lets clients stay again.
func (s *Server) EndRedirect() { s.redirect.Store(nil) }

// redirected tells the client to connect again, if it has had its answers or must not wait any longer, and reports whether it is gone.
func (c *client) redirected(to func() string, must bool) (gone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return true
	}
	if !c.moved && (must || c.m.answers.outstanding() == 0) {
		c.move(to())
		c.kick()
	}
	return false
}

// move queues the reset and the end of the connection behind it. The caller holds mu, and kicks.
func (c *client) move(host string) {
	if c.moved || c.ended {
		return
	}
	c.moved = true
	if host == "" {
		host = c.host
	}
	c.m.out.control(controlFrame("r", tree.AppendJSONString(nil, host)))
	if t, ok := c.via.(*lpTransport); ok {
		t.retire()
		return
	}
	c.via.finish(ws.StatusGoingAway, "the client is served elsewhere")
}
