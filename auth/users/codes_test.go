package users

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/auth/projects"
)

func TestCodes(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	in := r.signUp("ann@example.com", "secret1")
	send := func(q CodeRequest) {
		t.Helper()
		_, err := r.SendCode(ctx, r.caller(), q)
		r.ok(err)
	}
	send(CodeRequest{Kind: VerifyEmail, IDToken: in.Tokens.ID})
	code := r.mail("ann@example.com")
	info, err := r.CheckCode(r.caller(), code)
	r.ok(err)
	if info.Kind != VerifyEmail || info.Email != "ann@example.com" {
		t.Errorf("%+v", info)
	}
	_, err = r.ResetPassword(ctx, r.caller(), code, "secret2") // a code is for one thing
	r.want(InvalidCode, err)
	u, err := r.ApplyCode(ctx, r.caller(), code)
	r.ok(err)
	if !u.EmailVerified {
		t.Error("not verified")
	}
	_, err = r.ApplyCode(ctx, r.caller(), code)
	r.want(InvalidCode, err)
	r.ok(r.valid(in)) // verifying ends no session

	send(CodeRequest{Kind: PasswordReset, Email: "ann@example.com"})
	first := r.mail("ann@example.com")
	send(CodeRequest{Kind: PasswordReset, Email: "ann@example.com"})
	second := r.mail("ann@example.com")
	r.clock.advance(time.Second)
	_, err = r.ResetPassword(ctx, r.caller(), second, "tiny")
	r.want(WeakPassword, err)
	_, err = r.ResetPassword(ctx, r.caller(), second, "secret2")
	r.ok(err)
	_, err = r.ResetPassword(ctx, r.caller(), first, "secret3") // an older one is worth nothing any more
	r.want(InvalidCode, err)
	in, err = r.SignInWithPassword(ctx, r.caller(), "ann@example.com", "secret2")
	r.ok(err)

	send(CodeRequest{Kind: VerifyAndChangeEmail, IDToken: in.Tokens.ID, NewEmail: "new@example.com"})
	code = r.mail("new@example.com")
	u, err = r.ApplyCode(ctx, r.caller(), code)
	r.ok(err)
	if u.Email != "new@example.com" || !u.EmailVerified {
		t.Errorf("%+v", u)
	}
	back := r.mail("ann@example.com") // the old address is told
	if r.valid(in) == nil {
		t.Error("the session goes on with another address")
	}
	u, err = r.ApplyCode(ctx, r.caller(), back)
	r.ok(err)
	if u.Email != "ann@example.com" || !u.EmailVerified {
		t.Errorf("%+v", u)
	}
	_, err = r.SignInWithPassword(ctx, r.caller(), "ann@example.com", "secret2")
	r.want(InvalidLogin, err) // whoever changed the address may know the password
	if other, _ := r.ByEmail(project, "new@example.com"); other != nil {
		t.Error("the address is still taken")
	}

	send(CodeRequest{Kind: PasswordReset, Email: "ann@example.com"})
	code = r.mail("ann@example.com")
	r.clock.advance(time.Hour)
	_, err = r.CheckCode(r.caller(), code)
	r.want(ExpiredCode, err)
	r.ok(r.Sweep(ctx))
	_, err = r.CheckCode(r.caller(), code)
	r.want(InvalidCode, err)
}

// TestNobodyVouchesForAStranger: whoever has made an account with somebody else's address, and changes it, must not have that one's
// owner led to verify it.
func TestNobodyVouchesForAStranger(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	in := r.signUp("victim@example.com", "secret1")
	_, err := r.SendCode(ctx, r.caller(), CodeRequest{Kind: VerifyAndChangeEmail, IDToken: in.Tokens.ID, NewEmail: "mallory@example.com"})
	r.ok(err)
	_, err = r.ApplyCode(ctx, r.caller(), r.mail("mallory@example.com"))
	r.ok(err)
	// The next mail is another one: the victim gets none.
	_, err = r.SendCode(ctx, r.caller(), CodeRequest{Kind: PasswordReset, Email: "mallory@example.com"})
	r.ok(err)
	r.mail("mallory@example.com")
}

// A code works once, also if it is used many times at the same moment.
func TestACodeWorksOnce(t *testing.T) {
	r := newRig(t)
	r.signUp("ann@example.com", "secret1")
	r.clock.advance(time.Second)
	sent, err := r.SendCode(t.Context(), r.admin(), CodeRequest{Kind: PasswordReset, Email: "ann@example.com", Return: true})
	r.ok(err)
	var mu sync.Mutex
	worked := 0
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := r.ResetPassword(context.Background(), r.caller(), sent.Code, fmt.Sprintf("secret%d", i))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				worked++
			} else if !errors.Is(err, fail(InvalidCode)) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if worked != 1 {
		t.Errorf("it worked %d times", worked)
	}
}

