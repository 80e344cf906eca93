package auth

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"testing"
	"time"

	"rebase/auth/projects"
)

func privateKey(t testing.TB, file []byte) any {
	t.Helper()
	var f projects.KeyFile
	if err := json.Unmarshal(file, &f); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(f.PrivateKey))
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Every kind of credential names whom it should, and where.
func TestCredentials(t *testing.T) {
	r := newRig(t)
	now := r.now()
	google := r.own("shop-at-google")
	for _, tc := range []struct {
		name, ns, cred string
		admin          bool
		auth           string // "" for null
		project, uid   string
		expires        time.Time
	}{
		{name: "root secret", ns: "shop", cred: r.root, admin: true},
		{name: "root secret where there is no project", ns: "nowhere", cred: r.root, admin: true},
		{name: "own ID token", ns: "shop", cred: r.signOwn(r.own("shop")), project: "shop", uid: "alice", expires: now.Add(time.Hour),
			auth: `{"uid":"alice","provider":"password","token":{"iss":"https://securetoken.google.com/shop","aud":"shop","sub":"alice","user_id":"alice",` +
				`"auth_time":1795348790,"iat":1795348800,"exp":1795352400,"email":"alice@example.com","firebase":{"identities":{},"sign_in_provider":"password"}}}`},
		{name: "own ID token at another database of the project", ns: "stock", cred: r.signOwn(r.own("shop")), project: "shop", uid: "alice", expires: now.Add(time.Hour), auth: "*"},
		{name: "own ID token at the default database", ns: "shop-default-rtdb", cred: r.signOwn(r.own("shop")), project: "shop", uid: "alice", expires: now.Add(time.Hour), auth: "*"},
		{name: "Google's ID token", ns: "shop", cred: r.google.sign(t, google), project: "shop", uid: "alice", expires: now.Add(time.Hour), auth: "*"},
		{name: "OpenID Connect", ns: "shop", cred: r.corp.sign(t, r.corpClaims().with(claims{"iss": r.corp.url})), project: "shop", uid: "corp:42", expires: now.Add(5 * time.Minute),
			auth: `{"uid":"corp:42","provider":"corp","token":{"iss":"` + r.corp.url + `","aud":"shop-app","sub":"42","iat":1795348800,"exp":1795349100,"groups":["staff"]}}`},
		{name: "OpenID Connect, several audiences", ns: "shop", cred: r.corp.sign(t, r.corpClaims().with(claims{"aud": []string{"x", "shop-app"}, "azp": "shop-app"})), project: "shop", uid: "corp:42", expires: now.Add(5 * time.Minute), auth: "*"},
		{name: "secret", ns: "shop", cred: r.secret.Secret, admin: true, project: "shop"},
		{name: "secret of one database", ns: "stock", cred: r.stockSecret.Secret, admin: true, project: "shop"},
		{name: "legacy token", ns: "shop", cred: hs256(t, r.secret.Secret, r.legacy()), project: "shop", uid: "zoe", expires: now.Add(24 * time.Hour), auth: `{"uid":"zoe","role":7}`},
		{name: "legacy token with an end", ns: "stock", cred: hs256(t, r.stockSecret.Secret, r.legacy().with(claims{"exp": now.Unix() + 60, "debug": true})), project: "shop", uid: "zoe", expires: now.Add(time.Minute), auth: "*"},
		{name: "legacy token of an administrator", ns: "shop", cred: hs256(t, r.secret.Secret, r.legacy().with(claims{"admin": true, "d": nil})), admin: true, project: "shop", expires: now.Add(24 * time.Hour)},
		{name: "access token", ns: "stock", cred: r.accessTo(r.account), admin: true, project: "shop", expires: now.Add(time.Hour)},
		{name: "self-signed, by scope", ns: "shop", cred: byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": nil})), admin: true, project: "shop", expires: now.Add(time.Hour)},
		{name: "self-signed, by audience", ns: "shop", cred: byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": "https://db.example.com/", "scope": nil})), admin: true, project: "shop", expires: now.Add(time.Hour)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for range 2 { // the second time by what is remembered
				id, err := r.try(tc.ns, tc.cred)
				if err != nil {
					t.Fatal(err)
				}
				if id.Admin != tc.admin || id.Project != tc.project || id.UID != tc.uid || !id.Expires.Equal(tc.expires) {
					t.Errorf("%+v", id)
				}
				if tc.auth == "*" && len(id.Auth) > 0 {
					continue
				}
				if !sameJSON(t, string(id.Auth), tc.auth) {
					t.Errorf("auth is %s", id.Auth)
				}
			}
		})
	}
}

