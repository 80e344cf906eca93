package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var b64 = base64.RawURLEncoding

func spell(header, claims string) string {
	return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims)) + "."
}

const head = `{"alg":"HS256"}`

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, text, err string // "" if it is one
	}{
		{"plain", spell(head, `{"sub":"a"}`), ""},
		{"empty claims", spell(head, `{}`), ""},
		{"white space", spell(" { \"alg\" : \"x\" , \"kid\" :\t\"k\" } ", "\n{ \"a\" : [ 1 , {\"b\":\"}\"} ] , \"c\" : -1.5e3 , \"d\":null,\"e\":\"\\\"\\\\\" }\r\n"), ""},
		{"no dots", "x", "three parts"},
		{"two parts", "a.b", "three parts"},
		{"four parts", "a.b.c.d", "three parts"},
		{"empty", "", "three parts"},
		{"dots", "..", "header"},
		{"too long", strings.Repeat("a", MaxBytes+1), "more than"},
		{"padding", "eyJhbGciOiJIUzI1NiJ9.e30=.", "claims"},
		{"standard alphabet", "eyJhbGciOiJIUzI1NiJ9.+/+/.", "claims"},
		{"line break", "eyJhbGciOiJIUzI1NiJ9.e\n30.", "claims"},
		{"bits behind the end", "eyJhbGciOiJIUzI1NiJ9.e31.", "claims"},
		{"header is a list", spell(`["HS256"]`, `{}`), "header"},
		{"header is null", spell(`null`, `{}`), "header"},
		{"header is empty", spell(`{}`, `{}`), "alg"},
		{"alg twice", spell(`{"alg":"none","alg":"HS256"}`, `{}`), "twice"},
		{"alg twice, once escaped", spell(`{"alg":"none","\u0061lg":"HS256"}`, `{}`), "twice"},
		{"alg in capitals is another name", spell(`{"Alg":"HS256"}`, `{}`), "alg"},
		{"crit", spell(`{"alg":"HS256","crit":[]}`, `{}`), "crit"},
		{"kid is empty", spell(`{"alg":"HS256","kid":""}`, `{}`), "kid"},
		{"kid is long", spell(`{"alg":"HS256","kid":"`+strings.Repeat("k", MaxKeyID+1)+`"}`, `{}`), "kid"},
		{"deep header", spell(`{"alg":"HS256","x":[[[[1]]]]}`, `{}`), "deep"},
		{"claims are a list", spell(head, `[]`), "claims"},
		{"claims are cut off", spell(head, `{"a":1`), "claims"},
		{"claims are followed", spell(head, `{} {}`), "claims"},
		{"claims in JSON5", spell(head, `{a:1}`), "claims"},
		{"not UTF-8", spell(head, "{\"a\":\"\xff\"}"), "UTF-8"},
		{"claim twice", spell(head, `{"sub":"a","x":1,"sub":"b"}`), "twice"},
		{"deep", spell(head, `{"a":`+strings.Repeat("[", MaxDepth)+strings.Repeat("]", MaxDepth)+`}`), "deep"},
		{"as deep as may be", spell(head, `{"a":`+strings.Repeat("[", MaxDepth-1)+strings.Repeat("]", MaxDepth-1)+`}`), ""},
		{"brackets in strings are not depth", spell(head, `{"a":"`+strings.Repeat("[{", 50)+`","b":"\"[["}`), ""},
		{"signature is not base64", spell(head, `{}`) + "!", "signature"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(tc.text)
			switch {
			case tc.err == "" && err != nil:
				t.Error(err)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("%v, want an error with %q", err, tc.err)
			}
		})
	}
	var many strings.Builder
	many.WriteString("{")
	for i := range MaxMembers + 1 {
		fmt.Fprintf(&many, `"%x":1,`, i)
	}
	if _, err := Parse(spell(head, strings.TrimSuffix(many.String(), ",")+"}")); err == nil || !strings.Contains(err.Error(), "members") {
		t.Errorf("too many claims: %v", err)
	}
}

// members sees what encoding/json sees, where names are unique.
func TestMembersAgreeWithEncodingJSON(t *testing.T) {
	value := rapid.Custom(func(t *rapid.T) any { return anyValue(t, 4) })
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), value).Draw(t, "object")
		text, err := json.MarshalIndent(m, rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "prefix"), rapid.SampledFrom([]string{"", "\t", "  "}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		got, err := members(text, 100)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s:\n%s\n%s", text, got, want)
		}
	})
}

