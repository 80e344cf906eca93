//go:build closed

// Package closed is the Admin SDK for Go with a key file, against a closed server. run-closed.sh starts it.
package closed

import (
	"os"
	"strings"
	"testing"

	firebase "firebase.google.com/go/v4"
	"firebase.google.com/go/v4/db"
	"google.golang.org/api/option"
)

func client(t *testing.T, key string, override *map[string]any) *db.Client {
	t.Helper()
	c := &firebase.Config{DatabaseURL: os.Getenv("CLOSED_URL")}
	if override != nil {
		c.AuthOverride = override
	}
	app, err := firebase.NewApp(t.Context(), c, option.WithCredentialsFile(os.Getenv(key)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := app.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The SDK gets access tokens where the key file's token_uri leads.
func TestAdministrator(t *testing.T) {
	d := client(t, "CLOSED_KEY", nil)
	if err := d.NewRef("go/x").Set(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	var got int
	if err := d.NewRef("go/x").Get(t.Context(), &got); err != nil || got != 7 {
		t.Errorf("%d, %v", got, err)
	}
}

func TestOverride(t *testing.T) {
	d := client(t, "CLOSED_KEY", &map[string]any{"uid": "gopher"})
	if err := d.NewRef("users/gopher").Set(t.Context(), "mine"); err != nil {
		t.Error(err)
	}
	if err := d.NewRef("users/alice").Set(t.Context(), "not mine"); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("the rules do not bind whoever acts as somebody: %v", err)
	}
	var nobody map[string]any
	if err := client(t, "CLOSED_KEY", &nobody).NewRef("users/gopher").Get(t.Context(), new(any)); err == nil {
		t.Error("the rules do not bind whoever acts as nobody")
	}
}

func TestAccountOfAnotherProject(t *testing.T) {
	if err := client(t, "CLOSED_OTHER_KEY", nil).NewRef("go/x").Set(t.Context(), 8); err == nil {
		t.Error("another project's service account has written")
	}
}