func TestUIDPrefix(t *testing.T) {
	r := newRig(t)
	none := ""
	if err := r.projects.Update(t.Context(), "shop", func(c *projects.Config) error { c.Issuers[0].UIDPrefix = &none; return nil }); err != nil {
		t.Fatal(err)
	}
	id, err := r.try("shop", r.corp.sign(t, r.corpClaims()))
	if err != nil || id.UID != "42" {
		t.Errorf("%+v, %v", id, err)
	}
}

// An administrator may act as somebody else, and is then bound by the rules; nobody else may.
func TestOverride(t *testing.T) {
	r := newRig(t)
	bob := json.RawMessage(` {"uid":"bob"} `)
	for name, cred := range map[string]string{"root": r.root, "secret": r.secret.Secret, "access token": r.accessTo(r.account)} {
		for _, tc := range []struct {
			c       Credential
			auth    string
			refused bool
		}{
			{c: Credential{Override: bob}, auth: `{"uid":"bob"}`},
			{c: Credential{Override: json.RawMessage("null")}},
			{c: Credential{Unauthenticated: true}},
			{c: Credential{Override: json.RawMessage(`7`)}, refused: true},
			{c: Credential{Override: json.RawMessage(`{`)}, refused: true},
			{c: Credential{Override: json.RawMessage(``)}, refused: true},
		} {
			tc.c.NS, tc.c.Token, tc.c.Scheme = "shop", cred, Service
			id, err := r.authority.Authenticate(t.Context(), tc.c)
			if tc.refused {
				refused(t, err, StatusInvalidToken, cred)
				continue
			}
			if err != nil || id.Admin || id.UID != "" || !sameJSON(t, string(id.Auth), tc.auth) {
				t.Errorf("%s with %s: %+v, %v", name, tc.c.Override, id, err)
			}
		}
	}
	for name, cred := range map[string]string{
		"own": r.signOwn(r.own("shop")), "google": r.google.sign(t, r.own("shop-at-google")), "corp": r.corp.sign(t, r.corpClaims()),
		"legacy": hs256(t, r.secret.Secret, r.legacy()),
	} {
		for _, scheme := range []Scheme{User, Service} {
			for _, c := range []Credential{{Override: bob}, {Override: json.RawMessage("null")}, {Unauthenticated: true}} {
				c.NS, c.Token, c.Scheme = "shop", cred, scheme
				if _, err := r.authority.Authenticate(t.Context(), c); err == nil {
					t.Errorf("%s acted as %s", name, c.Override)
				} else {
					refused(t, err, StatusInvalidToken, cred)
				}
			}
		}
	}
}

func TestAppCheck(t *testing.T) {
	r := newRig(t)
	at := r.now().Unix()
	good := claims{
		"iss": "https://firebaseappcheck.googleapis.com/4711", "aud": []string{"projects/4711", "projects/shop-at-google"},
		"sub": "1:4711:web:a", "iat": at, "exp": at + 1800,
	}
	if !r.authority.AppCheckRequired("stock") || r.authority.AppCheckRequired("blog") || r.authority.AppCheckRequired("nowhere") {
		t.Error("AppCheckRequired is wrong")
	}
	if until, err := r.authority.CheckApp(t.Context(), "shop", r.check.sign(t, good)); err != nil || until.Unix() != at+1800 {
		t.Errorf("%s, %v", until, err)
	}
	if _, err := r.authority.CheckApp(t.Context(), "blog", "whatever"); err != nil {
		t.Errorf("without App Check: %v", err)
	}
	for name, text := range map[string]string{
		"another number":     r.check.sign(t, good.with(claims{"iss": "https://firebaseappcheck.googleapis.com/4712"})),
		"another audience":   r.check.sign(t, good.with(claims{"aud": []string{"projects/4712"}})),
		"another app":        r.check.sign(t, good.with(claims{"sub": "1:4711:web:b"})),
		"no app":             r.check.sign(t, good.with(claims{"sub": nil})),
		"no end":             r.check.sign(t, good.with(claims{"exp": nil})),
		"another's key":      r.google.sign(t, good),
		"same id, other key": signWith(t, r.google.key, r.check.kid, good),
		"own key":            r.signOwn(good),
		"none":               forge(`{"alg":"none","kid":"check-1"}`, `{"iss":"https://firebaseappcheck.googleapis.com/4711"}`, nil),
		"empty":              "",
	} {
		_, err := r.authority.CheckApp(t.Context(), "shop", text)
		t.Run(name, func(t *testing.T) { refused(t, err, StatusInvalidToken, text) })
	}
	_, err := r.authority.CheckApp(t.Context(), "shop", r.check.sign(t, good.with(claims{"exp": at})))
	refused(t, err, StatusExpiredToken, "")
}

