package goadmin

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"testing"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/auth"
	"firebase.google.com/go/v4/auth/hash"
	"google.golang.org/api/iterator"
)

// project is one of the test's own.
type project struct{ name, apiKey, server string }

// authClient makes a project, and an Admin SDK for it by the emulator's conventions.
func authClient(t *testing.T) (*auth.Client, project) {
	t.Helper()
	port := os.Getenv("REBASE_PORT")
	if port == "" {
		t.Fatal("REBASE_PORT is not set: run test/sdk/run-go-admin.sh")
	}
	var b [8]byte
	rand.Read(b[:])
	p := project{"go-" + hex.EncodeToString(b[:4]), "key-" + hex.EncodeToString(b[:]), "http://localhost:" + port}
	p.post(t, "/_rebase/auth/projects", obj{"name": p.name, "apiKeys": []string{p.apiKey}})
	t.Setenv("FIREBASE_AUTH_EMULATOR_HOST", "localhost:"+port)
	app, err := firebase.NewApp(t.Context(), &firebase.Config{ProjectID: p.name})
	must(t, err)
	c, err := app.Auth(t.Context())
	must(t, err)
	return c, p
}

// post calls the server as its owner, or as an app.
func (p project) post(t *testing.T, path string, body obj) obj {
	t.Helper()
	text, err := json.Marshal(body)
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.server+path, bytes.NewReader(text))
	must(t, err)
	req.Header.Set("Authorization", "Bearer owner")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	must(t, err)
	var m obj
	must(t, json.Unmarshal(out, &m))
	m["status"] = res.StatusCode
	return m
}

// call is what an app does, of which there is no SDK for Go.
func (p project) call(t *testing.T, method string, body obj) obj {
	t.Helper()
	return p.post(t, "/identitytoolkit.googleapis.com/v1/accounts:"+method+"?key="+p.apiKey, body)
}

func (p project) signIn(t *testing.T, email, password string) (idToken string, err error) {
	t.Helper()
	m := p.call(t, "signInWithPassword", obj{"email": email, "password": password, "returnSecureToken": true})
	if id, ok := m["idToken"].(string); ok {
		return id, nil
	}
	return "", fmt.Errorf("%v", m["error"])
}

func TestAuthUsers(t *testing.T) {
	c, p := authClient(t)
	ctx := t.Context()
	made, err := c.CreateUser(ctx, (&auth.UserToCreate{}).UID("u1").Email("Ann@example.com").Password("secret1").DisplayName("Ann").PhoneNumber("+15555550100").EmailVerified(true))
	must(t, err)
	equal(t, "email", made.Email, "ann@example.com")
	for _, get := range []func() (*auth.UserRecord, error){
		func() (*auth.UserRecord, error) { return c.GetUser(ctx, "u1") },
		func() (*auth.UserRecord, error) { return c.GetUserByEmail(ctx, "ann@example.com") },
		func() (*auth.UserRecord, error) { return c.GetUserByPhoneNumber(ctx, "+15555550100") },
	} {
		u, err := get()
		must(t, err)
		equal(t, "user", []any{u.UID, u.DisplayName, u.EmailVerified, u.Disabled}, []any{"u1", "Ann", true, false})
		if u.UserMetadata.CreationTimestamp == 0 {
			t.Error("no time of creation")
		}
	}
	_, err = p.signIn(t, "ann@example.com", "secret1")
	must(t, err)
	_, err = c.CreateUser(ctx, (&auth.UserToCreate{}).UID("u1"))
	if !auth.IsUIDAlreadyExists(err) {
		t.Errorf("%v", err)
	}
	_, err = c.CreateUser(ctx, (&auth.UserToCreate{}).Email("ann@example.com"))
	if !auth.IsEmailAlreadyExists(err) {
		t.Errorf("%v", err)
	}
	u, err := c.UpdateUser(ctx, "u1", (&auth.UserToUpdate{}).DisplayName("").PhoneNumber("").Disabled(true).CustomClaims(obj{"role": "editor"}))
	must(t, err)
	equal(t, "changed", []any{u.DisplayName, u.PhoneNumber, u.Disabled, u.CustomClaims["role"]}, []any{"", "", true, "editor"})
	must(t, c.DeleteUser(ctx, "u1"))
	_, err = c.GetUser(ctx, "u1")
	if !auth.IsUserNotFound(err) {
		t.Errorf("%v", err)
	}
}

func TestAuthTokens(t *testing.T) {
	c, p := authClient(t)
	ctx := t.Context()
	_, err := c.CreateUser(ctx, (&auth.UserToCreate{}).UID("u1").Email("ann@example.com").Password("secret1"))
	must(t, err)
	must(t, c.SetCustomUserClaims(ctx, "u1", obj{"role": "editor"}))
	id, err := p.signIn(t, "ann@example.com", "secret1")
	must(t, err)
	token, err := c.VerifyIDTokenAndCheckRevoked(ctx, id)
	must(t, err)
	equal(t, "token", []any{token.UID, token.Audience, token.Claims["role"], token.Firebase.SignInProvider}, []any{"u1", p.name, "editor", "password"})
	must(t, c.RevokeRefreshTokens(ctx, "u1"))
	if _, err := c.VerifyIDTokenAndCheckRevoked(ctx, id); !auth.IsIDTokenRevoked(err) {
		t.Errorf("%v", err)
	}
	id, err = p.signIn(t, "ann@example.com", "secret1")
	must(t, err)
	_, err = c.VerifyIDTokenAndCheckRevoked(ctx, id)
	must(t, err)
	_, err = c.UpdateUser(ctx, "u1", (&auth.UserToUpdate{}).Disabled(true))
	must(t, err)
	if _, err := c.VerifyIDTokenAndCheckRevoked(ctx, id); !auth.IsUserDisabled(err) {
		t.Errorf("%v", err)
	}

	custom, err := c.CustomTokenWithClaims(ctx, "u2", obj{"level": 7})
	must(t, err)
	m := p.call(t, "signInWithCustomToken", obj{"token": custom, "returnSecureToken": true})
	token, err = c.VerifyIDToken(ctx, m["idToken"].(string))
	must(t, err)
	equal(t, "custom", []any{token.UID, token.Claims["level"], token.Firebase.SignInProvider}, []any{"u2", 7.0, "custom"})
}

