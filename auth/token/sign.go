package token

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// Sign returns a token of the given claims and headers besides "alg", signed by key. The algorithm must be one that Key knows.
func Sign(alg string, header map[string]any, claims map[string]any, key crypto.PrivateKey) (string, error) {
	method := jwt.GetSigningMethod(alg)
	if method == nil || alg == "none" {
		return "", fmt.Errorf("algorithm %.16q is not supported", alg)
	}
	h := map[string]any{"typ": "JWT"}
	for name, v := range header {
		h[name] = v
	}
	h["alg"] = alg
	head, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := strict.EncodeToString(head) + "." + strict.EncodeToString(body)
	sig, err := method.Sign(signed, key)
	if err != nil {
		return "", err
	}
	s := signed + "." + strict.EncodeToString(sig)
	if len(s) > MaxBytes {
		return "", errors.New("the token would be too long")
	}
	return s, nil
}
