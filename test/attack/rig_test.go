package attack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rebase/server"
	"rebase/test/harness"
)

// The databases under attack. Everyone may read /pub of alpha, its users /private as well, its administrators everything of it; nobody but
// beta's may do anything in beta.
const (
	alphaRules = `{"rules": {
		"pub": {".read": true},
		"private": {".read": "auth != null"},
		"own": {"$uid": {".read": "auth.uid == $uid", ".write": "auth.uid == $uid"}}
	}}`
	betaRules  = `{"rules": {"$any": {".read": "auth.uid == 'bob'", ".write": "auth.uid == 'bob'"}}}`
	alphaData  = `{"pub": {"hello": "world"}, "private": {"x": "ALPHA-PRIVATE"}, "own": {"bob": "BOBS-OWN"}, "hidden": "ALPHA-HIDDEN"}`
	betaData   = `{"private": {"x": "BETA-SECRET"}, "pub": "BETA-SECRET"}`
	alphaKey   = "alpha-secret-alpha-secret-alpha-secret"
	betaKey    = "beta-secret-beta-secret-beta-secret-be"
	answerTime = time.Minute
)

// victim is the server, with what its administrator knows.
type victim struct {
	t    *testing.T
	s    *server.Server
	addr string
	root string
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	dir := t.TempDir()
	s, err := server.Start(t.Context(), server.Options{Data: dir, Access: server.AccessClosed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	secret, err := os.ReadFile(filepath.Join(dir, server.RootSecretFile))
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{t: t, s: s, addr: strings.TrimPrefix(s.URL(), "http://"), root: strings.TrimSpace(string(secret))}
	for name, key := range map[string]string{"alpha": alphaKey, "beta": betaKey} {
		v.admin("POST", "/_rebase/auth/projects", fmt.Sprintf(`{"name":%q}`, name), http.StatusCreated)
		v.admin("POST", "/_rebase/auth/projects/"+name+"/secrets", fmt.Sprintf(`{"secret":%q}`, key), http.StatusCreated)
	}
	v.admin("PUT", "/.settings/rules.json?ns=alpha", alphaRules, 200)
	v.admin("PUT", "/.settings/rules.json?ns=beta", betaRules, 200)
	v.admin("PUT", "/.json?ns=alpha", alphaData, 200)
	v.admin("PUT", "/.json?ns=beta", betaData, 200)
	return v
}

// admin makes a request as the holder of the root secret, and returns the answer.
func (v *victim) admin(method, path, body string, status int) string {
	v.t.Helper()
	req, err := http.NewRequest(method, v.s.URL()+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+v.root)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		v.t.Fatalf("%s %s: %d %s, %v; want %d", method, path, resp.StatusCode, text, err, status)
	}
	return string(text)
}

// state is all that an attacker must not change, as the administrator sees it.
func (v *victim) state() string {
	v.t.Helper()
	var b strings.Builder
	for _, path := range []string{
		"/.json?ns=alpha", "/.json?ns=beta", "/.settings/rules.json?ns=alpha", "/.settings/rules.json?ns=beta",
		"/_rebase/auth/projects", "/_rebase/auth/projects/alpha", "/_rebase/auth/projects/beta", "/.inspect/databases.json",
	} {
		b.WriteString(v.admin("GET", path, "", 200))
	}
	return b.String()
}

// unchanged compares the state with an earlier one.
func (v *victim) unchanged(before string) {
	v.t.Helper()
	if after := v.state(); after != before {
		v.t.Errorf("something has changed:\n%s\nwas\n%s", after, before)
	}
}

// token is a user's token, signed by a database secret.
func token(key, uid string) string {
	enc := base64.RawURLEncoding
	now := time.Now().Unix()
	text := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		enc.EncodeToString(fmt.Appendf(nil, `{"v":0,"iat":%d,"exp":%d,"d":{"uid":%q}}`, now-10, now+3600, uid))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + enc.EncodeToString(mac.Sum(nil))
}

// raw sends a request exactly as it is written, but for a Host where there is none, and returns the answer.
func (v *victim) raw(method, target, host, body string, headers ...string) (status int, answer string) {
	v.t.Helper()
	c, err := net.Dial("tcp", v.addr)
	if err != nil {
		v.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(answerTime))
	if host == "" {
		host = v.addr
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, target, host)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	if _, err := c.Write(b.Bytes()); err != nil {
		v.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		v.t.Fatalf("%s %q: %v", method, target, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// secrets are the marks that an answer must not hold, for somebody who has a right to nothing but /pub of alpha, and for alpha's administrator.
var (
	allSecrets  = []string{"ALPHA-PRIVATE", "ALPHA-HIDDEN", "BOBS-OWN", "BETA-SECRET", alphaKey, betaKey, "serviceAccounts"}
	betaSecrets = []string{"BETA-SECRET", alphaKey, betaKey, "serviceAccounts"}
)

func (v *victim) holdsNone(what, answer string, secrets []string) {
	v.t.Helper()
	for _, s := range append([]string{v.root[len(v.root)/2:]}, secrets...) {
		if strings.Contains(answer, s) {
			v.t.Errorf("%s: the answer holds %s: %.300s", what, s, answer)
		}
	}
}

// canRead checks that a credential is good where it should be: else it proves nothing that it opens nothing.
func (v *victim) canRead(path, mark string) {
	v.t.Helper()
	if status, answer := v.raw("GET", path, "", ""); status != http.StatusOK || !strings.Contains(answer, mark) {
		v.t.Fatalf("GET %s: %d %s", path, status, answer)
	}
}

// connect opens a connection with a query, and says whether it was possible.
func (v *victim) connect(query string) *harness.Conn {
	v.t.Helper()
	c, err := harness.Upgrade(v.addr, query)
	if err != nil {
		return nil
	}
	v.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(answerTime))
	return c
}

// dial opens a connection to a database and signs in, if there is a token.
func (v *victim) dial(ns, scheme, credential string) *harness.Conn {
	v.t.Helper()
	c, err := harness.Dial(v.addr, ns, "")
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(answerTime))
	if credential != "" {
		m, err := c.Call(scheme, fmt.Appendf(nil, `{"cred":%q}`, credential))
		if err != nil || m.Status != "ok" {
			v.t.Fatalf("signing in: %+v, %v", m, err)
		}
	}
	return c
}

// text is a message as it can be searched.
func text(m harness.Message) string {
	b, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(b) + string(m.Data)
}
