package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// The algorithms (RFC 7518, RFC 8037) that a Key can have.
const (
	RS256 = "RS256"
	HS256 = "HS256"
)

var (
	forRSA = []string{RS256, "RS384", "RS512", "PS256", "PS384", "PS512"}
	forEC  = map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}
)

// Bounds of an RSA modulus: less can be factored, and more costs whoever verifies more than a token is worth.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// Key is a key and the one algorithm that it is for.
type Key struct {
	alg    string
	method jwt.SigningMethod
	key    any // as golang-jwt wants it
	print  [sha256.Size]byte
}

// PublicKey returns a key that verifies with one algorithm; "" is the one that fits the key, for RSA RS256.
func PublicKey(alg string, pub crypto.PublicKey) (*Key, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if alg == "" {
			alg = RS256
		}
		if !slices.Contains(forRSA, alg) {
			return nil, fmt.Errorf("algorithm %.16q is not for an RSA key", alg)
		}
		if n := pub.N.BitLen(); n < minRSABits || n > maxRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits, not %d to %d", n, minRSABits, maxRSABits)
		}
		if pub.E < 3 || pub.E&1 == 0 {
			return nil, errors.New("the RSA key's exponent is not odd, or too small")
		}
	case *ecdsa.PublicKey:
		if fits := forEC[pub.Curve]; fits == "" || alg != "" && alg != fits {
			return nil, fmt.Errorf("algorithm %.16q is not for this elliptic curve", alg)
		} else {
			alg = fits
		}
	case ed25519.PublicKey:
		if alg != "" && alg != "EdDSA" {
			return nil, fmt.Errorf("algorithm %.16q is not for an Ed25519 key", alg)
		}
		alg = "EdDSA"
	default:
		return nil, fmt.Errorf("keys of type %T are not supported", pub)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	return &Key{alg, jwt.GetSigningMethod(alg), pub, sha256.Sum256(append([]byte(alg), der...))}, nil
}

// MinSecret is the least length of a shared secret, in bytes: as many as HMAC with SHA-256 has (RFC 7518 §3.2). Firebase's have 40.
const MinSecret = 32

// SharedKey returns a key that verifies HS256 with a secret.
func SharedKey(secret string) (*Key, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("the secret has fewer than %d characters", MinSecret)
	}
	return &Key{HS256, jwt.SigningMethodHS256, []byte(secret), sha256.Sum256([]byte(HS256 + secret))}, nil
}

// Alg is the algorithm that the key is for.
func (k *Key) Alg() string { return k.alg }

// Print is a hash that differs for every two keys or algorithms.
func (k *Key) Print() [sha256.Size]byte { return k.print }

// ErrForged: the key has not signed the token.
var ErrForged = errors.New("its signature is wrong")

// Verify returns nil if k has signed the token, with the algorithm that k is for.
func (t *Token) Verify(k *Key) error {
	if t.Alg != k.alg {
		return fmt.Errorf("its algorithm is %.16q, not %s", t.Alg, k.alg)
	}
	if len(t.signature) == 0 {
		return errors.New("it is not signed")
	}
	if k.method.Verify(t.signed, t.signature, k.key) != nil {
		return ErrForged
	}
	return nil
}

// Sum is a hash of the token, signature and all.
func (t *Token) Sum(k *Key) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(k.print[:])
	h.Write([]byte(t.signed))
	h.Write([]byte{'.'})
	h.Write(t.signature)
	h.Sum(sum[:0])
	return sum
}
