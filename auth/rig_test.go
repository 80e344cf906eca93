package auth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rebase/auth/jwks"
	"rebase/auth/keys"
	"rebase/auth/projects"
	"rebase/auth/token"
	"rebase/db"
	"rebase/test/memdb"
)

// claims are those of a token.
type claims map[string]any

// with returns a copy with other values; nil deletes a claim.
func (c claims) with(other claims) claims {
	n := maps.Clone(c)
	for name, v := range other {
		if n[name] = v; v == nil {
			delete(n, name)
		}
	}
	return n
}

// issuer is somebody elsewhere who signs tokens and publishes keys.
type issuer struct {
	key   *rsa.PrivateKey
	kid   string
	asked atomic.Int64
	down  atomic.Bool
	url   string
}

// someKeys are made once: making one takes long.
var someKeys = sync.OnceValue(func() (list []*rsa.PrivateKey) {
	for range 3 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		list = append(list, k)
	}
	return list
})

func newIssuer(t testing.TB, kid string, key *rsa.PrivateKey) *issuer {
	i := &issuer{key: key, kid: kid}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		if i.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.url, i.url+"/keys")
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=19800, must-revalidate")
		text, _ := json.Marshal(map[string]any{"keys": []any{jwks.Publish(i.kid, &i.key.PublicKey)}})
		w.Write(text)
	}))
	t.Cleanup(s.Close)
	i.url = s.URL
	return i
}

func (i *issuer) sign(t testing.TB, c claims) string { return signWith(t, i.key, i.kid, c) }

func signWith(t testing.TB, key crypto.PrivateKey, kid string, c claims) string {
	t.Helper()
	header := map[string]any{}
	if kid != "" {
		header["kid"] = kid
	}
	s, err := token.Sign(token.RS256, header, c, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rig is a server's authority with two projects, "shop" and "blog", and the issuers that shop believes.
type rig struct {
	t         testing.TB
	mu        sync.Mutex
	at        time.Time
	db        *db.DB
	keys      *keys.Ring
	projects  *projects.Registry
	authority *Authority
	users     *revocations

	google, check, corp *issuer
	root                string
	secret, stockSecret projects.Secret
	account, blogOwner  projects.KeyFile
}

// revocations stands for the users.
type revocations struct {
	mu    sync.Mutex
	since map[string]time.Time
}

func (r *revocations) TokenValid(_ context.Context, project, uid string, authTime, issued time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if authTime.Before(r.since[project+"/"+uid]) {
		return invalid("revoked")
	}
	return nil
}

func (r *revocations) revoke(project, uid string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since[project+"/"+uid] = at
}

func (r *rig) now() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.at }

func (r *rig) advance(d time.Duration) { r.mu.Lock(); defer r.mu.Unlock(); r.at = r.at.Add(d) }

func newRig(t testing.TB) *rig {
	r := &rig{t: t, at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), users: &revocations{since: map[string]time.Time{}}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	list := someKeys()
	r.google, r.check, r.corp = newIssuer(t, "google-1", list[0]), newIssuer(t, "check-1", list[1]), newIssuer(t, "corp-1", list[2])
	r.db = memdb.Open(t, r.now)
	var err error
	r.keys, err = keys.Open(t.Context(), r.db, keys.Options{Now: r.now})
	must(err)
	r.projects, err = projects.Open(t.Context(), r.db)
	must(err)
	r.root = keys.NewRootSecret()
	must(r.keys.SetRoot(t.Context(), r.root))
	var account, owner projects.ServiceAccount
	account, r.account, err = projects.NewServiceAccount(r.now(), "shop", "backend", "https://db.example.com")
	must(err)
	owner, r.blogOwner, err = projects.NewServiceAccount(r.now(), "blog", "backend", "https://db.example.com")
	must(err)
	r.secret, r.stockSecret = projects.NewSecret(r.now(), ""), projects.NewSecret(r.now(), "stock")
	must(r.projects.Put(t.Context(), "shop", projects.Config{
		Databases: []string{"stock"}, FirebaseProject: "shop-at-google",
		Issuers: []projects.Issuer{{Name: "corp", Issuer: r.corp.url, Audiences: []string{"shop-app"}}},
		Secrets: []projects.Secret{r.secret, r.stockSecret}, ServiceAccounts: []projects.ServiceAccount{account},
		AppCheck: projects.AppCheck{ProjectNumber: "4711", Required: true, Apps: []string{"1:4711:web:a"}},
	}, ""))
	must(r.projects.Put(t.Context(), "blog", projects.Config{ServiceAccounts: []projects.ServiceAccount{owner}}, ""))
	r.authority, err = New(Options{
		Keys: r.keys, Projects: r.projects, Users: r.users, PublicURL: "https://db.example.com/",
		IDTokenKeys: r.google.url, AppCheckKeys: r.check.url, Now: r.now,
	})
	must(err)
	return r
}

// own is the claims of an ID token of this server.
func (r *rig) own(project string) claims {
	at := r.now().Unix()
	return claims{
		"iss": projects.OwnIssuer + project, "aud": project, "sub": "alice", "user_id": "alice", "auth_time": at - 10, "iat": at, "exp": at + 3600,
		"email": "alice@example.com", "firebase": map[string]any{"sign_in_provider": "password", "identities": map[string]any{}},
	}
}

func (r *rig) signOwn(c claims) string {
	r.t.Helper()
	s, err := r.keys.Sign(c)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) corpClaims() claims {
	at := r.now().Unix()
	return claims{"iss": r.corp.url, "aud": "shop-app", "sub": "42", "iat": at, "exp": at + 300, "groups": []string{"staff"}}
}

// hs256 signs a legacy token.
func hs256(t testing.TB, secret string, c claims) string {
	t.Helper()
	s, err := token.Sign(token.HS256, nil, c, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *rig) legacy() claims {
	return claims{"v": 0, "iat": r.now().Unix(), "d": map[string]any{"uid": "zoe", "role": 7}}
}

// byAccount signs as the holder of a key file does.
func byAccount(t testing.TB, f projects.KeyFile, c claims) string {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return signWith(t, privateKey(t, text), f.PrivateKeyID, c)
}

func (r *rig) assertion(f projects.KeyFile) claims {
	at := r.now().Unix()
	return claims{"iss": f.ClientEmail, "sub": f.ClientEmail, "aud": f.TokenURI, "scope": databaseScopes[0], "iat": at, "exp": at + 3600}
}

func (r *rig) accessTo(f projects.KeyFile) string {
	r.t.Helper()
	at, _, err := r.authority.Exchange(r.t.Context(), byAccount(r.t, f, r.assertion(f)))
	if err != nil {
		r.t.Fatal(err)
	}
	return at
}

// try presents a credential.
func (r *rig) try(ns, cred string) (Identity, error) {
	return r.authority.Authenticate(r.t.Context(), Credential{NS: ns, Token: cred})
}

// refused fails the test unless err is a rejection with that status, and one that does not repeat the credential.
func refused(t testing.TB, err error, status, cred string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Status != status {
		t.Errorf("%v, want %s", err, status)
		return
	}
	for part := range strings.SplitSeq(cred, ".") {
		if len(part) > 16 && strings.Contains(e.Reason, part) {
			t.Errorf("the reason repeats the credential: %s", e.Reason)
		}
	}
}

var b64 = base64.RawURLEncoding

// forge puts a token together from its parts.
func forge(header, body string, sig []byte) string {
	return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(body)) + "." + b64.EncodeToString(sig)
}
