package server

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"rebase/auth/token"
)

// watching begins a stream, which wantEnded expects to be revoked.
func watching(t *testing.T, url, cred string) (wantEnded func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the test fails if nothing ends it before
	t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	req.Header.Set("Accept", "text/event-stream")
	if cred != "" {
		req.Header.Set("Authorization", "Bearer "+cred)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	if !lines.Scan() || lines.Text() != "event: put" {
		t.Fatalf("the stream begins with %q", lines.Text())
	}
	return func() {
		t.Helper()
		var all []string
		for lines.Scan() {
			all = append(all, lines.Text())
		}
		if text := strings.Join(all, "\n"); !strings.Contains(text, "auth_revoked") {
			t.Errorf("the stream ended with %q", text)
		}
	}
}

// TestWithdrawnCredentials: what is open by a credential ends with it.
func TestWithdrawnCredentials(t *testing.T) {
	dir := t.TempDir()
	s := closed(t, dir, nil)
	root := rootSecret(t, dir)
	api := s.URL() + "/_rebase/auth/"
	wantStatus(t, 201, "POST", api+"projects", root, `{"name":"shop"}`)
	wantStatus(t, 200, "PUT", s.URL()+"/.settings/rules.json?ns=shop", root, `{"rules":{".read":"auth != null"}}`)
	var secret struct{ ID, Secret string }
	make := func() {
		t.Helper()
		if err := json.Unmarshal([]byte(wantStatus(t, 201, "POST", api+"projects/shop/secrets", root, `{}`)), &secret); err != nil {
			t.Fatal(err)
		}
	}
	at := s.URL() + "/a.json?ns=shop"
	user := func() string {
		t.Helper()
		now := time.Now().Unix()
		text, err := token.Sign(token.HS256, nil, map[string]any{"v": 0, "iat": now, "exp": now + 1e6, "d": map[string]any{"uid": "ann"}}, []byte(secret.Secret))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}

	make()
	service, ann := watching(t, at, secret.Secret), watching(t, at+"&auth="+user(), "")
	wantStatus(t, 200, "DELETE", api+"projects/shop/secrets/"+secret.ID, root, "")
	service()
	ann()

	make()
	ann = watching(t, at+"&auth="+user(), "")
	operator := watching(t, at, root)
	wantStatus(t, 200, "DELETE", api+"projects/shop?confirm=shop", root, "")
	ann()
	wantStatus(t, 200, "POST", api+"root/rotate", root, "")
	operator()
	wantStatus(t, 401, "GET", at, root, "")
}
