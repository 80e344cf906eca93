package projects

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"rebase/auth/token"
)

func TestCheck(t *testing.T) {
	account, _, err := NewServiceAccount(time.Now(), "shop", "server", "http://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	weak := "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAL0=\n-----END PUBLIC KEY-----\n"
	secret := NewSecret(time.Now(), "")
	issuer := Issuer{Name: "corp", Issuer: "https://login.example.com/x", Audiences: []string{"app"}}
	with := func(change func(*Issuer)) Config { i := issuer; change(&i); return Config{Issuers: []Issuer{i}} }
	for _, tc := range []struct {
		name  string
		c     Config
		field string // "" if it is good
	}{
		{"empty", Config{}, ""},
		{"full", Config{
			APIKeys: []string{NewAPIKey()}, Databases: []string{"a", "b.c"}, FirebaseProject: "my-app-1234", Issuers: []Issuer{issuer},
			ServiceAccounts: []ServiceAccount{account}, Secrets: []Secret{secret}, AppCheck: AppCheck{ProjectNumber: "1234", Required: true},
		}, ""},
		{"short API key", Config{APIKeys: []string{"x"}}, "apiKeys[0]"},
		{"API key twice", Config{APIKeys: []string{"12345678", "12345678"}}, "apiKeys[1]"},
		{"system database", Config{Databases: []string{"_auth"}}, "databases[0]"},
		{"path as database", Config{Databases: []string{"../x"}}, "databases[0]"},
		{"database twice", Config{Databases: []string{"x", "x"}}, "databases[1]"},
		{"firebase project with a slash", Config{FirebaseProject: "a/b"}, "firebaseProject"},
		{"plain issuer", with(func(i *Issuer) { i.Issuer = "http://login.example.com" }), "issuers[0].issuer"},
		{"issuer on this machine", with(func(i *Issuer) { i.Issuer = "http://localhost:8080/realms/x" }), ""},
		{"issuer with a query", with(func(i *Issuer) { i.Issuer = "https://login.example.com/?x" }), "issuers[0].issuer"},
		{"Firebase as an issuer", with(func(i *Issuer) { i.Issuer = OwnIssuer + "x" }), "issuers[0].issuer"},
		{"issuer without a name", with(func(i *Issuer) { i.Name = "" }), "issuers[0].name"},
		{"issuer without audience", with(func(i *Issuer) { i.Audiences = nil }), "issuers[0].audiences"},
		{"issuer with an empty audience", with(func(i *Issuer) { i.Audiences = []string{""} }), "issuers[0].audiences"},
		{"key set from a file", with(func(i *Issuer) { i.JWKS = "file:///etc/passwd" }), "issuers[0].jwks"},
		{"issuer twice", Config{Issuers: []Issuer{issuer, issuer}}, "issuers[1]"},
		{"account without an address", Config{ServiceAccounts: []ServiceAccount{{Email: "x", Keys: account.Keys}}}, "serviceAccounts[0].email"},
		{"account twice", Config{ServiceAccounts: []ServiceAccount{account, account}}, "serviceAccounts[1].email"},
		{"account without keys", Config{ServiceAccounts: []ServiceAccount{{Email: account.Email}}}, "serviceAccounts[0].keys"},
		{"weak key", Config{ServiceAccounts: []ServiceAccount{{Email: account.Email, Keys: []SAKey{{ID: "x", PEM: weak}}}}}, "serviceAccounts[0].keys[0].pem"},
		{"key id with a path", Config{ServiceAccounts: []ServiceAccount{{Email: account.Email, Keys: []SAKey{{ID: "../x", PEM: account.Keys[0].PEM}}}}}, "serviceAccounts[0].keys[0].id"},
		{"short secret", Config{Secrets: []Secret{{ID: "a", Secret: "hunter2"}}}, "secrets[0].secret"},
		{"secret with a dot", Config{Secrets: []Secret{{ID: "a", Secret: strings.Repeat("a.", 20)}}}, "secrets[0].secret"},
		{"secret twice", Config{Secrets: []Secret{secret, secret}}, "secrets[1]"},
		{"App Check without a number", Config{AppCheck: AppCheck{Required: true}}, "appCheck.required"},
		{"App Check with a name", Config{AppCheck: AppCheck{ProjectNumber: "shop"}}, "appCheck.projectNumber"},
		{"providers", Config{SignIn: SignIn{Providers: []Provider{{}}}}, "signIn"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.c.check()
			var refused *ConfigError
			switch {
			case tc.field == "" && err != nil:
				t.Error(err)
			case tc.field != "" && (!errors.As(err, &refused) || refused.Field != tc.field):
				t.Errorf("%v, want an error of %s", err, tc.field)
			}
		})
	}
	for _, name := range []string{"", "-a", "A", "a/b", "a.b", "..", "_a", "shop-default-rtdb", strings.Repeat("a", 64)} {
		if CheckName(name) == nil {
			t.Errorf("project name %q was taken", name)
		}
	}
}

// What a key file's holder signs, the account's public key verifies; and the file is read back as it was written.
func TestServiceAccountsAndSecrets(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	account, file, err := NewServiceAccount(now, "shop", "server", "https://db.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if file.TokenURI != "https://db.example.com/_rebase/oauth2/token" {
		t.Error(file.TokenURI)
	}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadKeyFile(text, now)
	if err != nil || read.Email != account.Email || read.Keys[0] != account.Keys[0] {
		t.Errorf("%+v, %v", read, err)
	}
	if _, err := ReadKeyFile([]byte(`{"type":"authorized_user"}`), now); err == nil {
		t.Error("a key file of another kind was taken")
	}
	all, mine := NewSecret(now, ""), NewSecret(now, "mine")
	doc, err := json.Marshal(&Config{ServiceAccounts: []ServiceAccount{account}, Secrets: []Secret{all, mine}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := decode(doc, "v")
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Secret) != 40 {
		t.Errorf("a secret has %d characters", len(all.Secret))
	}
	for _, tc := range []struct {
		ns, secret string
		want       bool
	}{{"mine", all.Secret, true}, {"mine", mine.Secret, true}, {"other", all.Secret, true}, {"other", mine.Secret, false}, {"mine", "", false}, {"mine", all.Secret[1:], false}} {
		if got := c.IsSecret(tc.ns, tc.secret); got != tc.want {
			t.Errorf("%s: %t", tc.ns, got)
		}
	}
	if len(c.SecretKeys("mine")) != 2 || len(c.SecretKeys("other")) != 1 {
		t.Error("SecretKeys is wrong")
	}
	if !c.HasServiceAccount(account.Email) || c.HasServiceAccount("x") {
		t.Error("HasServiceAccount is wrong")
	}
	if len(c.ServiceAccountKeys(account.Email, "")) != 1 || len(c.ServiceAccountKeys(account.Email, account.Keys[0].ID)) != 1 ||
		len(c.ServiceAccountKeys(account.Email, "other")) != 0 || len(c.ServiceAccountKeys("x", "")) != 0 {
		t.Error("ServiceAccountKeys is wrong")
	}
	if c.ServiceAccountKeys(account.Email, "")[0].Alg() != token.RS256 {
		t.Error("an account's key is for another algorithm")
	}
}
