package auth

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/auth/jwks"
	"rebase/auth/keys"
	"rebase/auth/projects"
	"rebase/auth/token"
)

// everywhere tries a credential at all databases and by all means, and wants it refused.
func (r *rig) everywhere(t *testing.T, status, cred string) {
	t.Helper()
	for _, ns := range []string{"shop", "stock", "shop-default-rtdb"} {
		for _, scheme := range []Scheme{User, Service} {
			id, err := r.authority.Authenticate(t.Context(), Credential{NS: ns, Scheme: scheme, Token: cred})
			if err == nil {
				t.Errorf("%s: believed: %+v", ns, id)
				continue
			}
			refused(t, err, status, cred)
		}
	}
}

// The public key of an issuer is known to everyone. Whoever takes it for a shared secret must fail, in whatever form it is written.
func TestAttackAlgorithmConfusion(t *testing.T) {
	r := newRig(t)
	signed, err := token.Parse(r.signOwn(r.own("shop")))
	if err != nil {
		t.Fatal(err)
	}
	ownKey, _ := r.keys.Public(signed.KID)
	for _, target := range []struct {
		name, kid string
		pub       *rsa.PublicKey
		c         claims
	}{
		{"own", signed.KID, ownKey.(*rsa.PublicKey), r.own("shop")},
		{"google", r.google.kid, &r.google.key.PublicKey, r.own("shop-at-google")},
		{"corp", r.corp.kid, &r.corp.key.PublicKey, r.corpClaims()},
	} {
		pkix, _ := x509.MarshalPKIXPublicKey(target.pub)
		pkcs1 := x509.MarshalPKCS1PublicKey(target.pub)
		jwk, _ := json.Marshal(jwks.Publish(target.kid, target.pub))
		for form, secret := range map[string][]byte{
			"pkix der": pkix, "pkcs1 der": pkcs1, "jwk": jwk, "modulus": target.pub.N.Bytes(), "empty": {},
			"pkix pem":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}),
			"pkcs1 pem": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		} {
			for _, legacy := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/legacy=%t", target.name, form, legacy), func(t *testing.T) {
					c := target.c
					if legacy {
						c = c.with(claims{"v": 0, "d": map[string]any{"uid": "eve"}, "admin": true})
					}
					body, _ := json.Marshal(c)
					s := forge(`{"alg":"HS256","typ":"JWT","kid":"`+target.kid+`"}`, string(body), nil)
					mac := hmac.New(sha256.New, secret)
					mac.Write([]byte(strings.TrimSuffix(s, ".")))
					r.everywhere(t, StatusInvalidToken, s+b64.EncodeToString(mac.Sum(nil)))
				})
			}
		}
	}
	// The other way round: a key that is for RS256 verifies nothing else, though it could.
	for _, alg := range []string{"RS384", "RS512", "PS256", "PS384", "PS512"} {
		s, err := token.Sign(alg, map[string]any{"kid": r.google.kid}, r.own("shop-at-google"), r.google.key)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(alg, func(t *testing.T) { r.everywhere(t, StatusInvalidToken, s) })
	}
	for _, alg := range []string{"HS384", "HS512"} {
		s, err := token.Sign(alg, nil, r.legacy(), []byte(r.secret.Secret))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(alg, func(t *testing.T) { r.everywhere(t, StatusInvalidToken, s) })
	}
}

func TestAttackUnsigned(t *testing.T) {
	r := newRig(t)
	for _, c := range []claims{r.own("shop"), r.own("shop-at-google"), r.corpClaims(), r.legacy().with(claims{"admin": true}), r.assertion(r.account).with(claims{"aud": nil})} {
		body, _ := json.Marshal(c)
		for _, alg := range []string{`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"none "`, `""`, `null`, `["RS256"]`, `{"RS256":1}`, `0`, `"rs256"`, `"hs256"`, `"RS256\u0000"`} {
			for _, kid := range []string{"", `,"kid":"google-1"`} {
				for _, sig := range [][]byte{nil, []byte("x")} {
					r.everywhere(t, StatusInvalidToken, forge(`{"alg":`+alg+kid+`,"typ":"JWT"}`, string(body), sig))
				}
			}
		}
		r.everywhere(t, StatusInvalidToken, forge(`{"typ":"JWT"}`, string(body), nil))
	}
	r.everywhere(t, StatusInvalidToken, Owner)
}

