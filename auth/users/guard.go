package users

import (
	"net/netip"
	"sync"
	"time"
)

// Limits bound guessing and the making of accounts. They are token buckets: Burst at once, then one each Every. A zero
// Limit is the default; a negative Burst none at all.
type Limits struct {
	// Guesses is how often one address may give wrong credentials for one account; default 10, then one each minute.
	Guesses Limit
	// Account is the same for an account, whoever guesses; default 50, then one each 30 s. It does not stop those who have lately
	// signed in from the same network, so strangers cannot lock the owner out of where he is at home.
	Account Limit
	// Address is the same for an address, whatever the accounts; default 100, then one each 6 s.
	Address Limit
	// SignUps is how many accounts one address may make; default 100, then one each 36 s (100 an hour, as Firebase).
	SignUps Limit
	// Flows is how many sign-ins at providers one address may begin; default 100, then one each 6 s.
	Flows Limit
	// Requests is how many requests of any kind one address may make; default 300, then ten a second.
	Requests Limit
	// Mails is how many mails may be sent to one e-mail address; default 5, then one each 10 minutes.
	Mails Limit
	// MailsFrom is how many mails one address may have sent; default 50, then one each minute.
	MailsFrom Limit
}

// Limit is a token bucket.
type Limit struct {
	Burst int
	Every time.Duration
}

func (l Limit) or(burst int, every time.Duration) Limit {
	if l == (Limit{}) {
		return Limit{burst, every}
	}
	return l
}

// guard counts, by purpose and key.
type guard struct {
	limits Limits
	now    func() time.Time

	mu      sync.Mutex
	known   map[string]time.Time // accounts with the networks from which they have signed in, and when
	buckets map[bucketKey]*bucket
	swept   int // how many buckets there were after the last sweep
}

type bucketKey struct {
	limit *Limit
	key   string
}

// bucket holds what is left, as of a time.
type bucket struct {
	left float64
	at   time.Time
}

// maxBuckets bounds the memory of the counters, about 200 bytes each. When there are more although none has refilled, arbitrary ones go.
const maxBuckets = 200_000

func newGuard(l Limits, now func() time.Time) *guard {
	l.Guesses = l.Guesses.or(10, time.Minute)
	l.Account = l.Account.or(50, 30*time.Second)
	l.Address = l.Address.or(100, 6*time.Second)
	l.SignUps = l.SignUps.or(100, 36*time.Second)
	l.Flows = l.Flows.or(100, 6*time.Second)
	l.Requests = l.Requests.or(300, 100*time.Millisecond)
	l.Mails = l.Mails.or(5, 10*time.Minute)
	l.MailsFrom = l.MailsFrom.or(50, time.Minute)
	return &guard{limits: l, now: now, known: map[string]time.Time{}, buckets: map[bucketKey]*bucket{}}
}

// take takes one from each bucket, or, if one of them is empty, from none. give puts them back: what has been taken for an
// attempt that was none, because the credential was right.
func (g *guard) take(keys ...bucketKey) (give func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	var taken []*bucket
	for _, k := range keys {
		if k.limit.Burst < 0 {
			continue
		}
		b := g.bucket(k, now)
		if b.left < 1 {
			return nil, false
		}
		taken = append(taken, b)
	}
	for _, b := range taken {
		b.left--
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, b := range taken {
			b.left++ // refilling bounds it
		}
	}, true
}

// reset fills a bucket: its key has proved to be who it says.
func (g *guard) reset(k bucketKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.buckets, k)
}

// knownFor is how long a network is known to be an account's after it has signed in from there. maxKnown bounds how many are.
const (
	knownFor = 30 * 24 * time.Hour
	maxKnown = 100_000
)

// isKnown tells whether an account has lately signed in from a network; where is both.
func (g *guard) isKnown(where string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.known[where]
	return ok && g.now().Sub(at) < knownFor
}

// remember notes that an account has signed in from a network.
func (g *guard) remember(where string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.known[where]; !ok && len(g.known) >= maxKnown {
		for k := range g.known { // any: to look for the oldest would cost more than it is worth
			delete(g.known, k)
			break
		}
	}
	g.known[where] = g.now()
}

