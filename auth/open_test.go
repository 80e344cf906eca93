package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"
)

func jwt(claims string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"none","type":"JWT"}`)) + "." + e([]byte(claims)) + "."
}

func TestOpen(t *testing.T) {
	mock := `{"iss":"x","iat":0,"exp":3600,"auth_time":0,"sub":"alice","user_id":"alice","firebase":{"sign_in_provider":"custom"}}`
	for _, tc := range []struct {
		name    string
		cred    Credential
		admin   bool
		auth    string // "" for null
		invalid bool
	}{
		{name: "owner", cred: Credential{Scheme: Service, Token: "owner"}, admin: true},
		{name: "owner is no user token", cred: Credential{Scheme: User, Token: "owner"}, invalid: true},
		{name: "owner without auth", cred: Credential{Scheme: Service, Token: "owner", Unauthenticated: true}},
		{name: "owner as somebody", cred: Credential{Scheme: Service, Token: "owner", Override: json.RawMessage(`{"uid":"bob"}`)}, auth: `{"uid":"bob"}`},
		{name: "owner with null override", cred: Credential{Scheme: Service, Token: "owner", Override: json.RawMessage(`null`)}},
		{name: "bad override", cred: Credential{Scheme: Service, Token: "owner", Override: json.RawMessage(`7`)}, invalid: true},
		{name: "expired mock token is accepted", cred: Credential{Token: jwt(mock)}, auth: `{"uid":"alice","provider":"custom","token":` + mock + `}`},
		{name: "jwt without iat comes as service", cred: Credential{Scheme: Service, Token: jwt(`{"sub":"a"}`)}, auth: `{"uid":"a","token":{"sub":"a"}}`},
		{name: "legacy", cred: Credential{Token: jwt(`{"v":0,"d":{"uid":"z"},"iat":1}`)}, auth: `{"uid":"z"}`},
		{name: "empty", cred: Credential{}, invalid: true},
		{name: "garbage", cred: Credential{Token: "a.b.c"}, invalid: true},
		{name: "claims are null", cred: Credential{Token: jwt(`null`)}, invalid: true},
		{name: "opaque", cred: Credential{Scheme: Service, Token: "ya29.something"}, invalid: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, err := Open{}.Authenticate(context.Background(), tc.cred)
			var rejected *Error
			if tc.invalid {
				if !errors.As(err, &rejected) || rejected.Status != StatusInvalidToken {
					t.Fatalf("got %v, want invalid_token", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id.Admin != tc.admin || !sameJSON(t, string(id.Auth), tc.auth) {
				t.Fatalf("got admin %v, auth %s", id.Admin, id.Auth)
			}
		})
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	if a == "" || b == "" {
		return a == b
	}
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatal(err)
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}