func TestAttackSignatures(t *testing.T) {
	r := newRig(t)
	for name, good := range map[string]string{
		"own": r.signOwn(r.own("shop")), "google": r.google.sign(t, r.own("shop-at-google")), "corp": r.corp.sign(t, r.corpClaims()),
		"legacy": hs256(t, r.secret.Secret, r.legacy()), "account": byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": nil})),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := r.try("shop", good); err != nil {
				t.Fatal(err) // what follows would prove nothing
			}
			parts := strings.Split(good, ".")
			sig, _ := b64.DecodeString(parts[2])
			flipped := append([]byte(nil), sig...)
			flipped[0] ^= 1
			body, _ := b64.DecodeString(parts[1])
			other := strings.Replace(strings.Replace(string(body), "alice", "admin", 1), "zoe", "eve", 1)
			for what, bad := range map[string]string{
				"empty signature":      parts[0] + "." + parts[1] + ".",
				"no signature":         parts[0] + "." + parts[1],
				"flipped":              parts[0] + "." + parts[1] + "." + b64.EncodeToString(flipped),
				"zeros":                parts[0] + "." + parts[1] + "." + b64.EncodeToString(make([]byte, len(sig))),
				"shortened":            parts[0] + "." + parts[1] + "." + b64.EncodeToString(sig[1:]),
				"lengthened":           parts[0] + "." + parts[1] + "." + b64.EncodeToString(append([]byte{0}, sig...)),
				"padded":               good + "=",
				"line break":           good + "\n",
				"line break inside":    parts[0] + "." + parts[1] + "\n." + parts[2],
				"other alphabet":       parts[0] + "." + parts[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]) + "+",
				"fourth part":          good + ".x",
				"other claims":         parts[0] + "." + b64.EncodeToString([]byte(other+" ")) + "." + parts[2],
				"claims not canonical": parts[0] + "." + parts[1] + "A." + parts[2],
			} {
				t.Run(what, func(t *testing.T) { r.everywhere(t, StatusInvalidToken, bad) })
			}
		})
	}
	// Bits behind the end of base64 must be zero, else a token has many spellings.
	parts := strings.Split(hs256(t, r.secret.Secret, r.legacy()), ".")
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", parts[2][len(parts[2])-1])
	respelt := parts[2][:len(parts[2])-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])
	r.everywhere(t, StatusInvalidToken, parts[0]+"."+parts[1]+"."+respelt)
}

