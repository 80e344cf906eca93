package jwks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"rebase/auth/token"
)

// When sets are fetched.
const (
	DefaultAge   = time.Hour        // how long a set is fresh if its server does not say
	MinAge       = time.Minute      // and if it says less
	MaxAge       = 24 * time.Hour   // and if it says more
	MaxStale     = 24 * time.Hour   // how long an old set is believed while no new one is to be had
	MinRefetch   = 30 * time.Second // between two fetches because of unknown keys
	firstBackOff = time.Second      // after a failure; doubled by each further one
	lastBackOff  = 5 * time.Minute
	fetchTimeout = 15 * time.Second
	maxBody      = 256 << 10
	maxRedirects = 4
)

// ErrNoKey: the issuer has no such key.
var ErrNoKey = errors.New("its issuer has no key of that id and algorithm")

// Remote is the key set at an address. It is safe for concurrent use.
type Remote struct {
	o Options

	mu     sync.Mutex
	url    string // "" until discovered
	set    *Set
	fresh  time.Time     // until when the set need not be fetched again
	began  time.Time     // of the last fetch
	failed int           // fetches since the last that succeeded
	retry  time.Time     // when a fetch is allowed again after a failure
	err    error         // of the last fetch
	flight chan struct{} // closed when the fetch under way is over; nil if there is none
}

// Options of a Remote.
type Options struct {
	URL    string // of the set
	Issuer string // if there is no URL: where it is, is found out by OpenID Connect Discovery
	HTTP   *http.Client
	Now    func() time.Time
	Logger *slog.Logger // nil: none
}

// NewRemote returns a set that is fetched when it is first needed.
func NewRemote(o Options) *Remote {
	client := http.Client{Timeout: fetchTimeout}
	if o.HTTP != nil {
		client = *o.HTTP
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) >= maxRedirects {
			return errors.New("too many redirections")
		}
		return CheckURL(req.URL.String())
	}
	o.HTTP = &client
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Remote{o: o, url: o.URL}
}

// Key returns the key with that id for that algorithm. It waits for the set if it has to be fetched. The error is ErrNoKey if the issuer
// has no such key as far as is known, else why the set is not to be had.
func (r *Remote) Key(ctx context.Context, kid, alg string) (*token.Key, error) {
	asked := r.o.Now()
	for {
		r.mu.Lock()
		now := r.o.Now()
		k, known := r.set.Key(kid, alg)
		usable := r.set != nil && now.Before(r.fresh.Add(MaxStale))
		if known && now.Before(r.fresh) {
			r.mu.Unlock()
			return k, nil
		}
		if r.flight == nil {
			if !r.mayFetch(now) || !r.began.Before(asked) && !r.began.IsZero() {
				// It was fetched for this very question, or may not be now.
				err := r.err
				r.mu.Unlock()
				switch {
				case known && usable:
					return k, nil
				case usable:
					return nil, ErrNoKey
				case err == nil:
					err = errors.New("the keys of its issuer are too old")
				}
				return nil, err
			}
			r.flight = make(chan struct{})
			r.began = now
			// Whoever began it may go; others wait for it, too.
			go r.fetch(context.WithoutCancel(ctx), r.url, r.flight)
		}
		flight, failing := r.flight, r.failed > 0
		r.mu.Unlock()
		if known && usable && failing {
			return k, nil // an issuer that does not answer shall not keep every caller waiting
		}
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// mayFetch rations fetches. It is called with mu held.
func (r *Remote) mayFetch(now time.Time) bool {
	if now.Before(r.retry) {
		return false
	}
	return r.set == nil || !now.Before(r.fresh) || !now.Before(r.began.Add(MinRefetch))
}

// fetch gets the set and ends the flight.
func (r *Remote) fetch(ctx context.Context, address string, flight chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	set, age, err := (*Set)(nil), time.Duration(0), error(nil)
	if address == "" {
		address, err = r.discover(ctx)
	}
	if err == nil {
		var body []byte
		if body, age, err = r.get(ctx, address); err == nil {
			set, err = Parse(body)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer close(flight)
	r.flight = nil
	now := r.o.Now()
	if r.err = err; err != nil {
		wait := min(firstBackOff<<min(r.failed, 16), lastBackOff)
		r.failed++
		r.retry = now.Add(wait)
		r.o.Logger.Warn("the keys of an issuer of tokens cannot be fetched", "url", r.o.URL, "issuer", r.o.Issuer, "again_in", wait, "err", err)
		return
	}
	r.url, r.set, r.failed, r.retry = address, set, 0, time.Time{}
	r.fresh = now.Add(age)
}

func (r *Remote) get(ctx context.Context, address string) (body []byte, age time.Duration, err error) {
	if err := CheckURL(address); err != nil {
		return nil, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := r.o.HTTP.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s: status %d", address, res.StatusCode)
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, 0, err
	}
	if len(body) > maxBody {
		return nil, 0, fmt.Errorf("%s: more than %d bytes", address, maxBody)
	}
	return body, freshFor(res.Header), nil
}

// discover finds the address of the set by OpenID Connect Discovery 1.0. That the document names the issuer exactly (§4.3) is
// what ties the keys to it.
func (r *Remote) discover(ctx context.Context) (string, error) {
	at := strings.TrimSuffix(r.o.Issuer, "/") + "/.well-known/openid-configuration"
	body, _, err := r.get(ctx, at)
	if err != nil {
		return "", err
	}
	var doc struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", fmt.Errorf("%s: %w", at, err)
	}
	if doc.Issuer != r.o.Issuer {
		return "", fmt.Errorf("%s: it is the document of issuer %.200q, not of %q", at, doc.Issuer, r.o.Issuer)
	}
	if doc.JWKS == "" {
		return "", fmt.Errorf("%s: it has no jwks_uri", at)
	}
	return doc.JWKS, nil
}

// CheckURL returns nil for an address that keys may be fetched from: https, or http on this machine.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("%.200q is not a URL", address)
	}
	switch host := u.Hostname(); {
	case u.Scheme == "https" && host != "":
		return nil
	case u.Scheme == "http" && (host == "localhost" || host == "127.0.0.1" || host == "::1"):
		return nil
	}
	return fmt.Errorf("%.200q must begin with https://: keys that come over an open line could be anybody's", address)
}

// freshFor is how long an answer may be kept, by its Cache-Control (RFC 9111 §5.2.2) and Age, within bounds.
func freshFor(h http.Header) time.Duration {
	age := DefaultAge
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return MinAge
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(n) * time.Second
			}
		}
	}
	if n, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		age -= time.Duration(n) * time.Second
	}
	return min(max(age, MinAge), MaxAge)
}
