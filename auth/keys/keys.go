package keys

import (
	"context"
	"crypto"
	"errors"
	"time"

	"rebase/db"
)

// Options of a Ring.
type Options struct {
	Now func() time.Time // nil: time.Now
}

// Info is what may be told of a key.
type Info struct {
	ID      string    // "kid"
	Created time.Time //
	Retired time.Time // zero: it is the active one
	Ends    time.Time // from when on it verifies nothing; zero: it is the active one
}

// Ring is the signing keys of a server. It is safe for concurrent use.
type Ring struct{}

// Open reads the keys from d, and makes the first one if there is none.
func Open(ctx context.Context, d *db.DB, o Options) (*Ring, error) {
	return nil, errors.ErrUnsupported
}

// Sign returns a JWT (RS256) of the claims, signed by the active key. The claim "exp" must be there and no further away than MaxLifetime.
func (r *Ring) Sign(claims map[string]any) (token string, err error) {
	return "", errors.ErrUnsupported
}

// Public returns the public half of a key that still verifies.
func (r *Ring) Public(kid string) (crypto.PublicKey, bool) { return nil, false }

// JWKS is the JSON Web Key Set (RFC 7517) of the keys that still verify.
func (r *Ring) JWKS() []byte { return nil }

// List returns the keys, the active one first, then the later retired before the earlier.
func (r *Ring) List() []Info { return nil }

// Rotate makes a new key the active one. The one before it goes on to verify what it has signed.
func (r *Ring) Rotate(ctx context.Context) error { return errors.ErrUnsupported }
