package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rebase/server"
)

// closedServer starts a closed server and points the variables of `rebase auth` to it.
func closedServer(t *testing.T) (url, dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := server.Start(t.Context(), server.Options{Data: dir, Access: server.AccessClosed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(context.WithoutCancel(t.Context())) })
	t.Setenv("REBASE_URL", s.URL())
	t.Setenv("REBASE_SECRET_FILE", filepath.Join(dir, server.RootSecretFile))
	return s.URL(), dir
}

// good runs a command that must succeed, and returns its output.
func good(t *testing.T, in string, args ...string) string {
	t.Helper()
	code, out, errs := rebase(t, in, args...)
	if code != exitOK {
		t.Fatalf("%q: exit code %d: %s", args, code, errs)
	}
	return out
}

// bad runs a command that must fail with a message that holds says.
func bad(t *testing.T, says string, code int, in string, args ...string) {
	t.Helper()
	got, _, errs := rebase(t, in, args...)
	if got != code || !strings.Contains(errs, says) {
		t.Errorf("%q: exit code %d, want %d, and %q in: %s", args, got, code, says, errs)
	}
}

func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

// The way from nothing to a project with a service account, as docs/auth.md goes it.
func TestAuthCommands(t *testing.T) {
	closedServer(t)
	dir := t.TempDir()
	contains(t, good(t, "", "auth", "project", "create", "shop", "--database", "stock"), "shop", "stock", "shop-default-rtdb", "RBZ")
	bad(t, "already", exitFailure, "", "auth", "project", "create", "shop")
	bad(t, "lower-case", exitFailure, "", "auth", "project", "create", "Shop")
	contains(t, good(t, "", "auth", "project", "list"), "shop")
	contains(t, good(t, `{"firebaseProject":"shop-1234"}`, "auth", "project", "config", "shop", "-"), "shop-1234")
	contains(t, good(t, "", "auth", "project", "show", "shop"), `"firebaseProject": "shop-1234"`)
	bad(t, "is not JSON", exitUsage, `{`, "auth", "project", "config", "shop", "-")
	bad(t, "issuers[0]", exitFailure, `{"issuers":[{"name":"x","issuer":"x","audiences":["x"]}]}`, "auth", "project", "config", "shop", "-")

	key := filepath.Join(dir, "key.json")
	contains(t, good(t, "", "auth", "service-account", "create", "--project", "shop", "backend", "-o", key), "backend@shop.iam.rebase.internal", "/_rebase/oauth2/token")
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the key file: %v", info.Mode())
	}
	bad(t, "exists", exitFailure, "", "auth", "service-account", "create", "--project", "shop", "other", "-o", key)
	none := filepath.Join(dir, "none.json")
	bad(t, "already", exitFailure, "", "auth", "service-account", "create", "--project", "shop", "backend", "-o", none)
	if _, err := os.Stat(none); err == nil {
		t.Error("a key file was left behind for an account that was not made")
	}
	contains(t, good(t, "", "auth", "service-account", "list", "--project", "shop"), "backend@shop.iam.rebase.internal")
	good(t, "", "auth", "service-account", "add-key", "--project", "shop", "backend@shop.iam.rebase.internal", "-o", filepath.Join(dir, "second.json"))
	var file struct {
		ID string `json:"private_key_id"`
	}
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	good(t, "", "auth", "service-account", "delete-key", "--project", "shop", "backend@shop.iam.rebase.internal", file.ID)
	good(t, "", "auth", "service-account", "delete", "--project", "shop", "backend@shop.iam.rebase.internal")
	// The private key is in the file alone, and the public one is in it, too.
	contains(t, good(t, "", "auth", "service-account", "import", "--project", "shop", key), "took over backend@shop")
	bad(t, "no key file", exitFailure, `{}`, "auth", "service-account", "import", "--project", "shop", "-")

	secret := strings.TrimSpace(good(t, "", "auth", "secret", "create", "--project", "shop", "--database", "stock"))
	contains(t, good(t, secret, "auth", "token", "inspect", "--database", "stock"), "administrator", "shop")
	bad(t, "neither a token nor a secret", exitFailure, secret, "auth", "token", "inspect", "--database", "shop")
	list := good(t, "", "auth", "secret", "list", "--project", "shop")
	contains(t, list, "stock")
	if strings.Contains(list, secret) {
		t.Error("a list tells a secret")
	}
	id := strings.Fields(strings.Split(list, "\n")[1])[0]
	contains(t, good(t, strings.Repeat("f", 40), "auth", "secret", "import", "--project", "shop", "-"), "secret ")
	good(t, "", "auth", "secret", "revoke", "--project", "shop", id)
	bad(t, "neither a token nor a secret", exitFailure, secret, "auth", "token", "inspect", "--database", "stock")

	contains(t, good(t, "", "auth", "keys", "rotate"), "signs")
	retired := strings.Fields(strings.Split(good(t, "", "auth", "keys", "list"), "\n")[1])[0]
	contains(t, good(t, "", "auth", "keys", "rotate"), "signs", "verifies until", retired)
	if left := good(t, "", "auth", "keys", "revoke", retired); strings.Contains(left, retired) {
		t.Errorf("the key is still there:\n%s", left)
	}
	contains(t, good(t, "", "auth", "keys", "list", "--json"), `"keys": [`)
	bad(t, "--yes", exitUsage, "", "auth", "project", "delete", "shop")
	contains(t, good(t, "", "auth", "project", "delete", "shop", "--yes"), "deleted")

	root := strings.TrimSpace(good(t, "", "auth", "root", "rotate")) // the server has written the file anew
	contains(t, good(t, "", "auth", "keys", "list"), "signs")
	t.Setenv("REBASE_SECRET_FILE", "")
	t.Setenv(secretVariable, root)
	contains(t, good(t, "", "auth", "keys", "list"), "signs")
}

func TestAuthCommandsThatAreRefused(t *testing.T) {
	_, dir := closedServer(t)
	t.Setenv("REBASE_SECRET_FILE", "")
	t.Chdir(t.TempDir()) // where there is no rebase-data
	bad(t, "the root secret is needed", exitFailure, "", "auth", "project", "list")
	t.Setenv(secretVariable, "wrong")
	bad(t, "not the root secret", exitFailure, "", "auth", "project", "list")
	bad(t, "no such file", exitFailure, "", "auth", "project", "list", "--secret-file", filepath.Join(dir, "nothing"))
	bad(t, "use https://", exitUsage, "", "auth", "project", "list", "--url", "http://db.example.com")
	bad(t, "--url must be", exitUsage, "", "auth", "project", "list", "--url", "db.example.com")
	bad(t, "is a server running there", exitFailure, "", "auth", "project", "list", "--url", "http://127.0.0.1:1")
	bad(t, "--project", exitUsage, "", "auth", "secret", "list")
}
