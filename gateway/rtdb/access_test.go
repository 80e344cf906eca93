package rtdb

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/auth"
	"rebase/db"
)

// guard is an Authenticator and AppChecker for tests: "NAME@SECONDS" is the user NAME for so long, "admin" an admin, "app" a token of an
// app, "later" one that nobody can check at the moment, and everything else is rejected.
type guard struct {
	mu       sync.Mutex
	required bool
}

var issued = time.Unix(1_000_000, 0)

func (g *guard) Authenticate(_ context.Context, c auth.Credential) (auth.Identity, error) {
	name, seconds, ok := strings.Cut(c.Token, "@")
	switch {
	case c.Token == "later":
		return auth.Identity{}, errors.New("the keys cannot be fetched")
	case c.Token == "admin":
		return auth.Identity{Admin: true, Project: "p"}, nil
	case !ok:
		return auth.Identity{}, &auth.Error{Status: auth.StatusExpiredToken, Reason: "it has expired"}
	}
	id := auth.Identity{Auth: json.RawMessage(`{"uid":"` + name + `"}`), Project: "p", UID: name, Issued: issued}
	if d, err := time.ParseDuration(seconds); err == nil {
		id.Expires = time.Now().Add(d)
	}
	return id, nil
}

func (g *guard) CheckApp(_ context.Context, _, token string) (time.Time, error) {
	if token != "app" {
		return time.Time{}, &auth.Error{Status: auth.StatusInvalidToken, Reason: "no app"}
	}
	return time.Time{}, nil
}

func (g *guard) AppCheckRequired(string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.required
}

func (r *rig) rules(text string) {
	r.t.Helper()
	if res := r.db.Do(r.t.Context(), &db.Op{Kind: db.OpSetRules, NS: "test", Rules: []byte(text), Caller: db.Root}); res.Err != nil {
		r.t.Fatal(res.Err)
	}
}

// status asks, and returns how the answer begins; pushes before it are left out.
func (p *peer) status(action, body string) string {
	p.t.Helper()
	n := p.request(action, body)
	for {
		var m struct {
			D struct {
				R int
				B struct{ S string }
			}
		}
		if err := json.Unmarshal([]byte(p.read()), &m); err != nil {
			p.t.Fatal(err)
		}
		if m.D.R == n {
			return m.D.B.S
		}
	}
}

func (p *peer) wantStatus(want, action, body string) {
	p.t.Helper()
	if got := p.status(action, body); got != want {
		p.t.Errorf("%s %s: %s, want %s", action, body, got, want)
	}
}

func closed(o *Options) { o.Authenticator = &guard{} }

const ownRules = `{"rules":{"own":{"$uid":{".read":"auth.uid == $uid",".write":"auth.uid == $uid"}},"any":{".read":"auth != null",".write":true}}}`

func TestAClosedServerLetsNobodyInWithoutRules(t *testing.T) {
	r := newRig(t, closed)
	p := r.dial()
	p.wantStatus("permission_denied", "q", `{"p":"/","h":""}`)
	p.wantStatus("permission_denied", "p", `{"p":"/a","d":1}`)
	p.wantStatus("ok", "auth", `{"cred":"ann@"}`)
	p.wantStatus("permission_denied", "g", `{"p":"/a","q":{}}`)
	p.wantStatus("ok", "gauth", `{"cred":"admin"}`)
	p.wantStatus("ok", "p", `{"p":"/a","d":1}`)
	p.wantStatus("ok", "g", `{"p":"/a","q":{}}`)
}

func TestCredentialsOfAConnection(t *testing.T) {
	r := newRig(t, closed)
	r.rules(ownRules)
	p := r.dial()
	p.wantStatus("ok", "auth", `{"cred":"ann@"}`)
	p.wantStatus("ok", "q", `{"p":"/own/ann","h":""}`)
	p.wantStatus("ok", "q", `{"p":"/own/ann","q":{"l":2,"vf":"l"},"t":7,"h":""}`)
	p.wantStatus("permission_denied", "q", `{"p":"/own/bob","h":""}`)
	// What is rejected, or cannot be checked, leaves things as they are.
	p.wantStatus("expired_token", "auth", `{"cred":"old"}`)
	p.wantStatus("unavailable", "auth", `{"cred":"later"}`)
	p.wantStatus("ok", "p", `{"p":"/own/ann","d":1}`)

	n := p.request("auth", `{"cred":"bob@"}`)
	for range 2 { // the revocations, in any order, the query's in an array
		switch got := p.read(); got {
		case `{"t":"d","d":{"a":"c","b":{"p":"own/ann"}}}`, `{"t":"d","d":{"a":"c","b":{"p":"own/ann","q":[{"l":2,"vf":"l"}]}}}`:
		default:
			t.Errorf("got %s", got)
		}
	}
	p.expect(answerText(n, "ok", `{"auth":{"uid":"bob"}}`))
	r.set("own/ann", "2")
	p.wantStatus("permission_denied", "p", `{"p":"/own/ann","d":1}`)
	p.wantStatus("ok", "q", `{"p":"/own/bob","h":""}`)
	n = p.request("unauth", `{}`)
	p.expect(`{"t":"d","d":{"a":"c","b":{"p":"own/bob"}}}`, answerText(n, "ok", `"unauthenticated"`))
	p.wantStatus("permission_denied", "q", `{"p":"/any","h":""}`)
}