func anyValue(t *rapid.T, depth int) any {
	kinds := 4
	if depth > 0 {
		kinds = 6
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.String().Draw(t, "string")
	case 1:
		return rapid.Float64Range(-1e9, 1e9).Draw(t, "number")
	case 2:
		return rapid.Bool().Draw(t, "bool")
	case 3:
		return nil
	case 4:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, anyValue(t, depth-1))
		}
		return list
	}
	m := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "size") {
		m[rapid.SampledFrom([]string{"a", "b\"", "{", "\\", ",", "é"}).Draw(t, "name")] = anyValue(t, depth-1)
	}
	return m
}

// Whatever is sent, parsing ends, and nothing is verified by a key that has not signed it. Every text that parses has that one spelling.
func FuzzParse(f *testing.F) {
	key, err := SharedKey(strings.Repeat("k", MinSecret))
	if err != nil {
		f.Fatal(err)
	}
	good, err := Sign(HS256, map[string]any{"kid": "k"}, map[string]any{"sub": "a", "exp": 5, "aud": []string{"x", "y"}}, []byte(strings.Repeat("k", MinSecret)))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, good[:len(good)-1], "..", "a.b.c", spell(head, `{"a":{"b":["\"",{}]},"exp":1e400}`), spell(`{"alg":"none"}`, `{"aud":"x","exp":-1}`), spell(head, `{"a":1,"a":2}`)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := Parse(text)
		if err != nil {
			return
		}
		if tok.Verify(key) == nil && text != good {
			t.Fatalf("verified: %q", text)
		}
		if at, err := tok.Times(); err == nil {
			_ = at.Check(time.Unix(1e9, 0))
		}
		_ = tok.Audience("x")
		_, _ = tok.Subject()
		sig := b64.EncodeToString(tok.signature)
		if spelt := tok.signed + "." + sig; spelt != text {
			t.Fatalf("%q is spelt %q, too", text, spelt)
		}
		for name, raw := range tok.Claims {
			if !json.Valid(raw) {
				t.Fatalf("claim %q is %q", name, raw)
			}
		}
	})
}

// Each key verifies what it has signed, by its algorithm, and nothing that another key or algorithm has.
func TestKeysAndAlgorithms(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Repeat("s", MinSecret)
	type pair struct {
		alg     string
		private any
		key     *Key
	}
	var pairs []pair
	add := func(alg string, private any, key *Key, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if key.Alg() != alg {
			t.Errorf("the key is for %s, not %s", key.Alg(), alg)
		}
		pairs = append(pairs, pair{alg, private, key})
	}
	shared, err := SharedKey(secret)
	add(HS256, []byte(secret), shared, err)
	for _, alg := range forRSA {
		k, err := PublicKey(alg, &rsaKey.PublicKey)
		add(alg, rsaKey, k, err)
	}
	for curve, alg := range forEC {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k, err := PublicKey("", &private.PublicKey)
		add(alg, private, k, err)
	}
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k, err := PublicKey("EdDSA", pub)
	add("EdDSA", private, k, err)
	for _, signer := range pairs {
		s, err := Sign(signer.alg, nil, map[string]any{"sub": "a"}, signer.private)
		if err != nil {
			t.Fatal(signer.alg, err)
		}
		tok, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, verifier := range pairs {
			if got := tok.Verify(verifier.key) == nil; got != (signer.alg == verifier.alg) {
				t.Errorf("%s verifies %s: %t", verifier.alg, signer.alg, got)
			}
			if verifier.alg != signer.alg && verifier.key.Print() == signer.key.Print() {
				t.Errorf("%s and %s have one print", verifier.alg, signer.alg)
			}
		}
		if strings.Contains(tok.String(), tok.signed[10:30]) {
			t.Error("String repeats the token")
		}
	}
}

