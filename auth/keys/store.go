package keys

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rebase/auth/token"
	"rebase/db"
	"rebase/tree"
)

// Namespace is the system database that holds what the server knows of authentication.
const Namespace = "_auth"

// Where the keys are in it:
//
//	keys/active         the id of the key that signs
//	keys/signing/<id>   record, as JSON
//	keys/root           hex SHA-256 of the root secret
const (
	top        tree.Path = "keys"
	pathActive           = top + "/active"
	pathKeys             = top + "/signing"
	pathRoot             = top + "/root"
)

// record is a key as it is stored. Times are milliseconds since 1970.
type record struct {
	Alg     string `json:"alg"`
	PKCS8   []byte `json:"pkcs8"`
	Created int64  `json:"created"`
	Retired int64  `json:"retired,omitempty"`
	Ends    int64  `json:"ends,omitempty"`
}

const bits = 2048

func concerns(c *db.Change) bool {
	for i := range c.Updates {
		if p := c.Base.Join(c.Updates[i].Path); top.Contains(p) || p.Contains(top) {
			return true
		}
	}
	return false
}

// load reads the keys anew. It runs under the database's barrier. A key that is in memory is not read again, since
// checking that it is one takes long.
func (r *Ring) load() {
	s := &state{keys: map[string]*key{}}
	node, err := r.db.Store().Get(Namespace, top)
	if err == nil {
		err = s.read(node, r.state.Load())
	}
	if err != nil {
		// What was read before stays in force, if there is anything.
		s.err = fmt.Errorf("the signing keys cannot be read: %w", err)
		if old := r.state.Load(); old != nil {
			kept := *old
			kept.err = s.err
			s = &kept
		}
	}
	r.state.Store(s)
}

func (s *state) read(node *tree.Node, old *state) error {
	s.root = node.At("root").Str()
	active := node.At("active").Str()
	for _, c := range node.At("signing").Children() {
		id, n := c.Key, c.Node
		var rec record
		if err := json.Unmarshal([]byte(n.Str()), &rec); err != nil {
			return fmt.Errorf("key %.8s: %w", id, err)
		}
		if rec.Alg != token.RS256 {
			return fmt.Errorf("key %.8s is for %q, which this version does not know", id, rec.Alg)
		}
		k := &key{Info: Info{ID: id, Created: at(rec.Created), Retired: at(rec.Retired), Ends: at(rec.Ends)}}
		if old != nil && old.keys[id] != nil {
			k.private, k.public = old.keys[id].private, old.keys[id].public
		} else if err := k.parse(rec.PKCS8); err != nil {
			return fmt.Errorf("key %.8s: %w", id, err)
		}
		s.keys[id] = k
		if id == active {
			s.active = k
		}
	}
	if active != "" && s.active == nil {
		return errors.New("the active one is missing")
	}
	return nil
}

func (k *key) parse(pkcs8 []byte) error {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return err
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return errors.New("it is no RSA key")
	}
	k.private = private
	k.public, err = token.PublicKey(token.RS256, &private.PublicKey)
	return err
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// first makes the first key, unless somebody else has.
func (r *Ring) first(ctx context.Context) (*key, error) {
	r.change.Lock()
	defer r.change.Unlock()
	for {
		s := r.state.Load()
		if s.active != nil || s.err != nil {
			return s.active, s.err
		}
		if err := r.activate(ctx, s); err != nil && !errors.Is(err, db.ErrStale) {
			return nil, err
		}
	}
}

// Rotate makes a new key the active one. The one before it goes on to verify what it has signed. Keys that have ended are deleted.
func (r *Ring) Rotate(ctx context.Context) error {
	r.change.Lock()
	defer r.change.Unlock()
	s := r.state.Load()
	if s.err != nil {
		return s.err
	}
	err := r.activate(ctx, s)
	if errors.Is(err, db.ErrStale) {
		return errors.New("another replica rotates the keys at this moment")
	}
	return err
}

// ErrActive: the key is the one that signs.
var ErrActive = errors.New("that is the key that signs: rotate the keys first")

// ErrNoKey: there is no key of that id.
var ErrNoKey = errors.New("there is no key of that id")

// Revoke deletes a retired key before its time, because somebody else may have it. Whatever it has signed is void at once.
func (r *Ring) Revoke(ctx context.Context, kid string) error {
	r.change.Lock()
	defer r.change.Unlock()
	s := r.state.Load()
	switch {
	case s.keys[kid] == nil:
		return ErrNoKey
	case s.keys[kid] == s.active:
		return ErrActive
	}
	// A key never becomes the active one again; the condition is for a state that is not known here yet.
	active := db.Condition{Path: pathActive, Hash: tree.Hash(tree.NewString(s.active.ID))}
	return r.db.Do(ctx, &db.Op{Kind: db.OpSet, NS: Namespace, Path: pathKeys.Child(kid), If: []db.Condition{active}}).Err
}

// activate replaces the active key of s by a new one.
func (r *Ring) activate(ctx context.Context, s *state) error {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return err
	}
	id := make([]byte, 16)
	rand.Read(id) // never fails
	kid := hex.EncodeToString(id)
	now := r.now()
	neu, err := (&key{Info: Info{ID: kid, Created: now}, private: private}).record()
	if err != nil {
		return err
	}
	updates := []db.Update{
		{Path: pathActive, Value: tree.NewString(kid)},
		{Path: pathKeys.Child(kid), Value: neu},
	}
	condition := db.Condition{Path: pathActive}
	for id, k := range s.keys {
		switch {
		case k == s.active:
			condition.Hash = tree.Hash(tree.NewString(id))
			old := *k
			old.Retired, old.Ends = now, now.Add(MaxLifetime+endSlack)
			rec, err := old.record()
			if err != nil {
				return err
			}
			updates = append(updates, db.Update{Path: pathKeys.Child(id), Value: rec})
		case !k.verifies(now):
			updates = append(updates, db.Update{Path: pathKeys.Child(id)})
		}
	}
	return r.db.Do(ctx, &db.Op{Kind: db.OpMerge, NS: Namespace, Updates: updates, If: []db.Condition{condition}}).Err
}

func (k *key) record() (*tree.Node, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, err
	}
	ms := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixMilli()
	}
	text, err := json.Marshal(record{Alg: token.RS256, PKCS8: der, Created: ms(k.Created), Retired: ms(k.Retired), Ends: ms(k.Ends)})
	return tree.NewString(string(text)), err
}
