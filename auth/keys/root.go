package keys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"

	"rebase/db"
	"rebase/tree"
)

// RootPrefix begins every root secret, so that people and scanners know one when they see it.
const RootPrefix = "rebase_root_"

// NewRootSecret returns a new root secret: 256 random bits.
func NewRootSecret() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return RootPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// HasRoot tells whether there is a root secret.
func (r *Ring) HasRoot() bool { return r.state.Load().root != "" }

// SetRoot makes secret the root secret, in place of the one that there may be. Only its hash is stored. It has so much randomness that
// a slow hash would add nothing.
func (r *Ring) SetRoot(ctx context.Context, secret string) error {
	if len(secret) < len(RootPrefix)+43 {
		return errors.New("that is no root secret: it is too short")
	}
	sum := sha256.Sum256([]byte(secret))
	return r.db.Do(ctx, &db.Op{Kind: db.OpSet, NS: Namespace, Path: pathRoot, Value: tree.NewString(hex.EncodeToString(sum[:]))}).Err
}

// IsRoot tells whether secret is the root secret, in a time that does not depend on how much of it is right.
func (r *Ring) IsRoot(secret string) bool {
	root := r.state.Load().root
	sum := sha256.Sum256([]byte(secret))
	return root != "" && subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(root)) == 1
}
