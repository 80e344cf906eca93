package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Bounds of a token. Those of Firebase have about 1 KB, those of directories with many groups some more.
const (
	MaxBytes       = 16 << 10
	MaxHeaderBytes = 2 << 10
	MaxDepth       = 16 // of nested objects and arrays, in claims
	MaxMembers     = 1024
	MaxKeyID       = 256
)

// Token is a token as it came, taken apart. Nothing in it is to be believed until Verify has returned nil.
type Token struct {
	Alg string
	KID string // "" if there is none
	Typ string
	// Claims are the top-level claims, each with its JSON text.
	Claims map[string]json.RawMessage

	signed    string // what the signature is over
	signature []byte
}

var (
	errTooLong   = fmt.Errorf("it has more than %d bytes", MaxBytes)
	errNotJWT    = errors.New("it is not a JSON Web Token: three parts with dots between them")
	errHeader    = errors.New("its header is not a JSON object in base64url")
	errClaims    = errors.New("its claims are not a JSON object in base64url")
	errSignature = errors.New("its signature is not base64url")
	errCrit      = errors.New(`its header has "crit": extensions that must be understood are not`)
	errTwice     = errors.New("a name occurs twice")
)

// Parse takes a token apart without believing anything. A token of three parts of which the last is empty is one: whether it is
// signed is Verify's question.
func Parse(s string) (*Token, error) {
	if len(s) > MaxBytes {
		return nil, errTooLong
	}
	head, rest, ok := strings.Cut(s, ".")
	if !ok {
		return nil, errNotJWT
	}
	body, sig, ok := strings.Cut(rest, ".")
	if !ok || strings.IndexByte(sig, '.') >= 0 {
		return nil, errNotJWT
	}
	t := &Token{signed: s[:len(head)+1+len(body)]}
	if len(head) > MaxHeaderBytes {
		return nil, errHeader
	}
	header, err := part(head, 4)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errHeader, err)
	}
	if err := t.header(header); err != nil {
		return nil, err
	}
	if t.Claims, err = part(body, MaxDepth); err != nil {
		return nil, fmt.Errorf("%w (%w)", errClaims, err)
	}
	if t.signature, err = decode(sig); err != nil {
		return nil, errSignature
	}
	return t, nil
}

func (t *Token) header(h map[string]json.RawMessage) error {
	if _, ok := h["crit"]; ok {
		return errCrit
	}
	for name, dst := range map[string]*string{"alg": &t.Alg, "kid": &t.KID, "typ": &t.Typ} {
		raw, ok := h[name]
		if !ok {
			continue
		}
		s, ok := text(raw)
		if !ok {
			return fmt.Errorf("its header's %q is not a string", name)
		}
		if name == "kid" && (s == "" || len(s) > MaxKeyID) {
			return fmt.Errorf(`its header's "kid" has %d bytes, not 1 to %d`, len(s), MaxKeyID)
		}
		*dst = s
	}
	if t.Alg == "" {
		return errors.New(`its header has no "alg"`)
	}
	return nil
}

// strict refuses what has a second encoding: padding, line breaks, and bits behind the end. Else a token could be
// changed without its signature noticing, which matters where tokens are compared or counted.
var strict = base64.RawURLEncoding.Strict()

func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which package base64 skips
		return nil, errNotJWT
	}
	return strict.DecodeString(s)
}

func part(s string, depth int) (map[string]json.RawMessage, error) {
	raw, err := decode(s)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return members(raw, depth)
}

// text decodes a JSON string.
func text(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// Text returns a claim that is a string.
func (t *Token) Text(claim string) (string, bool) { return text(t.Claims[claim]) }

// Has tells whether there is such a claim.
func (t *Token) Has(claim string) bool { _, ok := t.Claims[claim]; return ok }

// Bool returns a claim that is true or false; false if it is neither.
func (t *Token) Bool(claim string) bool { return string(t.Claims[claim]) == "true" }

// Texts returns a claim that is a string or an array of strings.
func (t *Token) Texts(claim string) ([]string, bool) {
	raw := t.Claims[claim]
	if s, ok := text(raw); ok {
		return []string{s}, true
	}
	var list []string
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, false
	}
	return list, true
}

// maxTime is the last second of year 9999: behind it nothing that handles dates agrees on anything.
const maxTime = 253402300799

// Time returns a claim that is a NumericDate: seconds since 1970, which may have a fraction. ok is false if it is there and is none;
// the time is zero if it is not there.
func (t *Token) Time(claim string) (at time.Time, ok bool) {
	raw, there := t.Claims[claim]
	if !there {
		return time.Time{}, true
	}
	var f float64
	if len(raw) == 0 || raw[0] == 'n' || json.Unmarshal(raw, &f) != nil {
		return time.Time{}, false
	}
	if f < 0 || f > maxTime || math.IsNaN(f) {
		return time.Time{}, false
	}
	whole, frac := math.Modf(f)
	return time.Unix(int64(whole), int64(frac*1e9)).UTC(), true
}

// String tells nothing of the token that could be used: it is for those who log one by mistake.
func (t *Token) String() string { return fmt.Sprintf("token(alg %.8q)", t.Alg) }