func TestCustomTokens(t *testing.T) {
	r := newRig(t)
	at := r.now().Unix()
	good := claims{
		"iss": r.account.ClientEmail, "sub": r.account.ClientEmail, "aud": customTokenAudience, "iat": at, "exp": at + 3600,
		"uid": "carol", "claims": map[string]any{"level": json.Number("12345678901234567")},
	}
	text := byAccount(t, r.account, good)
	uid, extra, err := r.authority.VerifyCustomToken(t.Context(), "shop", text)
	if err != nil || uid != "carol" {
		t.Fatalf("%q, %v", uid, err)
	}
	if v, _ := json.Marshal(extra); string(v) != `{"level":12345678901234567}` {
		t.Errorf("claims %s", v)
	}
	// The Admin SDKs put no key id into custom tokens.
	file, _ := json.Marshal(r.account)
	if _, _, err := r.authority.VerifyCustomToken(t.Context(), "shop", signWith(t, privateKey(t, file), "", good)); err != nil {
		t.Errorf("without a key id: %v", err)
	}
	for name, c := range map[string]claims{
		"an assertion":     r.assertion(r.account),
		"no uid":           {"uid": nil},
		"a numeric uid":    {"uid": 7},
		"a long uid":       {"uid": string(make([]byte, 129))},
		"reserved claim":   {"claims": map[string]any{"iss": "x"}},
		"claims no object": {"claims": []int{1}},
		"huge claims":      {"claims": map[string]any{"x": string(make([]byte, 1001))}},
		"for a day":        {"exp": at + 86400},
		"for another":      {"sub": "somebody@example.com"},
		"no sub":           {"sub": nil},
		"no exp":           {"exp": nil},
		"future":           {"iat": at + 600, "exp": at + 1200},
	} {
		text := byAccount(t, r.account, good.with(c))
		_, _, err := r.authority.VerifyCustomToken(t.Context(), "shop", text)
		t.Run(name, func(t *testing.T) { refused(t, err, StatusInvalidToken, text) })
	}
	if _, _, err := r.authority.VerifyCustomToken(t.Context(), "blog", text); err == nil {
		t.Error("shop's service account signs people in at blog")
	}
	if _, _, err := r.authority.VerifyCustomToken(t.Context(), "nowhere", text); err == nil {
		t.Error("a project that is not there")
	}
	_, err = r.try("shop", text)
	refused(t, err, StatusInvalidToken, text) // it signs in; it is no ID token and no administrator's token
}

func TestExchange(t *testing.T) {
	r := newRig(t)
	good := r.assertion(r.account)
	for _, aud := range []string{r.account.TokenURI, googleTokenURI, oldGoogleTokenURI} { // as Go and Node, as Python and Java, as it was
		at, lifetime, err := r.authority.Exchange(t.Context(), byAccount(t, r.account, good.with(claims{"aud": aud})))
		if err != nil || lifetime != time.Hour {
			t.Fatal(err)
		}
		if id, err := r.try("shop", at); err != nil || !id.Admin {
			t.Errorf("%+v, %v", id, err)
		}
	}
	for name, text := range map[string]string{
		"for another server":  byAccount(t, r.account, good.with(claims{"aud": "https://evil.example.com" + TokenPath})),
		"for a longer time":   byAccount(t, r.account, good.with(claims{"exp": r.now().Unix() + 7200})),
		"in another's name":   byAccount(t, r.account, good.with(claims{"sub": "root"})),
		"by another account":  byAccount(t, r.blogOwner, good),
		"by nobody's account": byAccount(t, r.account, good.with(claims{"iss": "nobody@example.com"})),
		"no assertion":        "x",
		"a user's token":      r.signOwn(r.own("shop")),
	} {
		_, _, err := r.authority.Exchange(t.Context(), text)
		t.Run(name, func(t *testing.T) { refused(t, err, StatusInvalidToken, text) })
	}
}

// An issuer that cannot be reached is no reason to call a token wrong, nor to believe it.
func TestIssuerIsDown(t *testing.T) {
	r := newRig(t)
	r.google.down.Store(true)
	_, err := r.try("shop", r.google.sign(t, r.own("shop-at-google")))
	if err == nil {
		t.Fatal("believed")
	}
	if _, rejected := err.(*Error); rejected {
		t.Errorf("rejected: %v", err)
	}
	r.google.down.Store(false)
	r.advance(time.Minute)
	if _, err := r.try("shop", r.google.sign(t, r.own("shop-at-google"))); err != nil {
		t.Error(err)
	}
}
