package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rebase/auth"
	"rebase/auth/jwks"
	"rebase/auth/keys"
	"rebase/auth/projects"
	"rebase/auth/token"
)

// closed starts a closed server on dir.
func closed(t *testing.T, dir string, change func(*Options)) *Server {
	t.Helper()
	o := Options{Data: dir, Access: AccessClosed}
	if change != nil {
		change(&o)
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(context.WithoutCancel(t.Context())) })
	return s
}

func rootSecret(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, RootSecretFile)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s may be read by others: %v", name, info.Mode())
	}
	return strings.TrimSpace(string(text))
}

// asked sends a request and returns the status and the body.
func asked(t *testing.T, method, url, cred, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if cred != "" {
		req.Header.Set("Authorization", "Bearer "+cred)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func wantStatus(t *testing.T, want int, method, url, cred, body string) string {
	t.Helper()
	code, text := asked(t, method, url, cred, body)
	if code != want {
		t.Errorf("%s %s: %d %s, want %d", method, url, code, text, want)
	}
	return text
}

// A closed server makes its root secret once, lets nobody else in, and keeps what was set up over a restart.
func TestClosedServer(t *testing.T) {
	dir := t.TempDir()
	s := closed(t, dir, nil)
	root := rootSecret(t, dir)
	admin := s.URL() + "/_rebase/auth/"
	wantStatus(t, 401, "GET", s.URL()+"/a.json?ns=shop", "", "")
	wantStatus(t, 401, "GET", s.URL()+"/a.json?ns=shop", auth.Owner, "")
	wantStatus(t, 200, "PUT", s.URL()+"/a.json?ns=shop", root, "1")
	wantStatus(t, 401, "GET", admin+"projects", "", "")
	wantStatus(t, 403, "GET", admin+"projects", auth.Owner, "")
	wantStatus(t, 201, "POST", admin+"projects", root, `{"name":"shop"}`)
	var secret struct{ ID, Secret string }
	if err := json.Unmarshal([]byte(wantStatus(t, 201, "POST", admin+"projects/shop/secrets", root, "{}")), &secret); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, 200, "GET", s.URL()+"/a.json?ns=shop&auth="+secret.Secret, "", "")
	wantStatus(t, 401, "GET", s.URL()+"/a.json?ns=blog&auth="+secret.Secret, "", "")
	for _, ns := range []string{"_auth", "%5Fauth", "_Auth"} {
		if code, text := asked(t, "GET", s.URL()+"/.json?ns="+ns, root, ""); code < 400 {
			t.Errorf("the system's database is read as %s: %s", ns, text)
		}
	}
	if text := wantStatus(t, 200, "GET", s.URL()+"/_rebase/auth/jwks", "", ""); !strings.Contains(text, `"keys":`) {
		t.Error(text)
	}
	// A database may hold a node of that name.
	wantStatus(t, 200, "PUT", s.URL()+"/_rebase/auth/jwks.json?ns=shop", root, "1")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	s = closed(t, dir, nil)
	if again := rootSecret(t, dir); again != root {
		t.Error("a restart made another root secret")
	}
	wantStatus(t, 200, "GET", s.URL()+"/a.json?ns=shop", root, "")
	wantStatus(t, 200, "GET", s.URL()+"/a.json?ns=shop", secret.Secret, "")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	s = closed(t, dir, func(o *Options) { o.NewRootSecret = true })
	neu := rootSecret(t, dir)
	if neu == root {
		t.Error("no new root secret was made")
	}
	wantStatus(t, 401, "GET", s.URL()+"/a.json?ns=shop", root, "")
	wantStatus(t, 200, "GET", s.URL()+"/a.json?ns=shop", neu, "")
}

// An open server has no root secret, and tools that say "owner" administer it.
func TestOpenServerIsAdministeredByItsOwner(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(t.Context(), Options{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	if _, err := os.Stat(filepath.Join(dir, RootSecretFile)); err == nil {
		t.Error("there is a root secret")
	}
	wantStatus(t, 201, "POST", s.URL()+"/_rebase/auth/projects", auth.Owner, `{"name":"shop"}`)
	wantStatus(t, 401, "GET", s.URL()+"/_rebase/auth/projects", "", "")
}

// A service account's stream ends when the account is deleted, and its access token is void.
func TestDeletedServiceAccount(t *testing.T) {
	dir := t.TempDir()
	s := closed(t, dir, nil)
	root := rootSecret(t, dir)
	admin := s.URL() + "/_rebase/auth/projects"
	wantStatus(t, 201, "POST", admin, root, `{"name":"shop"}`)
	var file projects.KeyFile
	if err := json.Unmarshal([]byte(wantStatus(t, 201, "POST", admin+"/shop/service-accounts", root, `{"name":"backend"}`)), &file); err != nil {
		t.Fatal(err)
	}
	res, err := http.PostForm(file.TokenURI, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion(t, file)}})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Token == "" {
		t.Fatal(err, answer)
	}
	res.Body.Close()
	wantStatus(t, 200, "PUT", s.URL()+"/a.json?ns=shop", answer.Token, "1")
	wantStatus(t, 401, "PUT", s.URL()+"/a.json?ns=blog", answer.Token, "1")

	req, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/a.json?ns=shop", nil)
	req.Header.Set("Authorization", "Bearer "+answer.Token)
	req.Header.Set("Accept", "text/event-stream")
	if res, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	if !lines.Scan() || lines.Text() != "event: put" {
		t.Fatalf("the stream begins with %q", lines.Text())
	}
	wantStatus(t, 200, "DELETE", admin+"/shop/service-accounts/"+file.ClientEmail, root, "")
	wantStatus(t, 401, "GET", s.URL()+"/a.json?ns=shop", answer.Token, "")
	var all []string
	for lines.Scan() {
		all = append(all, lines.Text())
	}
	if text := strings.Join(all, "\n"); !strings.Contains(text, "auth_revoked") {
		t.Errorf("the stream ended with %q", text)
	}
}

func assertion(t *testing.T, f projects.KeyFile) string {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	private, err := projects.PrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	s, err := token.Sign(token.RS256, map[string]any{"kid": f.PrivateKeyID}, map[string]any{"iss": f.ClientEmail, "aud": f.TokenURI, "iat": now, "exp": now + 600}, private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An ID token of the server's own is good over REST, at its project and nowhere else, and rotation does not end it.
func TestIDTokenOverREST(t *testing.T) {
	dir := t.TempDir()
	s := closed(t, dir, nil)
	root := rootSecret(t, dir)
	for _, name := range []string{"shop", "blog"} {
		wantStatus(t, 201, "POST", s.URL()+"/_rebase/auth/projects", root, `{"name":"`+name+`"}`)
		wantStatus(t, 200, "PUT", s.URL()+"/.settings/rules.json?ns="+name, root, `{"rules":{"$uid":{".read":"auth.uid === $uid",".write":"auth.uid === $uid"}}}`)
	}
	at := time.Now().Unix()
	// Anonymous, so that no e-mail address is needed.
	var account struct{ IDToken, LocalID string }
	key := ""
	if c, ok := s.auth.projects.Config("shop"); ok {
		key = c.APIKeys[0]
	}
	if err := json.Unmarshal([]byte(wantStatus(t, 200, "POST", s.URL()+"/identitytoolkit.googleapis.com/v1/accounts:signUp?key="+key, "", `{"returnSecureToken":true}`)), &account); err != nil {
		t.Fatal(err)
	}
	mine := "/" + account.LocalID + ".json?auth=" + account.IDToken + "&ns="
	wantStatus(t, 200, "PUT", s.URL()+mine+"shop", "", "1")
	wantStatus(t, 401, "PUT", s.URL()+mine+"blog", "", "1")
	wantStatus(t, 401, "PUT", s.URL()+"/other.json?auth="+account.IDToken+"&ns=shop", "", "1")
	wantStatus(t, 401, "GET", s.URL()+mine+"shop&auth_variable_override=%7B%22uid%22%3A%22other%22%7D", account.IDToken, "")
	wantStatus(t, 200, "POST", s.URL()+"/_rebase/auth/keys/rotate", root, "")
	wantStatus(t, 200, "PUT", s.URL()+mine+"shop", "", "2")
	// A token for a user who is not there is signed by the right key, and refused.
	forged, err := s.auth.keys.Sign(map[string]any{
		"iss": projects.OwnIssuer + "shop", "aud": "shop", "sub": "nobody", "iat": at, "auth_time": at, "exp": at + 60,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, 401, "PUT", s.URL()+"/nobody.json?ns=shop&auth="+forged, "", "1")
}

// Key material and secrets are in the system's database, which no client of whatever rank reaches; and a secret is not in the server's log.
func TestNothingIsLogged(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	s := closed(t, dir, func(o *Options) { o.Logger = testLogger(&log) })
	root := rootSecret(t, dir)
	wantStatus(t, 401, "GET", s.URL()+"/a.json?ns=shop", keys.NewRootSecret(), "")
	wantStatus(t, 401, "GET", s.URL()+"/a.json?ns=shop&auth=some.credential.zzzzzzzzzz", "", "")
	wantStatus(t, 200, "GET", s.URL()+"/a.json?ns=shop", root, "")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Contains(text, root) || strings.Contains(text, "zzzzzzzzzz") || strings.Contains(text, keys.RootPrefix) {
		t.Errorf("a credential is in the log: %s", text)
	}
}

// While an app moves here, its users' tokens come from Google, and its App Check tokens, too.
func TestTokensFromGoogle(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	google := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwks.Publish("google-1", &key.PublicKey)}})
	}))
	defer google.Close()
	dir := t.TempDir()
	s := closed(t, dir, func(o *Options) { o.FirebaseKeys, o.AppCheckKeys = google.URL+"/ids", google.URL+"/apps" })
	root := rootSecret(t, dir)
	projects := s.URL() + "/_rebase/auth/projects"
	wantStatus(t, 201, "POST", projects, root, `{"name":"shop","firebaseProject":"shop-1234","appCheck":{"projectNumber":"4711"}}`)
	wantStatus(t, 200, "PUT", s.URL()+"/.settings/rules.json?ns=shop", root, `{"rules":{"$uid":{".read":"auth.uid === $uid",".write":"auth.uid === $uid && auth.provider === 'password'"}}}`)
	at := time.Now().Unix()
	sign := func(claims map[string]any) string {
		claims["iat"], claims["exp"] = at, at+600
		text, err := token.Sign(token.RS256, map[string]any{"kid": "google-1"}, claims, key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	alice := sign(map[string]any{"iss": "https://securetoken.google.com/shop-1234", "aud": "shop-1234", "sub": "alice", "firebase": map[string]any{"sign_in_provider": "password"}})
	app := sign(map[string]any{"iss": "https://firebaseappcheck.googleapis.com/4711", "aud": []string{"projects/4711"}, "sub": "1:4711:web:a"})
	mine := s.URL() + "/alice.json?ns=shop&auth=" + alice
	wantStatus(t, 200, "PUT", mine, "", "1")
	wantStatus(t, 401, "PUT", s.URL()+"/bob.json?ns=shop&auth="+alice, "", "1")
	wantStatus(t, 200, "PATCH", projects+"/shop", root, `{"appCheck":{"projectNumber":"4711","required":true}}`)
	wantStatus(t, 401, "GET", mine, "", "")
	by := func(appCheck string, want int) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), "GET", mine, nil)
		req.Header.Set("X-Firebase-AppCheck", appCheck)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != want {
			t.Errorf("status %d, want %d", res.StatusCode, want)
		}
	}
	by(app, 200)
	by(alice, 401)
	wantStatus(t, 200, "PATCH", projects+"/shop", root, `{"firebaseProject":""}`)
	by(app, 401)

	var start *StartError
	if _, err := Start(t.Context(), Options{Data: t.TempDir(), FirebaseKeys: "http://keys.example.com"}); !errors.As(err, &start) {
		t.Errorf("keys are fetched over an open line: %v", err)
	}
}
