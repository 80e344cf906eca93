package limit

import (
	"container/list"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits are those of one database, connection, user or address. Zero values are
// no limits.
type Limits struct {
	Connections int // simultaneous
	Operations  Rate
	Bytes       Rate
}

// A Scope is what is limited.
type Scope string

// The scopes.
const (
	Database   Scope = "database"
	Connection Scope = "connection"
	User       Scope = "user"
	Address    Scope = "address"
)

// A Kind is what it is limited in.
type Kind string

// The kinds.
const (
	Connections Kind = "connections"
	Operations  Kind = "operations"
	Bytes       Kind = "bytes"
)

// Options say what the limits are.
type Options struct {
	Database   Limits // of each database
	Connection Limits // of each connection; Connections means nothing here
	User       Limits // of each user, over all connections
	Address    Limits // of each address, for clients that have not signed in

	// Of returns the limits of a database that has others than Database; it is
	// called often. It may be nil.
	Of func(ns string) (Limits, bool)

	MaxWait    time.Duration // longest wait; 0: 10 s
	MaxTracked int           // users and addresses without connections that are told apart; 0: 100 000

	Now func() time.Time // nil: time.Now
	// Hit is called when somebody has to wait or is refused, and must not block. It may be nil.
	Hit func(Scope, Kind, bool)
}

// Exceeded is the error of a client that is refused.
type Exceeded struct {
	Scope      Scope
	Kind       Kind
	RetryAfter time.Duration
}

func (e *Exceeded) Error() string {
	if e.Kind == Connections {
		return fmt.Sprintf("too many connections of this %s", e.Scope)
	}
	return fmt.Sprintf("too many %s of this %s", e.Kind, e.Scope)
}

// Limiter counts.
type Limiter struct {
	o     Options
	start time.Time

	mu      sync.Mutex
	dbs     map[string]*account // with connections, or not full
	clients map[clientKey]*account
	idle    *list.List // the accounts of clients that have no connection, last used first
	quiet   *list.List // the same of databases
	others  map[Scope]*account
}

type clientKey struct {
	scope Scope
	key   string
}

// account is what one database, user or address has taken.
type account struct {
	scope    Scope
	key      clientKey
	ops, by  bucket
	conns    int
	position *list.Element // in a list of those without connections; nil while it has some
	shared   bool          // it stands for many, and stays
}

// retryConnect is when somebody may come again for whom there was no connection left.
const retryConnect = 10 * time.Second

// New returns a Limiter.
func New(o Options) *Limiter {
	if o.MaxWait <= 0 {
		o.MaxWait = 10 * time.Second
	}
	if o.MaxTracked <= 0 {
		o.MaxTracked = 100_000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Hit == nil {
		o.Hit = func(Scope, Kind, bool) {}
	}
	return &Limiter{
		o: o, start: o.Now(), dbs: map[string]*account{}, clients: map[clientKey]*account{}, idle: list.New(), quiet: list.New(),
		others: map[Scope]*account{
			Database: {scope: Database, shared: true}, User: {scope: User, shared: true}, Address: {scope: Address, shared: true},
		},
	}
}

func (l *Limiter) now() time.Duration { return l.o.Now().Sub(l.start) }

// limits are those of an account.
func (l *Limiter) limits(a *account) Limits {
	switch a.scope {
	case User:
		return l.o.User
	case Address:
		return l.o.Address
	}
	if l.o.Of != nil && !a.shared {
		if own, ok := l.o.Of(a.key.key); ok {
			return own
		}
	}
	return l.o.Database
}

// find returns the account of a client or database, and makes it if there is none. Where there are too many it is the one
// that the others share, unless somebody connects: connections are bounded elsewhere.
func (l *Limiter) find(k clientKey, now time.Duration, connects bool) *account {
	waiting := l.idle
	var a *account
	if k.scope == Database {
		waiting = l.quiet
		a = l.dbs[k.key]
	} else {
		a = l.clients[k]
	}
	if a != nil {
		if a.position != nil {
			waiting.MoveToFront(a.position)
		}
		return a
	}
	if waiting.Len() >= l.o.MaxTracked && !l.forget(waiting, now) && !connects {
		return l.others[k.scope]
	}
	a = &account{scope: k.scope, key: k}
	a.position = waiting.PushFront(a)
	if k.scope == Database {
		l.dbs[k.key] = a
	} else {
		l.clients[k] = a
	}
	return a
}

// forget makes room by forgetting accounts that say nothing any more; the last used are
// looked at last.
func (l *Limiter) forget(waiting *list.List, now time.Duration) (any bool) {
	for range 4 {
		e := waiting.Back()
		if e == nil {
			break
		}
		a := e.Value.(*account)
		own := l.limits(a)
		if !a.ops.full(own.Operations, now) || !a.by.full(own.Bytes, now) {
			break
		}
		waiting.Remove(e)
		l.delete(a)
		any = true
	}
	return any
}

// enter counts a connection of an account.
func (l *Limiter) enter(a *account) error {
	if most := l.limits(a).Connections; most > 0 && a.conns >= most {
		l.o.Hit(a.scope, Connections, true)
		return &Exceeded{a.scope, Connections, retryConnect}
	}
	a.conns++
	if a.position != nil {
		l.list(a).Remove(a.position)
		a.position = nil
	}
	return nil
}

func (l *Limiter) list(a *account) *list.List {
	if a.scope == Database {
		return l.quiet
	}
	return l.idle
}

// leave takes enter back.
func (l *Limiter) leave(a *account) {
	if a.conns--; a.conns > 0 || a.shared {
		return
	}
	waiting, now := l.list(a), l.now()
	if waiting.Len() < l.o.MaxTracked || l.forget(waiting, now) {
		a.position = waiting.PushFront(a)
		return
	}
	// What it owes must not be forgotten: the others take it over.
	own, others := l.limits(a), l.others[a.scope]
	a.ops.flow(own.Operations, now)
	a.by.flow(own.Bytes, now)
	others.ops.take(own.Operations, now, a.ops.spent)
	others.by.take(own.Bytes, now, a.by.spent)
	l.delete(a)
}

func (l *Limiter) delete(a *account) {
	if a.scope == Database {
		delete(l.dbs, a.key.key)
	} else {
		delete(l.clients, a.key)
	}
}

// key makes the account of an address: "host:port" or a bare host. The second result is
// false for the loopback and for what is no address, which have none.
func addressKey(remote string) (clientKey, bool) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.IsLoopback() || ip.Unmap().IsLoopback() {
		return clientKey{}, false
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			ip = p.Addr()
		}
	}
	return clientKey{Address, ip.String()}, true
}
