package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// Owner is the credential that the Firebase tools and Admin SDKs present to an emulator.
const Owner = "owner"

// Open admits everyone, by the conventions of the Firebase emulator: the service credential "owner" is the administrator, and the
// claims of a JWT are believed as they stand. Neither signature nor expiry is looked at, because the tokens that
// the SDKs make up for an emulator (mockUserToken) are unsigned and were issued in 1970. What is not a credential
// at all is rejected all the same, so that a client's mistake does not stay hidden until it meets a real server.
type Open struct{}

var _ Authenticator = Open{}

// Authenticate implements Authenticator.
func (Open) Authenticate(_ context.Context, c Credential) (Identity, error) {
	var id Identity
	if c.Token == Owner && c.Scheme == Service {
		id.Admin, id.Name = true, "owner"
	} else {
		claims, err := decodeClaims(c.Token)
		if err != nil {
			return Identity{}, err
		}
		if id.Auth, err = authVariable(claims); err != nil {
			return Identity{}, err
		}
		var user struct {
			UID string `json:"uid"`
		}
		_ = json.Unmarshal(id.Auth, &user) // a uid that is no string is nobody's
		id.UID = user.UID
	}
	switch {
	case c.Unauthenticated:
		return Identity{}, nil
	case c.Override != nil:
		v := bytes.TrimSpace(c.Override)
		if bytes.Equal(v, []byte("null")) {
			return Identity{}, nil
		}
		if len(v) == 0 || v[0] != '{' || !json.Valid(v) {
			return Identity{}, invalid("the auth variable override is not a JSON object")
		}
		return Identity{Auth: bytes.Clone(v)}, nil
	}
	return id, nil
}

// decodeClaims returns the second part of a JWT, unverified.
func decodeClaims(token string) (map[string]json.RawMessage, error) {
	if token == "" {
		return nil, invalid("the credential is empty")
	}
	// The third part, the signature, is empty in the tokens of an emulator, but its dot is there.
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, invalid("the credential is not a JSON Web Token")
	}
	if _, err := decodePart(parts[0]); err != nil {
		return nil, invalid("the token's header is not a base64 JSON object")
	}
	claims, err := decodePart(parts[1])
	if err != nil {
		return nil, invalid("the token's claims are not a base64 JSON object")
	}
	return claims, nil
}

func decodePart(s string) (map[string]json.RawMessage, error) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	if m == nil { // the JSON text "null"
		return nil, invalid("null")
	}
	return m, nil
}

// authVariable builds the auth variable that the rules see: {uid, provider, token}; for the legacy custom tokens of the
// database itself (claims v and d) it is the payload d.
func authVariable(claims map[string]json.RawMessage) (json.RawMessage, error) {
	if _, legacy := claims["v"]; legacy && len(claims["d"]) > 0 && claims["d"][0] == '{' {
		return claims["d"], nil
	}
	v := struct {
		UID      json.RawMessage            `json:"uid,omitempty"`
		Provider string                     `json:"provider,omitempty"`
		Token    map[string]json.RawMessage `json:"token"`
	}{UID: claims["sub"], Token: claims}
	if v.UID == nil {
		v.UID = claims["user_id"]
	}
	var fb struct {
		Provider string `json:"sign_in_provider"`
	}
	if raw, ok := claims["firebase"]; ok && json.Unmarshal(raw, &fb) == nil {
		v.Provider = fb.Provider
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil, invalid("the token's claims cannot be represented")
	}
	return out, nil
}