func TestAttackTimes(t *testing.T) {
	r := newRig(t)
	at := r.now().Unix()
	sign := map[string]struct {
		sign func(claims) string
		c    claims
	}{
		"own":     {r.signOwn, r.own("shop")},
		"google":  {func(c claims) string { return r.google.sign(t, c) }, r.own("shop-at-google")},
		"corp":    {func(c claims) string { return r.corp.sign(t, c) }, r.corpClaims()},
		"legacy":  {func(c claims) string { return hs256(t, r.secret.Secret, c) }, r.legacy()},
		"account": {func(c claims) string { return byAccount(t, r.account, c) }, r.assertion(r.account).with(claims{"aud": nil})},
	}
	for name, s := range sign {
		for _, tc := range []struct {
			what   string
			c      claims
			status string
		}{
			{"expired just now", claims{"iat": at - 3000, "exp": at}, StatusExpiredToken},
			{"expired long ago", claims{"iat": 1, "exp": 3600, "auth_time": 1}, StatusExpiredToken},
			{"issued in the future", claims{"iat": at + 120, "exp": at + 1000}, StatusInvalidToken},
			{"not yet", claims{"nbf": at + 120}, StatusInvalidToken},
			{"authenticated in the future", claims{"auth_time": at + 120}, StatusInvalidToken},
			{"dates as text", claims{"iat": fmt.Sprint(at)}, StatusInvalidToken},
			{"negative", claims{"iat": -5}, StatusInvalidToken},
			{"no date", claims{"iat": true}, StatusInvalidToken},
			{"null", claims{"nbf": json.RawMessage("null")}, StatusInvalidToken},
			{"far future", claims{"nbf": json.RawMessage("1e300")}, StatusInvalidToken},
			{"beyond numbers", claims{"nbf": json.RawMessage("1e999")}, StatusInvalidToken},
			{"no iat", claims{"iat": nil}, StatusInvalidToken},
		} {
			t.Run(name+"/"+tc.what, func(t *testing.T) { r.everywhere(t, tc.status, s.sign(s.c.with(tc.c))) })
		}
		// A clock that is a little ahead is forgiven.
		if _, err := r.try("shop", s.sign(s.c.with(claims{"iat": at + 30, "nbf": at + 30}))); err != nil {
			t.Errorf("%s: a small skew: %v", name, err)
		}
		if name != "legacy" && name != "own" { // our own are never signed without
			r.everywhere(t, StatusInvalidToken, s.sign(s.c.with(claims{"exp": nil})))
		}
		for _, exp := range []any{json.RawMessage("1e300"), json.RawMessage("-1"), "soon", json.RawMessage("null")} {
			if name != "own" {
				r.everywhere(t, StatusInvalidToken, s.sign(s.c.with(claims{"exp": exp})))
			}
		}
	}
	// What is remembered of a token does not outlive it.
	cred := r.signOwn(r.own("shop"))
	if _, err := r.try("shop", cred); err != nil {
		t.Fatal(err)
	}
	r.advance(time.Hour)
	r.everywhere(t, StatusExpiredToken, cred)
	// What a service account signs for itself is for an hour at most.
	r.everywhere(t, StatusInvalidToken, byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": nil, "exp": r.now().Unix() + 86400})))
}

func TestAttackAudienceAndIssuer(t *testing.T) {
	r := newRig(t)
	for name, cred := range map[string]string{
		"own, no audience":            r.signOwn(r.own("shop").with(claims{"aud": nil})),
		"own, other audience":         r.signOwn(r.own("shop").with(claims{"aud": "blog"})),
		"own, list of audiences":      r.signOwn(r.own("shop").with(claims{"aud": []string{"shop", "x"}})),
		"own, audience in other case": r.signOwn(r.own("shop").with(claims{"aud": "Shop"})),
		"own, issuer with a slash":    r.signOwn(r.own("shop").with(claims{"iss": projects.OwnIssuer + "shop/"})),
		"own, issuer with a space":    r.signOwn(r.own("shop").with(claims{"iss": projects.OwnIssuer + "shop "})),
		"own, plain issuer":           r.signOwn(r.own("shop").with(claims{"iss": "http://securetoken.google.com/shop"})),
		"own, no issuer":              r.signOwn(r.own("shop").with(claims{"iss": nil})),
		"own, list of issuers":        r.signOwn(r.own("shop").with(claims{"iss": []string{projects.OwnIssuer + "shop"}})),
		"own, in the name of Google":  r.signOwn(r.own("shop-at-google")),
		"Google, other project":       r.google.sign(t, r.own("somebody-else")),
		// Whoever has the project "shop" at Google is not who has it here.
		"Google, our name":            r.google.sign(t, r.own("shop")),
		"Google, other audience":      r.google.sign(t, r.own("shop-at-google").with(claims{"aud": "shop"})),
		"corp, other app":             r.corp.sign(t, r.corpClaims().with(claims{"aud": "another-app"})),
		"corp, no audience":           r.corp.sign(t, r.corpClaims().with(claims{"aud": nil})),
		"corp, empty audience":        r.corp.sign(t, r.corpClaims().with(claims{"aud": ""})),
		"corp, audience in a map":     r.corp.sign(t, r.corpClaims().with(claims{"aud": map[string]any{"shop-app": 1}})),
		"corp, for another party":     r.corp.sign(t, r.corpClaims().with(claims{"aud": []string{"shop-app", "x"}, "azp": "x"})),
		"corp, issuer with a slash":   r.corp.sign(t, r.corpClaims().with(claims{"iss": r.corp.url + "/"})),
		"corp, in our name":           r.corp.sign(t, r.own("shop")),
		"corp, in the name of Google": r.corp.sign(t, r.own("shop-at-google")),
		"Google, in the name of corp": r.google.sign(t, r.corpClaims()),
		"unknown issuer":              r.corp.sign(t, r.corpClaims().with(claims{"iss": "https://login.example.com"})),
		"issuer on this machine":      r.corp.sign(t, r.corpClaims().with(claims{"iss": "http://127.0.0.1:1"})),
		"account, as assertion":       byAccount(t, r.account, r.assertion(r.account)),
		"account, no scope":           byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": nil, "scope": nil})),
		"account, other scope":        byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": nil, "scope": "https://www.googleapis.com/auth/devstorage.read_only"})),
		"account, other server":       byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": "https://evil.example.com/"})),
		"account, as somebody":        byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": nil, "sub": "root@example.com"})),
		"account, as nobody":          byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": nil, "sub": nil})),
	} {
		t.Run(name, func(t *testing.T) { r.everywhere(t, StatusInvalidToken, cred) })
	}
}

func TestAttackSubjects(t *testing.T) {
	r := newRig(t)
	for _, sub := range []any{nil, "", strings.Repeat("x", 129), 7, true, []string{"alice"}, map[string]any{"uid": "alice"}, json.RawMessage("null")} {
		r.everywhere(t, StatusInvalidToken, r.signOwn(r.own("shop").with(claims{"sub": sub})))
		r.everywhere(t, StatusInvalidToken, r.google.sign(t, r.own("shop-at-google").with(claims{"sub": sub})))
		r.everywhere(t, StatusInvalidToken, r.corp.sign(t, r.corpClaims().with(claims{"sub": sub})))
	}
	// The subject is who it is, whatever user_id says.
	id, err := r.try("shop", r.signOwn(r.own("shop").with(claims{"user_id": "admin"})))
	if err != nil || id.UID != "alice" || !strings.Contains(string(id.Auth), `"uid":"alice"`) {
		t.Errorf("%+v, %v", id, err)
	}
}

// A key id finds a key in a map or does not; it is never a path, an address or a query.
func TestAttackKeyIDs(t *testing.T) {
	r := newRig(t)
	if _, err := r.try("shop", r.google.sign(t, r.own("shop-at-google"))); err != nil {
		t.Fatal(err)
	}
	asked := r.google.asked.Load()
	own, _ := token.Parse(r.signOwn(r.own("shop")))
	sign := func(header string, c claims) string {
		body, _ := json.Marshal(c)
		s := strings.TrimSuffix(forge(header, string(body), nil), ".")
		return s + "." + rs256(t, r.google.key, s)
	}
	c := r.own("shop-at-google")
	for name, header := range map[string]string{
		"missing":          `{"alg":"RS256"}`,
		"empty":            `{"alg":"RS256","kid":""}`,
		"null":             `{"alg":"RS256","kid":null}`,
		"number":           `{"alg":"RS256","kid":1}`,
		"list":             `{"alg":"RS256","kid":["google-1"]}`,
		"path":             `{"alg":"RS256","kid":"../../../../../../dev/null"}`,
		"path in the tree": `{"alg":"RS256","kid":"../projects/shop/config"}`,
		"file":             `{"alg":"RS256","kid":"file:///etc/passwd"}`,
		"address":          `{"alg":"RS256","kid":"` + r.corp.url + `/keys"}`,
		"sql":              `{"alg":"RS256","kid":"x' UNION SELECT 'AA=='; --"}`,
		"command":          `{"alg":"RS256","kid":"|touch /tmp/x"}`,
		"zero byte":        `{"alg":"RS256","kid":"google-1\u0000"}`,
		"very long":        `{"alg":"RS256","kid":"` + strings.Repeat("x", 1000) + `"}`,
		"twice":            `{"alg":"RS256","kid":"nobody","kid":"google-1"}`,
		"twice, escaped":   `{"alg":"RS256","kid":"google-1","\u006bid":"google-1"}`,
		"algorithm twice":  `{"alg":"none","alg":"RS256","kid":"google-1"}`,
		"other case":       `{"alg":"RS256","KID":"google-1"}`,
		"ours":             `{"alg":"RS256","kid":"` + own.KID + `"}`,
		"corp's":           `{"alg":"RS256","kid":"corp-1"}`,
		"critical":         `{"alg":"RS256","kid":"google-1","crit":["b64"],"b64":false}`,
		"nested":           `{"alg":"RS256","kid":"google-1","x":[[[[[[[[[1]]]]]]]]]}`,
		"no object":        `["RS256"]`,
		"huge header":      `{"alg":"RS256","kid":"google-1","x":"` + strings.Repeat("x", 3000) + `"}`,
		"not JSON":         `{"alg":"RS256","kid":"google-1"`,
	} {
		t.Run(name, func(t *testing.T) { r.everywhere(t, StatusInvalidToken, sign(header, c)) })
	}
	if _, err := r.try("shop", sign(`{"alg":"RS256","kid":"google-1"}`, c)); err != nil {
		t.Errorf("the one that is right: %v", err) // else the others prove nothing
	}
	if n := r.google.asked.Load() - asked; n > 1 {
		t.Errorf("the key set was fetched %d times because of unknown ids", n)
	}
	if n := r.corp.asked.Load(); n != 0 {
		t.Errorf("an address in a key id was fetched %d times", n)
	}
}

// Keys that a token brings along, or points to, are not looked at.
func TestAttackEmbeddedKeys(t *testing.T) {
	r := newRig(t)
	evil := newIssuer(t, "google-1", mustKey(t))
	jwk, _ := json.Marshal(jwks.Publish("google-1", &evil.key.PublicKey))
	for name, extra := range map[string]string{
		"jwk": `"jwk":` + string(jwk), "jku": `"jku":"` + evil.url + `"`, "x5u": `"x5u":"` + evil.url + `"`,
		"x5c": `"x5c":["` + b64.EncodeToString(x509.MarshalPKCS1PublicKey(&evil.key.PublicKey)) + `"]`,
	} {
		for _, kid := range []string{"google-1", "evil"} {
			t.Run(name+"/"+kid, func(t *testing.T) {
				body, _ := json.Marshal(r.own("shop-at-google"))
				s := strings.TrimSuffix(forge(`{"alg":"RS256","kid":"`+kid+`",`+extra+`}`, string(body), nil), ".")
				r.everywhere(t, StatusInvalidToken, s+"."+rs256(t, evil.key, s))
			})
		}
	}
	if n := evil.asked.Load(); n != 0 {
		t.Errorf("an address in a token was fetched %d times", n)
	}
}

func TestAttackAcrossProjects(t *testing.T) {
	r := newRig(t)
	if err := r.projects.Put(t.Context(), "bare", projects.Config{}, ""); err != nil {
		t.Fatal(err)
	}
	for name, cred := range map[string]string{
		"own": r.signOwn(r.own("shop")), "google": r.google.sign(t, r.own("shop-at-google")), "corp": r.corp.sign(t, r.corpClaims()),
		"secret": r.secret.Secret, "legacy": hs256(t, r.secret.Secret, r.legacy().with(claims{"admin": true})), "access token": r.accessTo(r.account),
		"account": byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": nil})),
	} {
		if _, err := r.try("shop", cred); err != nil {
			t.Fatal(err)
		}
		for _, ns := range []string{"blog", "blog-default-rtdb", "bare", "nowhere", "shopp", "shop2", "shop-default", "_auth", ""} {
			_, err := r.try(ns, cred)
			t.Run(name+" at "+ns, func(t *testing.T) { refused(t, err, StatusInvalidToken, cred) })
		}
	}
	// A secret of one database is none of its project's other databases.
	for _, cred := range []string{r.stockSecret.Secret, hs256(t, r.stockSecret.Secret, r.legacy())} {
		if _, err := r.try("stock", cred); err != nil {
			t.Error(err)
		}
		_, err := r.try("shop", cred)
		refused(t, err, StatusInvalidToken, cred)
	}
	_, err := r.try("shop", r.accessTo(r.blogOwner))
	refused(t, err, StatusInvalidToken, "")
}

func TestAttackSizes(t *testing.T) {
	r := newRig(t)
	big := strings.Repeat("x", 20<<10)
	deep := json.RawMessage(strings.Repeat("[", 100) + strings.Repeat("]", 100))
	many := map[string]any{}
	for i := range 2000 {
		many[fmt.Sprint(i)] = 1
	}
	unsigned := func(c claims) string {
		body, _ := json.Marshal(c)
		s := strings.TrimSuffix(forge(`{"alg":"RS256","kid":"google-1"}`, string(body), nil), ".")
		return s + "." + rs256(t, r.google.key, s)
	}
	c := r.own("shop-at-google")
	for name, cred := range map[string]string{
		"huge claim":       unsigned(c.with(claims{"x": big})),
		"deep claim":       unsigned(c.with(claims{"x": deep})),
		"many claims":      unsigned(c.with(many)),
		"megabytes":        strings.Repeat("a.", 1<<20),
		"huge secret":      strings.Repeat("a", 1<<20),
		"huge root secret": keys.RootPrefix + big,
		"brackets":         forge(`{"alg":"RS256","kid":"google-1"}`, strings.Repeat("[", 8000), []byte("x")),
		"not UTF-8":        unsignedRaw(t, r.google.key, "{\"x\":\"\xff\"}"),
		"claims twice":     unsignedRaw(t, r.google.key, `{"sub":"alice","sub":"admin"}`),
		"null":             unsignedRaw(t, r.google.key, `null`),
		"list":             unsignedRaw(t, r.google.key, `[]`),
		"two objects":      unsignedRaw(t, r.google.key, `{}{}`),
	} {
		t.Run(name, func(t *testing.T) { r.everywhere(t, StatusInvalidToken, cred) })
	}
	if _, err := r.try("shop", unsigned(c.with(claims{"x": json.RawMessage(strings.Repeat("[", 14) + strings.Repeat("]", 14))}))); err != nil {
		t.Errorf("a claim that is nested less than the limit: %v", err)
	}
	if _, err := r.authority.Authenticate(t.Context(), Credential{NS: "shop", Token: r.root, Override: json.RawMessage(`{"x":"` + big + `"}`)}); err == nil {
		t.Error("a huge override was taken")
	}
}

func TestAttackLegacyTokens(t *testing.T) {
	r := newRig(t)
	for name, cred := range map[string]string{
		"guessed secret":  hs256(t, projects.NewSecret(r.now(), "").Secret, r.legacy()),
		"empty secret":    hs256Raw("", r.legacy()),
		"other version":   hs256(t, r.secret.Secret, r.legacy().with(claims{"v": 1})),
		"no version":      hs256(t, r.secret.Secret, r.legacy().with(claims{"v": nil})),
		"no data":         hs256(t, r.secret.Secret, r.legacy().with(claims{"d": nil})),
		"long uid":        hs256(t, r.secret.Secret, r.legacy().with(claims{"d": map[string]any{"uid": strings.Repeat("x", 257)}})),
		"data no object":  hs256(t, r.secret.Secret, r.legacy().with(claims{"d": "zoe"})),
		"simulated":       hs256(t, r.secret.Secret, r.legacy().with(claims{"simulate": true})),
		"simulated admin": hs256(t, r.secret.Secret, r.legacy().with(claims{"simulate": true, "admin": true})),
		"ID token":        hs256(t, r.secret.Secret, r.own("shop")),
	} {
		t.Run(name, func(t *testing.T) { r.everywhere(t, StatusInvalidToken, cred) })
	}
	// Only true is true.
	for _, v := range []any{"true", 1, []bool{true}, json.RawMessage("null")} {
		id, err := r.try("shop", hs256(t, r.secret.Secret, r.legacy().with(claims{"admin": v})))
		if err != nil || id.Admin {
			t.Errorf("admin %v: %+v, %v", v, id, err)
		}
	}
	r.everywhere(t, StatusExpiredToken, hs256(t, r.secret.Secret, r.legacy().with(claims{"iat": r.now().Unix() - 86400})))
}

// What is taken away is gone at once, whatever is remembered of its tokens.
func TestAttackAfterRevocation(t *testing.T) {
	r := newRig(t)
	cred := map[string]string{
		"own": r.signOwn(r.own("shop")), "google": r.google.sign(t, r.own("shop-at-google")), "corp": r.corp.sign(t, r.corpClaims()),
		"secret": r.secret.Secret, "legacy": hs256(t, r.secret.Secret, r.legacy()), "access token": r.accessTo(r.account),
		"account": byAccount(t, r.account, r.assertion(r.account).with(claims{"aud": nil})), "root": r.root,
	}
	assertion := byAccount(t, r.account, r.assertion(r.account))
	for name, c := range cred {
		if _, err := r.try("shop", c); err != nil {
			t.Fatal(name, err)
		}
	}
	change := func(f func(c *projects.Config)) {
		t.Helper()
		if err := r.projects.Update(t.Context(), "shop", func(c *projects.Config) error { f(c); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	r.users.revoke("shop", "alice", r.now())
	r.everywhere(t, StatusInvalidToken, cred["own"])
	if _, err := r.try("shop", r.signOwn(r.own("shop").with(claims{"auth_time": r.now().Unix()}))); err != nil {
		t.Errorf("signed in again: %v", err)
	}
	change(func(c *projects.Config) { c.ServiceAccounts = nil })
	r.everywhere(t, StatusInvalidToken, cred["account"])
	r.everywhere(t, StatusInvalidToken, cred["access token"])
	_, _, err := r.authority.Exchange(t.Context(), assertion)
	refused(t, err, StatusInvalidToken, assertion)
	change(func(c *projects.Config) { c.Secrets = nil })
	r.everywhere(t, StatusInvalidToken, cred["secret"])
	r.everywhere(t, StatusInvalidToken, cred["legacy"])
	change(func(c *projects.Config) { c.Issuers = nil })
	r.everywhere(t, StatusInvalidToken, cred["corp"])
	change(func(c *projects.Config) { c.FirebaseProject = "" })
	r.everywhere(t, StatusInvalidToken, cred["google"])
	if err := r.keys.SetRoot(t.Context(), keys.NewRootSecret()); err != nil {
		t.Fatal(err)
	}
	r.everywhere(t, StatusInvalidToken, cred["root"])
	c, _ := r.projects.Config("shop")
	if err := r.projects.Delete(t.Context(), "shop", c.Version); err != nil {
		t.Fatal(err)
	}
	for _, c := range cred {
		r.everywhere(t, StatusInvalidToken, c)
	}
}

// A key that was retired verifies as long as its tokens live, and then nothing any more: not what was signed with it later, by whoever got hold of it.
func TestAttackRetiredKey(t *testing.T) {
	r := newRig(t)
	first, _ := token.Parse(r.signOwn(r.own("shop")))
	old := r.signOwn(r.own("shop"))
	if err := r.keys.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.try("shop", old); err != nil {
		t.Errorf("rotation signed somebody out: %v", err)
	}
	ends := r.keys.List()[1].Ends
	r.advance(ends.Sub(r.now()) - time.Second)
	if _, ok := r.keys.Key(first.KID); !ok {
		t.Error("it has ended too early")
	}
	r.advance(time.Second)
	if _, ok := r.keys.Key(first.KID); ok {
		t.Error("it has not ended")
	}
	// A token that claims to be younger than the key's end does not help.
	r.everywhere(t, StatusInvalidToken, old)
}

// Kinds of tokens are not taken for one another.
func TestAttackConfusedKinds(t *testing.T) {
	r := newRig(t)
	access := strings.TrimPrefix(r.accessTo(r.account), accessPrefix)
	own := r.signOwn(r.own("shop"))
	at := r.now().Unix()
	config, _ := r.projects.Config("shop")
	key := fingerprint(config.ServiceAccountKeys(r.account.ClientEmail, "")[0])
	for name, cred := range map[string]string{
		"access token as ID token": access,
		"ID token as access token": accessPrefix + own,
		"own claims as access token": accessPrefix + r.signOwn(claims{
			"iss": accessIssuer, "aud": accessAud, "sub": r.account.ClientEmail, "project": "shop", "key": key, "iat": at, "exp": at + 60}),
		"account's own access token": accessPrefix + byAccount(t, r.account, claims{
			"iss": accessIssuer, "aud": accessAud, "sub": r.account.ClientEmail, "project": "shop", "key": key, "iat": at, "exp": at + 60}),
		"account as a user":       byAccount(t, r.account, r.own("shop")),
		"account as Google":       byAccount(t, r.account, r.own("shop-at-google")),
		"user as account":         r.signOwn(r.assertion(r.account).with(claims{"aud": nil})),
		"App Check as ID token":   r.check.sign(t, r.own("shop-at-google")),
		"corp as account":         r.corp.sign(t, r.assertion(r.account).with(claims{"aud": nil})),
		"access prefix alone":     accessPrefix,
		"root prefix alone":       keys.RootPrefix,
		"hash of the secret":      fmt.Sprintf("%x", sha256.Sum256([]byte(r.secret.Secret))),
		"hash of the root secret": fmt.Sprintf("%x", sha256.Sum256([]byte(r.root))),
	} {
		t.Run(name, func(t *testing.T) { r.everywhere(t, StatusInvalidToken, cred) })
	}
}

// A flood of tokens with unknown keys must not make the server flood the issuer.
func TestAttackUnknownKeyFlood(t *testing.T) {
	r := newRig(t)
	if _, err := r.try("shop", r.google.sign(t, r.own("shop-at-google"))); err != nil {
		t.Fatal(err)
	}
	before := r.google.asked.Load()
	r.advance(time.Minute)
	cred := make([]string, 50)
	for i := range cred {
		cred[i] = signWith(t, r.google.key, fmt.Sprintf("unknown-%d", i), r.own("shop-at-google"))
	}
	var wait sync.WaitGroup
	for _, c := range cred {
		wait.Go(func() {
			if _, err := r.try("shop", c); err == nil {
				t.Error("believed")
			}
		})
	}
	wait.Wait()
	if n := r.google.asked.Load() - before; n > 1 {
		t.Errorf("%d fetches", n)
	}
}

func rs256(t testing.TB, key *rsa.PrivateKey, signed string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return b64.EncodeToString(sig)
}

func unsignedRaw(t testing.TB, key *rsa.PrivateKey, body string) string {
	s := strings.TrimSuffix(forge(`{"alg":"RS256","kid":"google-1"}`, body, nil), ".")
	return s + "." + rs256(t, key, s)
}

func hs256Raw(secret string, c claims) string {
	body, _ := json.Marshal(c)
	s := strings.TrimSuffix(forge(`{"alg":"HS256"}`, string(body), nil), ".")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(s))
	return s + "." + b64.EncodeToString(mac.Sum(nil))
}

func mustKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