func TestEmailLink(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	link := func(email string) string {
		t.Helper()
		_, err := r.SendCode(ctx, r.caller(), CodeRequest{Kind: EmailSignIn, Email: email, ContinueURL: "https://db.example.com/app"})
		r.ok(err)
		return r.mail(email)
	}
	code := link("ann@example.com")
	_, err := r.SignInWithEmailLink(ctx, r.caller(), "eve@example.com", code, "")
	r.want(InvalidCode, err)
	in, err := r.SignInWithEmailLink(ctx, r.caller(), "ann@example.com", code, "")
	r.ok(err)
	if !in.New || !in.User.EmailVerified {
		t.Errorf("%+v", in.User)
	}
	_, err = r.SignInWithEmailLink(ctx, r.caller(), "ann@example.com", code, "")
	r.want(InvalidCode, err)
	again, err := r.SignInWithEmailLink(ctx, r.caller(), "ann@example.com", link("ann@example.com"), "")
	r.ok(err)
	if again.New || again.User.UID != in.User.UID {
		t.Errorf("%+v", again.User)
	}
	// Whoever made an account with another's address, and never proved to have it, is out when the owner comes.
	evil := r.signUp("victim@example.com", "evil-password")
	owner, err := r.SignInWithEmailLink(ctx, r.caller(), "victim@example.com", link("victim@example.com"), "")
	r.ok(err)
	if r.valid(evil) == nil || r.valid(owner) != nil {
		t.Error("the session of who was there before goes on")
	}
	_, err = r.SignInWithPassword(ctx, r.caller(), "victim@example.com", "evil-password")
	r.want(InvalidLogin, err)
}

func TestLinksLeadToTheAppOnly(t *testing.T) {
	r := newRig(t)
	r.signUp("ann@example.com", "secret1")
	for _, c := range []struct {
		url  string
		code Code
	}{
		{"https://evil.example/", UnauthorizedDomain}, {"javascript:alert(1)", InvalidContinueURI}, {"//evil.example", InvalidContinueURI}, {"https://localhost.evil.example", UnauthorizedDomain},
		{"https://localhost@evil.example", UnauthorizedDomain},
	} {
		_, err := r.SendCode(t.Context(), r.caller(), CodeRequest{Kind: PasswordReset, Email: "ann@example.com", ContinueURL: c.url})
		if !errors.Is(err, fail(c.code)) {
			t.Errorf("%s: %v", c.url, err)
		}
	}
	r.set(func(s *projects.SignIn) { s.Domains = []string{"app.example"} })
	_, err := r.SendCode(t.Context(), r.caller(), CodeRequest{Kind: PasswordReset, Email: "ann@example.com", ContinueURL: "https://app.example/x"})
	r.ok(err)
}

func TestMailsAreLimited(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits.Mails = Limit{2, time.Hour} })
	for _, email := range []string{"ann@example.com", "nobody@example.com"} { // alike for both
		if email == "ann@example.com" {
			r.signUp(email, "secret1")
		}
		for range 2 {
			_, err := r.SendCode(t.Context(), r.caller(), CodeRequest{Kind: PasswordReset, Email: email})
			r.ok(err)
		}
		_, err := r.SendCode(t.Context(), r.caller(), CodeRequest{Kind: PasswordReset, Email: email})
		r.want(TooManyAttempts, err)
	}
}

// What a user calls itself cannot become a message of its own in another's mail.
func TestNamesInMails(t *testing.T) {
	r := newRig(t)
	in, err := r.SignUp(t.Context(), r.caller(), SignUp{Email: "ann@example.com", Password: "secret1", DisplayName: "Ann\r\nBcc: x@evil.example\nsee https://evil.example/ %LINK%"})
	r.ok(err)
	_, err = r.SendCode(t.Context(), r.caller(), CodeRequest{Kind: VerifyEmail, IDToken: in.Tokens.ID})
	r.ok(err)
	m := <-r.mails.got
	if strings.Contains(m.Text, "evil.example/") || strings.Contains(m.Text, "\nBcc") || strings.Count(m.Text, "oobCode=") != 1 {
		t.Error(m.Text)
	}
}
