package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"rebase/auth/token"
)

// MaxKeys bounds a set. Google's have two or three.
const MaxKeys = 64

// Set is the keys of an issuer by their ids. It is not changed after Parse.
type Set struct{ byID map[string][]*token.Key }

// Key returns the key of that id which is for that algorithm.
func (s *Set) Key(kid, alg string) (*token.Key, bool) {
	if s == nil {
		return nil, false
	}
	for _, k := range s.byID[kid] {
		if k.Alg() == alg {
			return k, true
		}
	}
	return nil, false
}

// Len is the number of keys.
func (s *Set) Len() (n int) {
	for _, list := range s.byID {
		n += len(list)
	}
	return n
}

// jwk is a key as it is published. encoding/json is lenient about the case of names; here it does no harm, since whoever publishes the
// set could publish any key.
type jwk struct {
	Kty    string   `json:"kty"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	KID    string   `json:"kid"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	Crv    string   `json:"crv"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
}

// Parse reads a set. Keys that are not for verifying signatures, that have no id, or whose kind is not supported are left out: sets hold keys for others,
// too. Shared secrets ("oct") are never taken from a set. Two keys of one id and algorithm are both left out, as nobody could say which is meant.
func Parse(text []byte) (*Set, error) {
	var doc struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("the key set is not JSON as it should be: %w", err)
	}
	if len(doc.Keys) > MaxKeys {
		return nil, fmt.Errorf("the key set has %d keys, more than %d", len(doc.Keys), MaxKeys)
	}
	s := &Set{byID: map[string][]*token.Key{}}
	ambiguous := map[[2]string]bool{}
	for i := range doc.Keys {
		j := &doc.Keys[i]
		if !j.verifies() || j.KID == "" || len(j.KID) > token.MaxKeyID {
			continue
		}
		pub, err := j.public()
		if err != nil {
			continue
		}
		k, err := token.PublicKey(j.Alg, pub)
		if err != nil {
			continue
		}
		if _, twice := s.Key(j.KID, k.Alg()); twice {
			ambiguous[[2]string{j.KID, k.Alg()}] = true
			continue
		}
		s.byID[j.KID] = append(s.byID[j.KID], k)
	}
	for at := range ambiguous {
		kept := s.byID[at[0]][:0]
		for _, k := range s.byID[at[0]] {
			if k.Alg() != at[1] {
				kept = append(kept, k)
			}
		}
		s.byID[at[0]] = kept
	}
	if s.Len() == 0 {
		return nil, errors.New("the key set has no key that could verify a token")
	}
	return s, nil
}

func (j *jwk) verifies() bool {
	if j.Use != "" && j.Use != "sig" {
		return false
	}
	for _, op := range j.KeyOps {
		if op == "verify" {
			return true
		}
	}
	return len(j.KeyOps) == 0
}

var errKind = errors.New("unsupported kind of key")

func (j *jwk) public() (crypto.PublicKey, error) {
	switch j.Kty {
	case "RSA":
		n, err := number(j.N)
		if err != nil {
			return nil, err
		}
		e, err := number(j.E)
		if err != nil {
			return nil, err
		}
		if !e.IsInt64() || e.Int64() >= 1<<31 {
			return nil, errKind
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Crv]
		if curve == nil {
			return nil, errKind
		}
		size := (curve.Params().BitSize + 7) / 8
		x, errX := base64.RawURLEncoding.DecodeString(j.X)
		y, errY := base64.RawURLEncoding.DecodeString(j.Y)
		if errX != nil || errY != nil || len(x) != size || len(y) != size {
			return nil, errKind
		}
		// The uncompressed form; parsing it checks that the point is on the curve.
		return ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
	case "OKP":
		x, err := base64.RawURLEncoding.DecodeString(j.X)
		if err != nil || j.Crv != "Ed25519" || len(x) != ed25519.PublicKeySize {
			return nil, errKind
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errKind
}

func number(s string) (*big.Int, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) == 0 || len(b) > 2048 {
		return nil, errKind
	}
	return new(big.Int).SetBytes(b), nil
}

// Publish returns a key as it stands in a set.
func Publish(kid string, pub *rsa.PublicKey) map[string]any {
	e := base64.RawURLEncoding.EncodeToString
	return map[string]any{
		"kty": "RSA", "use": "sig", "alg": token.RS256, "kid": kid,
		"n": e(pub.N.Bytes()), "e": e(big.NewInt(int64(pub.E)).Bytes()),
	}
}