func TestAuthListAndDelete(t *testing.T) {
	c, _ := authClient(t)
	ctx := t.Context()
	var want []string
	for i := range 12 {
		uid := fmt.Sprintf("u%02d", i)
		_, err := c.CreateUser(ctx, (&auth.UserToCreate{}).UID(uid))
		must(t, err)
		want = append(want, uid)
	}
	var got []string
	pager := iterator.NewPager(c.Users(ctx, ""), 5, "")
	for {
		var page []*auth.ExportedUserRecord
		next, err := pager.NextPage(&page)
		must(t, err)
		for _, u := range page {
			got = append(got, u.UID)
		}
		if next == "" {
			break
		}
	}
	slices.Sort(got)
	equal(t, "uids", got, want)
	found, err := c.GetUsers(ctx, []auth.UserIdentifier{auth.UIDIdentifier{UID: "u01"}, auth.UIDIdentifier{UID: "nobody"}})
	must(t, err)
	equal(t, "found", []int{len(found.Users), len(found.NotFound)}, []int{1, 1})
	gone, err := c.DeleteUsers(ctx, []string{"u01", "u02"})
	must(t, err)
	equal(t, "deleted", []int{gone.SuccessCount, gone.FailureCount}, []int{2, 0})
	if _, err := c.GetUser(ctx, "u01"); !auth.IsUserNotFound(err) {
		t.Errorf("%v", err)
	}
}

func TestAuthImport(t *testing.T) {
	c, p := authClient(t)
	ctx := t.Context()
	sum := sha256.Sum256([]byte("NaCl" + "secret1"))
	res, err := c.ImportUsers(ctx, []*auth.UserToImport{
		(&auth.UserToImport{}).UID("u1").Email("ann@example.com").PasswordHash(sum[:]).PasswordSalt([]byte("NaCl")).CustomClaims(obj{"a": 1}),
		(&auth.UserToImport{}).UID("u2").Email("ann@example.com"),
	}, auth.WithHash(hash.SHA256{Rounds: 1}))
	must(t, err)
	equal(t, "imported", []int{res.SuccessCount, res.FailureCount, res.Errors[0].Index}, []int{1, 1, 1})
	for range 2 { // the second time with the hash that has replaced it
		_, err = p.signIn(t, "ann@example.com", "secret1")
		must(t, err)
	}
	if _, err := p.signIn(t, "ann@example.com", "secret2"); err == nil {
		t.Error("a wrong password was taken")
	}
}

func TestAuthLinks(t *testing.T) {
	c, p := authClient(t)
	ctx := t.Context()
	_, err := c.CreateUser(ctx, (&auth.UserToCreate{}).UID("u1").Email("ann@example.com").Password("secret1"))
	must(t, err)
	link, err := c.PasswordResetLink(ctx, "ann@example.com")
	must(t, err)
	u, err := url.Parse(link)
	must(t, err)
	m := p.call(t, "resetPassword", obj{"oobCode": u.Query().Get("oobCode"), "newPassword": "secret2"})
	equal(t, "reset", m["email"], any("ann@example.com"))
	_, err = p.signIn(t, "ann@example.com", "secret2")
	must(t, err)
	if _, err := c.PasswordResetLink(ctx, "nobody@example.com"); !auth.IsEmailNotFound(err) {
		t.Errorf("%v", err)
	}
	link, err = c.EmailVerificationLink(ctx, "ann@example.com")
	must(t, err)
	u, err = url.Parse(link)
	must(t, err)
	p.call(t, "update", obj{"oobCode": u.Query().Get("oobCode")})
	got, err := c.GetUser(ctx, "u1")
	must(t, err)
	equal(t, "verified", got.EmailVerified, true)
}

func TestAuthProviders(t *testing.T) {
	c, _ := authClient(t)
	ctx := t.Context()
	_, err := c.CreateOIDCProviderConfig(ctx, (&auth.OIDCProviderConfigToCreate{}).ID("oidc.corp").DisplayName("Corp").Enabled(true).ClientID("client-1").Issuer("https://idp.example.com"))
	must(t, err)
	got, err := c.OIDCProviderConfig(ctx, "oidc.corp")
	must(t, err)
	equal(t, "provider", []any{got.ID, got.ClientID, got.Issuer, got.Enabled}, []any{"oidc.corp", "client-1", "https://idp.example.com", true})
	must(t, c.DeleteOIDCProviderConfig(ctx, "oidc.corp"))
	if _, err := c.OIDCProviderConfig(ctx, "oidc.corp"); !auth.IsConfigurationNotFound(err) {
		t.Errorf("%v", err)
	}
}