// A token that names another algorithm than the one that signed it is refused, though the signature is right.
func TestAlgorithmOfHeaderMustBeTheKeys(t *testing.T) {
	secret := strings.Repeat("s", MinSecret)
	k, err := SharedKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	for alg, want := range map[string]bool{"HS256": true, "none": false, "RS256": false, "hs256": false, "HS512": false} {
		signed := strings.TrimSuffix(spell(`{"alg":"`+alg+`"}`, `{}`), ".")
		sig, err := k.method.Sign(signed, []byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := Parse(signed + "." + b64.EncodeToString(sig))
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Verify(k) == nil; got != want {
			t.Errorf("%s: %t", alg, got)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() (*Key, error){
		"weak RSA":           func() (*Key, error) { return PublicKey("", &weak.PublicKey) },
		"even exponent":      func() (*Key, error) { return PublicKey("", &rsa.PublicKey{N: good.N, E: 2}) },
		"exponent one":       func() (*Key, error) { return PublicKey("", &rsa.PublicKey{N: good.N, E: 1}) },
		"RSA for HS256":      func() (*Key, error) { return PublicKey(HS256, &good.PublicKey) },
		"RSA for none":       func() (*Key, error) { return PublicKey("none", &good.PublicKey) },
		"RSA for ES256":      func() (*Key, error) { return PublicKey("ES256", &good.PublicKey) },
		"P-256 for ES384":    func() (*Key, error) { return PublicKey("ES384", &ec.PublicKey) },
		"P-224":              func() (*Key, error) { return PublicKey("", &p224.PublicKey) },
		"private key":        func() (*Key, error) { return PublicKey("", good) },
		"text":               func() (*Key, error) { return PublicKey("", "key") },
		"short secret":       func() (*Key, error) { return SharedKey(strings.Repeat("s", MinSecret-1)) },
		"Ed25519 for RS256":  func() (*Key, error) { return PublicKey(RS256, make(ed25519.PublicKey, 32)) },
		"none, as algorithm": func() (*Key, error) { _, err := Sign("none", nil, nil, "none signing method allowed"); return nil, err },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := Sign(RS256, nil, map[string]any{"x": strings.Repeat("x", MaxBytes)}, good); err == nil {
		t.Error("a token was signed that nobody would read")
	}
}

func TestTimes(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for _, tc := range []struct {
		claims string
		want   string // "", "expired", "future", "bad"
	}{
		{`{}`, ""},
		{`{"exp":1000001}`, ""},
		{`{"exp":1000000}`, "expired"},
		{`{"exp":1000000.5}`, ""},
		{`{"exp":999999.9}`, "expired"},
		{`{"exp":0}`, "expired"},
		{`{"iat":1000060}`, ""},
		{`{"iat":1000061}`, "future"},
		{`{"nbf":1000061}`, "future"},
		{`{"auth_time":1000061}`, "future"},
		{`{"iat":"1000"}`, "bad"},
		{`{"iat":-1}`, "bad"},
		{`{"iat":null}`, "bad"},
		{`{"exp":1e18}`, "bad"},
		{`{"exp":1e999}`, "bad"},
		{`{"exp":{}}`, "bad"},
		{`{"exp":[]}`, "bad"},
		{`{"exp":true}`, "bad"},
	} {
		tok, err := Parse(spell(head, tc.claims))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if at, err := tok.Times(); err != nil {
			got = "bad"
		} else if err := at.Check(now); errors.Is(err, ErrExpired) {
			got = "expired"
		} else if err != nil {
			got = "future"
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.claims, got, tc.want)
		}
	}
}

func TestClaims(t *testing.T) {
	tok, err := Parse(spell(head, `{"sub":"a\u00e9","aud":["x",""],"one":"x","mixed":["x",1],"yes":true,"one_":1,"esc\u0061ped":"v"}`))
	if err != nil {
		t.Fatal(err)
	}
	if sub, err := tok.Subject(); err != nil || sub != "aé" {
		t.Errorf("%q, %v", sub, err)
	}
	if tok.Audience("y", "x") != nil || tok.Audience("y") == nil || tok.Audience("") == nil || tok.Audience() == nil {
		t.Error("Audience is wrong")
	}
	if _, ok := tok.Texts("mixed"); ok {
		t.Error("a mixed list is texts")
	}
	if l, ok := tok.Texts("one"); !ok || len(l) != 1 {
		t.Error("a text is no list of one")
	}
	if !tok.Bool("yes") || tok.Bool("one_") || tok.Bool("none") || !tok.Has("escaped") || tok.Has("none") {
		t.Error("Bool or Has is wrong")
	}
}

func BenchmarkParse(b *testing.B) {
	text := spell(head, `{"iss":"https://securetoken.google.com/shop","aud":"shop","sub":"alice","user_id":"alice","auth_time":1795348790,"iat":1795348800,"exp":1795352400,"email":"alice@example.com","email_verified":true,"firebase":{"identities":{"email":["alice@example.com"]},"sign_in_provider":"password"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