func TestACredentialExpires(t *testing.T) {
	r := newRig(t, closed)
	r.rules(ownRules)
	p := r.dial()
	p.wantStatus("ok", "auth", `{"cred":"ann@1h"}`)
	p.wantStatus("ok", "auth", `{"cred":"ann@300ms"}`) // the last one counts
	p.wantStatus("ok", "q", `{"p":"/own/ann","h":""}`)
	p.expect(`{"t":"d","d":{"a":"ac","b":{"s":"expired_token","d":"Auth token is expired."}}}`, `{"t":"d","d":{"a":"c","b":{"p":"own/ann"}}}`)
	p.wantStatus("permission_denied", "p", `{"p":"/own/ann","d":1}`)
	p.wantStatus("ok", "auth", `{"cred":"ann@1h"}`)
	p.wantStatus("ok", "p", `{"p":"/own/ann","d":1}`)
}

func TestACredentialIsRevoked(t *testing.T) {
	r := newRig(t, closed)
	r.rules(ownRules)
	ann, bob, admin := r.dial(), r.dial(), r.dial()
	ann.wantStatus("ok", "auth", `{"cred":"ann@"}`)
	bob.wantStatus("ok", "auth", `{"cred":"bob@"}`)
	admin.wantStatus("ok", "gauth", `{"cred":"admin"}`)
	r.srv.Revoke("p", "ann", issued) // issued then, not before
	r.srv.Revoke("other", "ann", issued.Add(time.Second))
	ann.wantStatus("ok", "p", `{"p":"/own/ann","d":1}`)
	r.srv.Revoke("p", "ann", issued.Add(time.Second))
	ann.expect(`{"t":"d","d":{"a":"ac","b":{"s":"invalid_token","d":"The credential is no longer valid."}}}`)
	ann.wantStatus("permission_denied", "p", `{"p":"/own/ann","d":1}`)
	bob.wantStatus("ok", "p", `{"p":"/own/bob","d":1}`)
	admin.wantStatus("ok", "p", `{"p":"/own/bob","d":1}`)
	r.srv.RevokeIf(func(id auth.Identity) bool { return id.Project == "p" && id.UID == "" })
	admin.expect(`{"t":"d","d":{"a":"ac","b":{"s":"invalid_token","d":"The credential is no longer valid."}}}`)
	admin.wantStatus("permission_denied", "p", `{"p":"/own/bob","d":1}`)
	bob.wantStatus("ok", "p", `{"p":"/own/bob","d":1}`)
}

func TestAppCheck(t *testing.T) {
	g := &guard{}
	r := newRig(t, func(o *Options) { o.Authenticator, o.AppChecker = g, g })
	r.rules(ownRules)
	p := r.dial()
	p.wantStatus("ok", "p", `{"p":"/any","d":1}`) // not required
	p.wantStatus("invalid_token", "appcheck", `{"token":"false"}`)
	g.mu.Lock()
	g.required = true
	g.mu.Unlock()
	for _, ask := range [][2]string{{"p", `{"p":"/any","d":1}`}, {"q", `{"p":"/any","h":""}`}, {"g", `{"p":"/any","q":{}}`}, {"om", `{"p":"/any","d":{"a":1}}`}} {
		p.wantStatus("permission_denied", ask[0], ask[1])
	}
	p.wantStatus("ok", "appcheck", `{"token":"app"}`)
	p.wantStatus("ok", "p", `{"p":"/any","d":1}`)
	p.wantStatus("ok", "unappeck", `{}`)
	p.wantStatus("permission_denied", "p", `{"p":"/any","d":1}`)
	p.wantStatus("ok", "gauth", `{"cred":"admin"}`) // needs none
	p.wantStatus("ok", "p", `{"p":"/any","d":1}`)

	inURL := r.dial("&ac=app")
	inURL.wantStatus("ok", "p", `{"p":"/any","d":1}`)
	wrong := r.dial("&ac=%zz")
	wrong.wantStatus("permission_denied", "p", `{"p":"/any","d":1}`)
}

// late withdraws a credential right after it has been checked.
type late struct {
	guard
	then func()
	left int
}

func (l *late) Authenticate(ctx context.Context, c auth.Credential) (auth.Identity, error) {
	id, err := l.guard.Authenticate(ctx, c)
	if l.left--; l.left == 0 {
		l.then()
	} else if l.left < 0 {
		return auth.Identity{}, &auth.Error{Status: auth.StatusInvalidToken, Reason: "it has been revoked"}
	}
	return id, err
}

// TestACredentialIsRevokedWhileItIsTaken: a revocation that falls between the check and its effect is not lost.
func TestACredentialIsRevokedWhileItIsTaken(t *testing.T) {
	l := &late{left: 1}
	r := newRig(t, func(o *Options) { o.Authenticator = l })
	r.rules(ownRules)
	l.then = func() { r.srv.Revoke("p", "ann", issued.Add(time.Second)) }
	p := r.dial()
	p.wantStatus("invalid_token", "auth", `{"cred":"ann@"}`)
	p.wantStatus("permission_denied", "p", `{"p":"/own/ann","d":1}`)
}

// TestNothingIsLeftOfCredentials: a timer that waits for the end of a token does not outlive its connection.
func TestNothingIsLeftOfCredentials(t *testing.T) {
	r := newRig(t, closed)
	p := r.dial()
	p.wantStatus("ok", "auth", `{"cred":"ann@50ms"}`)
	p.conn.CloseNow()
	waitFor(t, "the session ends", func() bool { return r.srv.Clients() == 0 })
	time.Sleep(100 * time.Millisecond)
}
