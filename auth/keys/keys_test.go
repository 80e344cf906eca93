package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/auth/jwks"
	"rebase/auth/token"
	"rebase/db"
	"rebase/test/memdb"
	"rebase/tree"
)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

func open(t *testing.T, d *db.DB, c *clock) *Ring {
	t.Helper()
	r, err := Open(t.Context(), d, Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (c *clock) claims() map[string]any {
	return map[string]any{"sub": "alice", "exp": c.now().Add(MaxLifetime).Unix()}
}

func sign(t *testing.T, r *Ring, c *clock) *token.Token {
	t.Helper()
	s, err := r.Sign(c.claims())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := token.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// good tells whether a ring believes a token, and holds the published set against it.
func good(t *testing.T, r *Ring, tok *token.Token) bool {
	t.Helper()
	k, ok := r.Key(tok.KID)
	if set, err := jwks.Parse(r.JWKS()); err == nil {
		if _, published := set.Key(tok.KID, token.RS256); published != ok {
			t.Errorf("the key is published: %t; it is believed: %t", published, ok)
		}
	}
	if _, public := r.Public(tok.KID); public != ok {
		t.Errorf("Public: %t, Key: %t", public, ok)
	}
	return ok && tok.Verify(k) == nil
}

func TestRotationSignsNobodyOut(t *testing.T) {
	c := newClock()
	r := open(t, memdb.Open(t, c.now), c)
	if n := len(r.List()); n != 0 {
		t.Fatalf("%d keys before anything is signed", n)
	}
	before := sign(t, r, c)
	for range 3 { // however often
		if err := r.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	after := sign(t, r, c)
	if before.KID == after.KID {
		t.Fatal("rotation changed nothing")
	}
	list := r.List()
	if len(list) != 4 || list[0].ID != after.KID || !list[0].Ends.IsZero() || list[3].Ends.IsZero() {
		t.Fatalf("%+v", list)
	}
	for _, step := range []struct {
		advance     time.Duration
		before, aft bool
	}{{0, true, true}, {MaxLifetime - time.Second, true, true}, {endSlack + time.Second, false, true}} {
		c.advance(step.advance)
		if good(t, r, before) != step.before || good(t, r, after) != step.aft {
			t.Errorf("after %s: %t, %t", step.advance, good(t, r, before), good(t, r, after))
		}
	}
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := r.List(); len(list) != 2 {
		t.Errorf("ended keys are still there: %+v", list)
	}
	node, err := r.db.Store().Get(Namespace, pathKeys)
	if err != nil || node.NumChildren() != 2 {
		t.Errorf("%d keys are stored, %v", node.NumChildren(), err)
	}
}

// A key that somebody else may have is of no use to anybody at once.
func TestRevoke(t *testing.T) {
	c := newClock()
	r := open(t, memdb.Open(t, c.now), c)
	tok := sign(t, r, c)
	if err := r.Revoke(t.Context(), tok.KID); !errors.Is(err, ErrActive) {
		t.Errorf("the active key: %v", err)
	}
	if err := r.Revoke(t.Context(), "../active"); !errors.Is(err, ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(t.Context(), tok.KID); err != nil {
		t.Fatal(err)
	}
	if good(t, r, tok) || !good(t, r, sign(t, r, c)) || len(r.List()) != 1 {
		t.Error("the wrong key was revoked, or none")
	}
}

// The keys are in the log: a server that has lost its store believes the same tokens.
func TestKeysSurviveAReplay(t *testing.T) {
	c := newClock()
	disk := memdb.NewDisk()
	d, stop := disk.Open(t, c.now)
	r := open(t, d, c)
	retired := sign(t, r, c)
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	active := sign(t, r, c)
	secret := NewRootSecret()
	if err := r.SetRoot(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	stop()
	d, _ = disk.Open(t, c.now)
	again := open(t, d, c)
	if !good(t, again, retired) || !good(t, again, active) || !again.IsRoot(secret) {
		t.Error("a key or the root secret is gone")
	}
	if got := sign(t, again, c); got.KID != active.KID {
		t.Error("another key has become active")
	}
}

// Two rings over one database are two replicas: they make one first key together, and hear of each other's rotations.
func TestReplicas(t *testing.T) {
	c := newClock()
	d := memdb.Open(t, c.now)
	rings := []*Ring{open(t, d, c), open(t, d, c)}
	toks := make([]*token.Token, len(rings))
	var wait sync.WaitGroup
	for i, r := range rings {
		wait.Go(func() { toks[i] = sign(t, r, c) })
	}
	wait.Wait()
	if toks[0].KID != toks[1].KID {
		t.Error("two first keys")
	}
	if err := rings[1].Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sign(t, rings[0], c).KID == toks[0].KID || !good(t, rings[0], toks[1]) {
		t.Error("the other ring did not hear of the rotation")
	}
}

func TestSignBoundsLifetimes(t *testing.T) {
	c := newClock()
	r := open(t, memdb.Open(t, c.now), c)
	for _, exp := range []any{nil, "1", c.now().Add(MaxLifetime + 2*time.Minute).Unix(), float64(1e18), json.Number("1e400")} {
		if s, err := r.Sign(map[string]any{"exp": exp}); err == nil {
			t.Errorf("exp %v was signed: %.20s", exp, s)
		}
	}
	for _, exp := range []any{c.now().Unix() + 60, int(c.now().Unix()) + 60, float64(c.now().Unix() + 60), json.Number(fmt.Sprint(c.now().Unix() + 60))} {
		if _, err := r.Sign(map[string]any{"exp": exp}); err != nil {
			t.Errorf("exp %v: %v", exp, err)
		}
	}
}

func TestRootSecret(t *testing.T) {
	c := newClock()
	r := open(t, memdb.Open(t, c.now), c)
	if r.HasRoot() || r.IsRoot("") {
		t.Error("there is a root secret from the start")
	}
	if r.SetRoot(t.Context(), "short") == nil {
		t.Error("a short secret was taken")
	}
	secret := NewRootSecret()
	if err := r.SetRoot(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if !r.HasRoot() || !r.IsRoot(secret) || r.IsRoot(secret+"x") || r.IsRoot(secret[1:]) || r.IsRoot(NewRootSecret()) {
		t.Error("IsRoot is wrong")
	}
	node, err := r.db.Store().Get(Namespace, "")
	if err != nil {
		t.Fatal(err)
	}
	if text := tree.AppendExport(nil, node); strings.Contains(string(text), secret[len(RootPrefix):]) {
		t.Error("the secret itself is stored")
	}
}

// A record that cannot be read leaves in force what was read before, and stops the next start.
func TestDamagedRecord(t *testing.T) {
	c := newClock()
	d := memdb.Open(t, c.now)
	r := open(t, d, c)
	tok := sign(t, r, c)
	if err := d.Do(t.Context(), &db.Op{Kind: db.OpSet, NS: Namespace, Path: pathKeys.Child("bad"), Value: tree.NewString("{")}).Err; err != nil {
		t.Fatal(err)
	}
	if !good(t, r, tok) {
		t.Error("the good key is gone")
	}
	if r.Rotate(t.Context()) == nil {
		t.Error("rotation over a damaged record")
	}
	if _, err := Open(t.Context(), d, Options{}); err == nil {
		t.Error("opened")
	}
}
