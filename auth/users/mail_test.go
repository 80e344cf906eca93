package users

import (
	"strings"
	"testing"

	"rebase/auth/projects"
)

// TestWhoIsAddressedByName: a stranger's words do not reach an address that is not known to be the stranger's.
func TestWhoIsAddressedByName(t *testing.T) {
	const words = "You won at evil.example"
	for _, c := range []struct {
		template, to string
		kind         string
		verified     bool
		told         bool
	}{
		{"verifyEmail", "a@x.com", VerifyEmail, false, false},
		{"verifyEmail", "a@x.com", VerifyEmail, true, true},
		{"changeEmail", "b@x.com", VerifyAndChangeEmail, true, false},
		{"recoverEmail", "old@x.com", RecoverEmail, true, true},
		{"recoverEmail", "old@x.com", RecoverEmail, false, false},
	} {
		u := &User{Email: "a@x.com", EmailVerified: c.verified, DisplayName: words}
		m := letter(&projects.SignIn{}, "p", c.template, c.to, code{Kind: c.kind, Email: "a@x.com"}, u, "https://x/")
		if strings.Contains(m.Text, words) != c.told {
			t.Errorf("%s to %s, verified %t:\n%s", c.template, c.to, c.verified, m.Text)
		}
	}
}