func (g *guard) bucket(k bucketKey, now time.Time) *bucket {
	b := g.buckets[k]
	if b == nil {
		if len(g.buckets) >= max(1024, 2*g.swept) || len(g.buckets) >= maxBuckets {
			g.sweep(now)
		}
		b = &bucket{left: float64(k.limit.Burst), at: now}
		g.buckets[k] = b
		return b
	}
	b.refill(k.limit, now)
	return b
}

func (b *bucket) refill(l *Limit, now time.Time) {
	if d := now.Sub(b.at); d > 0 && l.Every > 0 {
		b.left = min(b.left+float64(d)/float64(l.Every), float64(l.Burst))
	}
	b.at = now
}

// sweep forgets the buckets that are full again.
func (g *guard) sweep(now time.Time) {
	for k, b := range g.buckets {
		if b.refill(k.limit, now); b.left >= float64(k.limit.Burst) {
			delete(g.buckets, k)
		}
	}
	// A quarter at once: to sweep for each new key would cost more than what it protects from.
	if len(g.buckets) > maxBuckets*3/4 {
		for k := range g.buckets {
			if len(g.buckets) <= maxBuckets*3/4 {
				break
			}
			delete(g.buckets, k)
		}
	}
	g.swept = len(g.buckets)
}

// network is what stands for an address in limits: of IPv6 the /64, which is what one customer has.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if ip = ip.Unmap(); ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.String()
	}
	return ip.String()
}

// from is a bucket of an address. The loopback is none: behind a proxy there stands everybody, and tests make many accounts.
func (g *guard) from(l *Limit, c Caller) bucketKey {
	if ip, err := netip.ParseAddr(c.Address); err == nil && ip.Unmap().IsLoopback() {
		return bucketKey{limit: &unlimited}
	}
	return bucketKey{l, network(c.Address)}
}

var unlimited = Limit{Burst: -1}

// guess counts an attempt to prove to be an account; account is any text that names it, whether it exists or not. The attempt must
// end with right() if it was right.
func (s *Store) guess(c Caller, account string) (right func(), err error) {
	if c.Admin {
		return func() {}, nil
	}
	who := c.Project + "\n" + account
	where := who + "\n" + network(c.Address)
	pair := bucketKey{&s.guard.limits.Guesses, where}
	keys := []bucketKey{pair, s.guard.from(&s.guard.limits.Address, c)}
	if !s.guard.isKnown(where) {
		keys = append(keys, bucketKey{&s.guard.limits.Account, who})
	}
	give, ok := s.guard.take(keys...)
	if !ok {
		return nil, failf(TooManyAttempts, "Access to this account has been temporarily disabled due to many failed login attempts. "+
			"You can restore it by resetting your password, or try again later.")
	}
	return func() { give(); s.guard.reset(pair); s.guard.remember(where) }, nil
}

// MayCall counts a request of any kind.
func (s *Store) MayCall(c Caller) error {
	if c.Admin {
		return nil
	}
	if _, ok := s.guard.take(s.guard.from(&s.guard.limits.Requests, c)); !ok {
		return failf(TooManyAttempts, "too many requests from this address; try again later")
	}
	return nil
}

// mayMake counts a new account.
func (s *Store) mayMake(c Caller) error {
	if c.Admin {
		return nil
	}
	if _, ok := s.guard.take(s.guard.from(&s.guard.limits.SignUps, c)); !ok {
		return failf(TooManyAttempts, "too many accounts were made from this address; try again later")
	}
	return nil
}

// mayMail counts a mail.
func (s *Store) mayMail(c Caller, address string) error {
	if c.Admin {
		return nil
	}
	if _, ok := s.guard.take(bucketKey{&s.guard.limits.Mails, c.Project + "\n" + address}, s.guard.from(&s.guard.limits.MailsFrom, c)); !ok {
		return failf(TooManyAttempts, "too many mails; try again later")
	}
	return nil
}
