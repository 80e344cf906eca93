package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rebase/server"
)

// The key and the hash are those of the example of github.com/firebase/scrypt.
const usersFile = `{"users": [
{"localId": "u1", "email": "ann@example.com", "emailVerified": true, "displayName": "Ann, \"the\" first", "createdAt": "1486324027000", "lastSignedInAt": 1486324027001,
 "passwordHash": "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==", "salt": "42xEC+ixf3L2lw==",
 "customAttributes": "{\"a\":1}", "providerUserInfo": [{"providerId": "google.com", "rawId": "g1", "email": "ann@gmail.example.com"}]},
{"localId": "u2", "disabled": true, "phoneNumber": "+15555550100", "createdAt": "1486324027002", "providerUserInfo": []}
]}`

var scryptFlags = []string{"--hash-algo=scrypt", "--hash-key=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==", "--salt-separator=Bw==", "--rounds=8", "--mem-cost=14"}

func TestUsersGoInAndOut(t *testing.T) {
	dir := t.TempDir()
	s, err := server.Start(t.Context(), server.Options{Data: filepath.Join(dir, "data"), Access: server.AccessClosed})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	call := func(want int, args ...string) (out, errs string) {
		t.Helper()
		var o, e bytes.Buffer
		all := append([]string{"auth", "--url", s.URL(), "--secret-file", filepath.Join(dir, "data", server.RootSecretFile)}, args...)
		if got := run(t.Context(), all, streams{strings.NewReader(usersFile), &o, &e}); got != want {
			t.Fatalf("%s: exit code %d, want %d: %s", args, got, want, e.String())
		}
		return o.String(), e.String()
	}
	call(exitOK, "project", "create", "one")
	call(exitOK, "project", "create", "two")
	if _, e := call(exitUsage, "users", "import", "--project=one", "--format=json", "-"); !strings.Contains(e, "--hash-algo") {
		t.Error(e)
	}
	if _, e := call(exitUsage, "users", "import", "--project=one", "--format=json", "--hash-algo=SCRYPT", "-"); !strings.Contains(e, "needs a key") {
		t.Error(e)
	}
	if _, e := call(exitUsage, "users", "import", "--project=one", "-"); !strings.Contains(e, "--format") {
		t.Error(e)
	}
	call(exitOK, append([]string{"users", "import", "--project=one", "--format=json", "-"}, scryptFlags...)...)
	first := ""
	for _, name := range []string{"users.json", "users.csv"} {
		file := filepath.Join(dir, name)
		if _, e := call(exitOK, "users", "export", "--project=one", file); !strings.Contains(e, "exported 2 accounts") {
			t.Error(e)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
		call(exitOK, "users", "import", "-q", "--project=two", "--hash-algo=REBASE", file)
		out, _ := call(exitOK, "users", "export", "--project=two", "--format=json", "-")
		if first == "" {
			first = out
			for _, want := range []string{`"lastSignedInAt": "1486324027001"`, `"displayName": "Ann, \"the\" first"`, `"rawId": "g1"`, `"customAttributes": "{\"a\":1}"`, `"phoneNumber": "+15555550100"`} {
				if !strings.Contains(out, want) {
					t.Errorf("no %s in %s", want, out)
				}
			}
		}
		if out != first {
			t.Errorf("%s, want %s", out, first)
		}
	}
	// One that is refused is told by its uid, and the others are taken.
	if _, e := call(exitFailure, "users", "import", "--project=two", "--hash-algo=BCRYPT", filepath.Join(dir, "users.json")); !strings.Contains(e, "u1: INVALID_HASH_ALGORITHM") || !strings.Contains(e, "imported 1 accounts") {
		t.Error(e)
	}
	if _, e := call(exitFailure, "users", "export", "--project=one", filepath.Join(dir, "missing", "x.json")); !strings.Contains(e, "no such file") {
		t.Error(e)
	}
}
