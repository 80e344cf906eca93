package jwks

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"rebase/auth/token"
)

var someKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func setOf(keys ...any) []byte {
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return text
}

func with(kid string, change map[string]any) map[string]any {
	k := Publish(kid, &someKey().PublicKey)
	for name, v := range change {
		k[name] = v
	}
	return k
}

func TestParse(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	e := base64.RawURLEncoding.EncodeToString
	offCurve := append([]byte(nil), point...)
	offCurve[64] ^= 1
	s, err := Parse(setOf(
		with("plain", nil),
		with("no-alg", map[string]any{"alg": ""}),
		with("ps", map[string]any{"alg": "PS256"}),
		with("no-use", map[string]any{"use": ""}),
		with("verify", map[string]any{"key_ops": []string{"verify"}}),
		with("two", nil), with("two", map[string]any{"alg": "RS512"}), // one id, two algorithms
		map[string]any{"kty": "EC", "kid": "ec", "crv": "P-256", "x": e(point[1:33]), "y": e(point[33:])},
		map[string]any{"kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": e(ed)},
		// and those that must be left out
		with("enc", map[string]any{"use": "enc"}),
		with("sign", map[string]any{"key_ops": []string{"sign"}}),
		with("", nil),
		with(strings.Repeat("k", token.MaxKeyID+1), nil),
		with("hs", map[string]any{"alg": "HS256"}),
		with("none", map[string]any{"alg": "none"}),
		with("padded", map[string]any{"n": "AQAB="}),
		with("weak", map[string]any{"n": "AQAB"}),
		with("no-e", map[string]any{"e": ""}),
		with("huge-e", map[string]any{"e": e(make([]byte, 300))}),
		with("big-e", map[string]any{"e": e([]byte{1, 0, 0, 0, 0, 1})}),
		with("twice", nil), with("twice", nil),
		map[string]any{"kty": "oct", "kid": "oct", "k": e([]byte(strings.Repeat("k", 64)))},
		map[string]any{"kty": "EC", "kid": "off", "crv": "P-256", "x": e(offCurve[1:33]), "y": e(offCurve[33:])},
		map[string]any{"kty": "EC", "kid": "short", "crv": "P-256", "x": e(point[1:32]), "y": e(point[33:])},
		map[string]any{"kty": "EC", "kid": "curve", "crv": "secp256k1", "x": e(point[1:33]), "y": e(point[33:])},
		map[string]any{"kty": "OKP", "kid": "x25519", "crv": "X25519", "x": e(ed)},
		map[string]any{"kty": "OKP", "kid": "ed-short", "crv": "Ed25519", "x": e(ed[:31])},
	))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"plain RS256", "no-alg RS256", "ps PS256", "no-use RS256", "verify RS256", "two RS256", "two RS512", "ec ES256", "ed EdDSA"} {
		kid, alg, _ := strings.Cut(want, " ")
		if k, ok := s.Key(kid, alg); !ok || k.Alg() != alg {
			t.Errorf("%s is missing", want)
		}
	}
	if s.Len() != 9 {
		t.Errorf("%d keys, want 9: %v", s.Len(), s.byID)
	}
	for _, kid := range []string{"oct", "hs", "none"} {
		for _, alg := range []string{"HS256", "none", "RS256", ""} {
			if _, ok := s.Key(kid, alg); ok {
				t.Errorf("key %s is there for %q", kid, alg)
			}
		}
	}
	var many []any
	for i := range MaxKeys + 1 {
		many = append(many, with(fmt.Sprint(i), nil))
	}
	for name, text := range map[string][]byte{
		"empty": nil, "no keys": []byte(`{}`), "no usable key": setOf(with("enc", map[string]any{"use": "enc"})), "list": []byte(`[]`), "HTML": []byte("<html>"), "too many": setOf(many...),
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(setOf(with("a", nil)))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":"","kid":"x"},{"kty":"OKP"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text)
		if err == nil && s.Len() == 0 {
			t.Error("an empty set")
		}
	})
}
