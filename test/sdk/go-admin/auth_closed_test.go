package goadmin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/auth"
	"google.golang.org/api/option"
)

// closedServer starts a closed server of the test's own and returns its address and root secret.
func closedServer(t *testing.T) (address, root string) {
	t.Helper()
	bin := os.Getenv("REBASE_BIN")
	if bin == "" {
		t.Fatal("REBASE_BIN is not set: run test/sdk/run-go-admin.sh")
	}
	dir := t.TempDir()
	cmd := exec.Command(bin, "serve", "--listen", "127.0.0.1:0", "--no-open", "--data", dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on http://"); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			secret, err := os.ReadFile(filepath.Join(dir, "root-secret"))
			must(t, err)
			return strings.TrimSpace(url), strings.TrimSpace(string(secret))
		}
	}
	t.Fatal("the server did not start")
	return "", ""
}

// The unmodified Admin SDK, by a key file of a service account: its connections to Google's names are led to the server by the transport that
// all of its clients are made from. In production the function dials with TLS, for the server's own name.
func TestAuthClosed(t *testing.T) {
	address, root := closedServer(t)
	ask := func(path, token string, body obj) (m obj) {
		t.Helper()
		text, err := json.Marshal(body)
		must(t, err)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+path, bytes.NewReader(text))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		must(t, err)
		defer res.Body.Close()
		must(t, json.NewDecoder(res.Body).Decode(&m))
		return m
	}
	const name, key = "go-closed", "key-of-go-closed"
	ask("/_rebase/auth/projects", root, obj{"name": name, "apiKeys": []string{key}})
	made := ask("/_rebase/auth/projects/"+name+"/service-accounts", root, obj{"name": "admin"})
	if file, ok := made["keyFile"].(obj); ok {
		made = file
	}
	keyFile, err := json.Marshal(made)
	must(t, err)

	transport := http.DefaultTransport.(*http.Transport)
	before := transport.DialTLSContext
	transport.DialTLSContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address) // the server of the test has no certificate
	}
	t.Cleanup(func() { transport.DialTLSContext = before })
	t.Setenv("FIREBASE_AUTH_EMULATOR_HOST", "")
	app, err := firebase.NewApp(t.Context(), &firebase.Config{ProjectID: name}, option.WithCredentialsJSON(keyFile))
	must(t, err)
	c, err := app.Auth(t.Context())
	must(t, err)
	u, err := c.CreateUser(t.Context(), (&auth.UserToCreate{}).UID("u1").Email("ann@example.com").Password("secret1"))
	must(t, err)
	equal(t, "uid", u.UID, "u1")
	m := ask("/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key="+key, "", obj{"email": "ann@example.com", "password": "secret1"})
	id, _ := m["idToken"].(string)
	token, err := c.VerifyIDTokenAndCheckRevoked(t.Context(), id)
	must(t, err)
	equal(t, "token", token.UID, "u1")
	if _, err := c.VerifyIDToken(t.Context(), id[:len(id)-8]+"AAAAAAAA"); err == nil {
		t.Error("a forged token was taken")
	}
	custom, err := c.CustomToken(t.Context(), "u2")
	must(t, err)
	m = ask("/identitytoolkit.googleapis.com/v1/accounts:signInWithCustomToken?key="+key, "", obj{"token": custom})
	id, _ = m["idToken"].(string)
	token, err = c.VerifyIDToken(t.Context(), id)
	must(t, err)
	equal(t, "custom", token.UID, "u2")
	must(t, c.RevokeRefreshTokens(t.Context(), "u2"))
	if _, err := c.VerifyIDTokenAndCheckRevoked(t.Context(), id); !auth.IsIDTokenRevoked(err) {
		t.Errorf("%v", err)
	}
}
