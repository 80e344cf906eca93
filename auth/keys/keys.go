package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rebase/auth/jwks"
	"rebase/auth/token"
	"rebase/db"
)

const (
	// MaxLifetime is how long a token may live: that of Firebase's ID tokens and of access tokens.
	MaxLifetime = time.Hour
	// endSlack is for tokens that another replica signs before it hears that the key is retired, and for clocks that differ.
	endSlack = 10 * time.Minute
)

// Options of a Ring.
type Options struct {
	Now func() time.Time // nil: time.Now
}

// Info is what may be told of a key.
type Info struct {
	ID      string    `json:"id"` // "kid" of tokens
	Created time.Time `json:"created"`
	Retired time.Time `json:"retired,omitzero"` // zero: it is the active one
	Ends    time.Time `json:"ends,omitzero"`    // from when on it verifies nothing; zero: it is the active one
}

// Ring is the signing keys of a server. It is safe for concurrent use.
type Ring struct {
	db  *db.DB
	now func() time.Time

	state  atomic.Pointer[state]
	change sync.Mutex // one change at a time is made by this process

	mu        sync.Mutex
	listeners []func(root bool)
}

// state is the keys at one position of the log. It is never changed.
type state struct {
	active *key // nil if there is none yet
	keys   map[string]*key
	root   string // hex SHA-256 of the root secret; "" if there is none
	err    error  // what is stored cannot be read
}

type key struct {
	Info
	private *rsa.PrivateKey
	public  *token.Key
}

// verifies tells whether tokens of the key are believed at that time.
func (k *key) verifies(now time.Time) bool { return k.Ends.IsZero() || now.Before(k.Ends) }

// Open reads the keys from d, and follows their changes.
func Open(_ context.Context, d *db.DB, o Options) (*Ring, error) {
	r := &Ring{db: d, now: o.Now}
	if r.now == nil {
		r.now = time.Now
	}
	d.Watch(Namespace, func(c *db.Change) {
		if concerns(c) {
			before := r.state.Load()
			r.load()
			r.withdrawn(before, r.state.Load())
		}
	})
	d.Barrier(func(uint64) { r.load() })
	return r, r.state.Load().err
}

// OnWithdrawn has f called when the root secret has been replaced, and, with root false, when a signing key has been deleted whose tokens were good. It
// is called on every replica, after the change, on the goroutine that applies changes: f must not block.
func (r *Ring) OnWithdrawn(f func(root bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners = append(r.listeners, f)
}

func (r *Ring) withdrawn(before, after *state) {
	root, keys := before.root != "" && before.root != after.root, false
	for id, k := range before.keys {
		keys = keys || after.keys[id] == nil && k.verifies(r.now())
	}
	r.mu.Lock()
	listeners := slices.Clone(r.listeners)
	r.mu.Unlock()
	for _, f := range listeners {
		if root {
			f(true)
		}
		if keys {
			f(false)
		}
	}
}

// Sign returns a JWT (RS256) of the claims, signed by the active key. The claim "exp", in seconds since 1970, must be there and no further away than MaxLifetime.
func (r *Ring) Sign(claims map[string]any) (token string, err error) { return r.SignAs("JWT", claims) }

// SignAs is Sign with a "typ" in the header, which tells kinds of tokens apart.
func (r *Ring) SignAs(typ string, claims map[string]any) (string, error) {
	exp, err := expiry(claims["exp"])
	if err != nil {
		return "", err
	}
	// A token's dates are whole seconds, and are taken from a clock some time before this.
	if most := r.now().Add(MaxLifetime + time.Minute); exp.After(most) {
		return "", fmt.Errorf(`a token must expire within %s: its "exp" is %s`, MaxLifetime, exp)
	}
	k := r.state.Load().active
	if k == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if k, err = r.first(ctx); err != nil {
			return "", fmt.Errorf("the first signing key cannot be made: %w", err)
		}
	}
	return token.Sign(token.RS256, map[string]any{"kid": k.ID, "typ": typ}, claims, k.private)
}

func expiry(claim any) (time.Time, error) {
	switch v := claim.(type) {
	case int64:
		return time.Unix(v, 0), nil
	case int:
		return time.Unix(int64(v), 0), nil
	case float64:
		return time.Unix(int64(v), 0), nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return time.Unix(n, 0), nil
		}
	}
	return time.Time{}, errors.New(`a token must have an "exp", in seconds since 1970`)
}

// Public returns the public half of a key that still verifies.
func (r *Ring) Public(kid string) (crypto.PublicKey, bool) {
	k := r.state.Load().keys[kid]
	if k == nil || !k.verifies(r.now()) {
		return nil, false
	}
	return &k.private.PublicKey, true
}

// Key is Public in the form that tokens are verified with.
func (r *Ring) Key(kid string) (*token.Key, bool) {
	k := r.state.Load().keys[kid]
	if k == nil || !k.verifies(r.now()) {
		return nil, false
	}
	return k.public, true
}

// JWKS is the JSON Web Key Set (RFC 7517) of the keys that still verify.
func (r *Ring) JWKS() []byte {
	list := []map[string]any{}
	for _, k := range r.sorted() {
		list = append(list, jwks.Publish(k.ID, &k.private.PublicKey))
	}
	text, err := json.Marshal(map[string]any{"keys": list})
	if err != nil { // strings only
		panic(err)
	}
	return text
}

// List returns the keys that still verify, the active one first, then the later retired before the earlier.
func (r *Ring) List() []Info {
	list := []Info{}
	for _, k := range r.sorted() {
		list = append(list, k.Info)
	}
	return list
}

func (r *Ring) sorted() []*key {
	var list []*key
	s, now := r.state.Load(), r.now()
	for _, k := range s.keys {
		if k.verifies(now) {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b *key) int {
		switch {
		case a == s.active:
			return -1
		case b == s.active:
			return 1
		}
		return cmp.Or(b.Retired.Compare(a.Retired), cmp.Compare(a.ID, b.ID))
	})
	return list
}
