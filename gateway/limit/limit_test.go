package limit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func (c *clock) pass(d time.Duration) { c.t = c.t.Add(d) }

func limiter(o Options) (*Limiter, *clock) {
	c := &clock{time.Unix(1000, 0)}
	o.Now = c.now
	return New(o), c
}

func connect(t testing.TB, l *Limiter, ns, remote string) *Client {
	t.Helper()
	c, err := l.Connect(ns, remote)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func exceeded(err error) string {
	var e *Exceeded
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	return fmt.Sprint(e.Scope, " ", e.Kind)
}

func TestConnections(t *testing.T) {
	l, _ := limiter(Options{Database: Limits{Connections: 5}, Address: Limits{Connections: 2}, User: Limits{Connections: 3}})
	a1, a2 := connect(t, l, "db", "10.0.0.1:1"), connect(t, l, "db", "10.0.0.1:2")
	if _, err := l.Connect("db", "10.0.0.1:3"); exceeded(err) != "address connections" {
		t.Errorf("a third connection of an address: %v", err)
	}
	if _, err := l.Connect("other", "10.0.0.1:3"); exceeded(err) != "address connections" {
		t.Errorf("a third connection of an address, to another database: %v", err)
	}
	a1.Release()
	a1.Release()
	a3 := connect(t, l, "db", "10.0.0.1:4")
	if _, err := l.Connect("db", "10.0.0.1:5"); exceeded(err) != "address connections" {
		t.Errorf("after one release: %v", err)
	}
	// Who signs in is no longer its address.
	if err := a2.Identify("u", false); err != nil {
		t.Fatal(err)
	}
	if err := a3.Identify("u", false); err != nil {
		t.Fatal(err)
	}
	b1, b2 := connect(t, l, "db", "10.0.0.1:6"), connect(t, l, "db", "10.0.0.1:7")
	if err := b1.Identify("u", false); err != nil {
		t.Fatal(err)
	}
	if err := b2.Identify("u", false); exceeded(err) != "user connections" {
		t.Errorf("a fourth connection of a user: %v", err)
	}
	if err := b2.Identify("", true); err != nil { // administrators have no limit of their own
		t.Errorf("an administrator: %v", err)
	}
	connect(t, l, "db", "10.0.0.9:1")
	if _, err := l.Connect("db", "10.0.0.10:1"); exceeded(err) != "database connections" {
		t.Errorf("a sixth connection to a database: %v", err)
	}
	if _, err := l.Connect("db2", "10.0.0.10:1"); err != nil {
		t.Errorf("another database: %v", err)
	}
	a2.Identify("", false)
	b1.Identify("", false)
	if err := b2.Identify("u", false); err != nil {
		t.Errorf("after two have signed out: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for remote, want := range map[string]string{
		"10.1.2.3:99": "10.1.2.3", "[::ffff:10.1.2.3]:99": "10.1.2.3", "10.1.2.3": "10.1.2.3",
		"[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::", "[2001:db8:1:2::1%eth0]:1": "2001:db8:1:2::",
		"127.0.0.1:1": "", "[::1]:1": "", "[::ffff:127.0.0.1]:1": "", "@": "", "": "", "pipe": "",
	} {
		k, ok := addressKey(remote)
		if k.key != want || ok != (want != "") {
			t.Errorf("%q: %q, %v; want %q", remote, k.key, ok, want)
		}
	}
}

func TestWaits(t *testing.T) {
	var hits []string
	l, c := limiter(Options{
		Connection: Limits{Operations: Rate{10, 5}},
		User:       Limits{Bytes: Rate{1000, 2000}},
		MaxWait:    3 * time.Second,
		Hit:        func(s Scope, k Kind, refused bool) { hits = append(hits, fmt.Sprint(s, k, refused)) },
	})
	a := connect(t, l, "db", "10.0.0.1:1")
	charge := func(c *Client, ops, bytes int, want time.Duration) {
		t.Helper()
		if wait, err := c.Charge(ops, bytes); err != nil || wait != want {
			t.Errorf("%d operations of %d bytes: %v, %v; want %v", ops, bytes, wait, err, want)
		}
	}
	for range 5 {
		charge(a, 1, 0, 0)
	}
	charge(a, 1, 0, 100*time.Millisecond)
	charge(a, 1, 0, 200*time.Millisecond)
	c.pass(200 * time.Millisecond)
	charge(a, 1, 0, 100*time.Millisecond)
	c.pass(time.Hour)
	charge(a, 5, 0, 0)
	if _, err := a.Charge(40, 0); exceeded(err) != "connection operations" {
		t.Errorf("who would have to wait four seconds: %v", err)
	}
	charge(a, 1, 0, 100*time.Millisecond) // nothing was charged for it

	// Two connections of one user share its bytes; another user has its own.
	b1, b2, other := connect(t, l, "db", "10.0.0.2:1"), connect(t, l, "db", "10.0.0.3:1"), connect(t, l, "db", "10.0.0.2:2")
	for c, u := range map[*Client]string{b1: "u", b2: "u", other: "v"} {
		if err := c.Identify(u, false); err != nil {
			t.Fatal(err)
		}
	}
	charge(b1, 0, 2000, 0)
	charge(b2, 0, 1000, time.Second)
	charge(other, 0, 2000, 0)
	b2.Debit(9000) // a large answer
	if _, err := b1.Charge(1, 0); exceeded(err) != "user bytes" {
		t.Errorf("after a large answer: %v", err)
	}
	c.pass(10 * time.Second)
	charge(b1, 1, 0, 0)

	request := l.Request("db", "10.0.0.2:9")
	if err := request.Identify("v", false); err != nil {
		t.Fatal(err)
	}
	charge(request, 1, 2000, 0)
	charge(request, 1, 500, 500*time.Millisecond)
	charge(l.Request("db", "127.0.0.1:1"), 5, 1<<30, 0)
	want := "[connectionoperationsfalse connectionoperationsfalse connectionoperationsfalse connectionoperationstrue connectionoperationsfalse userbytesfalse userbytestrue userbytesfalse]"
	if got := fmt.Sprint(hits); got != want {
		t.Errorf("hits %s", got)
	}
}

func TestDatabasesOfTheirOwn(t *testing.T) {
	l, _ := limiter(Options{
		Database: Limits{Operations: Rate{1, 1}},
		Of: func(ns string) (Limits, bool) {
			return Limits{Operations: Rate{1, 3}}, ns == "big"
		},
	})
	for ns, free := range map[string]int{"small": 1, "big": 3} {
		for i := range 5 {
			wait, err := l.Request(ns, "").Charge(1, 0)
			if err != nil || (wait == 0) != (i < free) {
				t.Errorf("operation %d of %s: %v, %v", i, ns, wait, err)
			}
		}
	}
}

// However they come, at most the burst and the rate are let in, and one operation for each who waits.
func TestRateHolds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := Rate{float64(rapid.IntRange(1, 50).Draw(rt, "rate")), float64(rapid.IntRange(1, 50).Draw(rt, "burst"))}
		clients := rapid.IntRange(1, 5).Draw(rt, "clients")
		l, c := limiter(Options{User: Limits{Operations: rate}, MaxWait: time.Duration(rapid.IntRange(1, 5).Draw(rt, "maxwait")) * time.Second})
		type client struct {
			*Client
			until time.Time // it waits
		}
		var all []client
		for range clients {
			k, err := l.Connect("db", "10.0.0.1:1")
			if err != nil {
				rt.Fatal(err)
			}
			if err := k.Identify("u", false); err != nil {
				rt.Fatal(err)
			}
			all = append(all, client{k, c.t})
		}
		start, admitted := c.t, 0
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			c.pass(time.Duration(rapid.IntRange(0, 300).Draw(rt, "ms")) * time.Millisecond)
			k := &all[rapid.IntRange(0, clients-1).Draw(rt, "who")]
			if c.t.Before(k.until) {
				continue
			}
			wait, err := k.Charge(1, 0)
			if err != nil {
				continue
			}
			k.until = c.t.Add(wait)
			admitted++
			if most := rate.burst() + rate.PerSecond*c.t.Sub(start).Seconds() + float64(clients) + 1e-6; float64(admitted) > most {
				rt.Fatalf("%d operations were let in within %v; %v are the most", admitted, c.t.Sub(start), most)
			}
		}
	})
}

