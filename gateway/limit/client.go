package limit

import (
	"math"
	"time"
)

// Client is one connection, or one request. A nil *Client has no limits.
// Its methods may be called concurrently.
type Client struct {
	l       *Limiter
	ns      clientKey
	address clientKey // "": none
	user    clientKey
	admin   bool

	// Guarded by l.mu.
	ops, by  bucket
	counted  bool     // it is a connection
	db, who  *account // that count it
	released bool
}

// Connect counts a connection from remote ("host:port") to a database. The error is
// an *[Exceeded]. Release must be called when it has ended.
func (l *Limiter) Connect(ns, remote string) (*Client, error) {
	c := l.Request(ns, remote)
	if c == nil {
		return nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	db := l.find(c.ns, now, true)
	if err := l.enter(db); err != nil {
		return nil, err
	}
	if c.address.key != "" {
		who := l.find(c.address, now, true)
		if err := l.enter(who); err != nil {
			l.leave(db)
			return nil, err
		}
		c.who = who
	}
	c.db, c.counted = db, true
	return c, nil
}

// Request is a client that is not counted as a connection, and need not be released.
func (l *Limiter) Request(ns, remote string) *Client {
	if l == nil {
		return nil
	}
	c := &Client{l: l, ns: clientKey{Database, ns}}
	c.address, _ = addressKey(remote)
	return c
}

// Identify says who the client is: a user, by a name that is unique among all projects, or an administrator, whom only the limits of its
// connection and of the database concern. A client without a name is
// its address. The error is an *[Exceeded] if the user has too many connections; the client then
// is who it was before.
func (c *Client) Identify(user string, admin bool) error {
	if c == nil {
		return nil
	}
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	next := clientKey{}
	if user != "" {
		next = clientKey{User, user}
	}
	if c.counted && !c.released {
		k := c.key(next, admin)
		var who *account
		if k.key != "" {
			who = l.find(k, l.now(), true)
		}
		if who != c.who {
			if who != nil {
				if err := l.enter(who); err != nil {
					return err
				}
			}
			if c.who != nil {
				l.leave(c.who)
			}
			c.who = who
		}
	}
	c.user, c.admin = next, admin
	return nil
}

// key is the account of the client beside its connection and its database; "" if it has none.
func (c *Client) key(user clientKey, admin bool) clientKey {
	switch {
	case admin:
		return clientKey{}
	case user.key != "":
		return user
	}
	return c.address
}

// Charge counts operations and bytes, and returns how long the client should be left waiting before
// its next operation. If that were longer than Options.MaxWait nothing is counted, and the error is an *[Exceeded].
func (c *Client) Charge(operations, bytes int) (wait time.Duration, err error) {
	if c == nil {
		return 0, nil
	}
	return c.charge(operations, bytes, c.l.o.MaxWait)
}

// ChargeWithin is Charge for clients that can be kept waiting for so long only.
func (c *Client) ChargeWithin(most time.Duration, operations, bytes int) (wait time.Duration, err error) {
	return c.charge(operations, bytes, most)
}

// Debit counts what the client has had already, whatever it comes to. Its next operation may have to wait for it.
func (c *Client) Debit(bytes int) { c.charge(0, bytes, forever) }

const forever time.Duration = math.MaxInt64

func (c *Client) charge(operations, bytes int, most time.Duration) (wait time.Duration, err error) {
	if c == nil {
		return 0, nil
	}
	l := c.l
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	type part struct {
		scope   Scope
		limits  Limits
		ops, by *bucket
	}
	parts := [3]part{{Connection, l.o.Connection, &c.ops, &c.by}}
	n := 1
	add := func(a *account) {
		parts[n] = part{a.scope, l.limits(a), &a.ops, &a.by}
		n++
	}
	if db := c.db; db != nil {
		add(db)
	} else {
		add(l.find(c.ns, now, false))
	}
	if who := c.who; who != nil {
		add(who)
	} else if k := c.key(c.user, c.admin); k.key != "" {
		add(l.find(k, now, false))
	}
	scope, kind := Scope(""), Kind("")
	longer := func(w time.Duration, s Scope, k Kind) {
		if w > wait {
			wait, scope, kind = w, s, k
		}
	}
	for _, p := range parts[:n] {
		longer(p.ops.take(p.limits.Operations, now, float64(operations)), p.scope, Operations)
		longer(p.by.take(p.limits.Bytes, now, float64(bytes)), p.scope, Bytes)
	}
	switch {
	case wait == 0 || most == forever:
		return wait, nil
	case wait <= most:
		l.o.Hit(scope, kind, false)
		return wait, nil
	}
	for _, p := range parts[:n] {
		p.ops.give(p.limits.Operations, float64(operations))
		p.by.give(p.limits.Bytes, float64(bytes))
	}
	l.o.Hit(scope, kind, true)
	return 0, &Exceeded{scope, kind, wait}
}

// Release ends a connection. Calls after the first do nothing.
func (c *Client) Release() {
	if c == nil {
		return
	}
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	if c.released || !c.counted {
		return
	}
	c.released = true
	c.l.leave(c.db)
	if c.who != nil {
		c.l.leave(c.who)
	}
}