// A million addresses take no more memory than as many as are told apart, and together no more than one rate.
func TestMemoryIsBounded(t *testing.T) {
	const tracked = 100
	l, c := limiter(Options{Address: Limits{Operations: Rate{1, 2}, Connections: 3}, Database: Limits{Operations: Rate{1e9, 1e9}}, MaxTracked: tracked})
	served := 0
	for i := range 10000 {
		addr := fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)
		for range 3 {
			if wait, err := l.Request(fmt.Sprint("db", i), addr).Charge(1, 0); err == nil && wait == 0 {
				served++
			}
		}
		if len(l.clients) > tracked || len(l.dbs) > tracked {
			t.Fatalf("%d clients and %d databases are remembered", len(l.clients), len(l.dbs))
		}
	}
	if most := 2*tracked + 2; served > most {
		t.Errorf("%d operations were served at once, %d are the most", served, most)
	}
	c.pass(time.Hour) // all are forgiven, and can be forgotten
	if wait, err := l.Request("db", "172.16.0.1:1").Charge(2, 0); wait != 0 || err != nil {
		t.Errorf("after an hour: %v, %v", wait, err)
	}
}

// Connections that come and go leave nothing behind, in whatever order.
func TestNothingLeaks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	l, c := limiter(Options{
		Database: Limits{Connections: 50, Operations: Rate{100, 100}}, Address: Limits{Connections: 5, Operations: Rate{2, 2}},
		User: Limits{Connections: 3, Operations: Rate{2, 2}}, MaxTracked: 10,
	})
	var open []*Client
	for range 20000 {
		c.pass(time.Duration(rng.IntN(50)) * time.Millisecond)
		switch {
		case len(open) < 60 && rng.IntN(2) == 0:
			if k, err := l.Connect(fmt.Sprint("db", rng.IntN(3)), fmt.Sprintf("10.0.0.%d:1", rng.IntN(30))); err == nil {
				open = append(open, k)
			}
		case len(open) > 0:
			i := rng.IntN(len(open))
			switch rng.IntN(3) {
			case 0:
				open[i].Release()
				open = append(open[:i], open[i+1:]...)
			case 1:
				open[i].Identify([]string{"", "u", "v", "w"}[rng.IntN(4)], rng.IntN(10) == 0)
			case 2:
				open[i].Charge(1, 10)
			}
		}
		if n := l.idle.Len() + l.quiet.Len(); n > 20 {
			t.Fatalf("%d accounts without connections are remembered", n)
		}
		conns := 0
		for _, a := range l.dbs {
			conns += a.conns
		}
		if conns != len(open) {
			t.Fatalf("%d connections are counted, %d are open", conns, len(open))
		}
	}
	for _, k := range open {
		k.Release()
	}
	for k, a := range l.clients {
		if a.conns != 0 || a.position == nil {
			t.Errorf("%v has %d connections", k, a.conns)
		}
	}
	if l.idle.Len() != len(l.clients) || l.quiet.Len() != len(l.dbs) {
		t.Errorf("%d of %d clients and %d of %d databases are in the lists", l.idle.Len(), len(l.clients), l.quiet.Len(), len(l.dbs))
	}
}

func TestNoLimiter(t *testing.T) {
	var l *Limiter
	c, err := l.Connect("db", "10.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Identify("u", false); err != nil {
		t.Error(err)
	}
	if wait, err := c.Charge(1e6, 1e9); wait != 0 || err != nil {
		t.Error(wait, err)
	}
	c.Debit(5)
	c.Release()
}

func BenchmarkCharge(b *testing.B) {
	big := Limits{Connections: 1000, Operations: Rate{1e9, 1e9}, Bytes: Rate{1e12, 1e12}}
	l := New(Options{Database: big, Connection: big, User: big, Address: big})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c, err := l.Connect("db", "10.0.0.1:1")
		if err != nil {
			b.Error(err)
			return
		}
		for pb.Next() {
			if _, err := c.Charge(1, 100); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
