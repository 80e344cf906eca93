package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rebase/auth"
	"rebase/auth/password"
	"rebase/auth/projects"
	"rebase/auth/token"
	"rebase/tree"
)

func ptr[T any](v T) *T { return &v }

func claimsOf(t testing.TB, id string) map[string]any {
	t.Helper()
	tok, err := token.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	for k, raw := range tok.Claims {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		m[k] = v
	}
	return m
}

func TestSignUpAndIn(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	up := r.signUp("Ann@Example.com", "secret1")
	if !up.New || up.User.Email != "ann@example.com" {
		t.Errorf("%+v", up.User)
	}
	in, err := r.SignInWithPassword(ctx, r.caller(), "ann@EXAMPLE.com", "secret1")
	r.ok(err)
	if in.User.UID != up.User.UID {
		t.Error("another account")
	}
	got := claimsOf(t, in.Tokens.ID)
	for name, want := range map[string]any{
		"iss": "https://securetoken.google.com/p", "aud": "p", "sub": up.User.UID, "user_id": up.User.UID, "email": "ann@example.com", "email_verified": false,
		"auth_time": float64(r.clock.now().Unix()), "iat": float64(r.clock.now().Unix()), "exp": float64(r.clock.now().Unix() + 3600),
	} {
		if got[name] != want {
			t.Errorf("claim %s is %v, want %v", name, got[name], want)
		}
	}
	if fb := fmt.Sprint(got["firebase"]); fb != "map[identities:map[email:[ann@example.com]] sign_in_provider:password]" {
		t.Error(fb)
	}
	r.ok(r.valid(in))

	_, err = r.SignUp(ctx, r.caller(), SignUp{Email: "ann@example.com", Password: "other12"})
	r.want(EmailExists, err)
	_, err = r.SignUp(ctx, r.caller(), SignUp{Email: "bob@example.com", Password: "short"})
	r.want(WeakPassword, err)
	_, err = r.SignUp(ctx, r.caller(), SignUp{Email: "bob@example.com"})
	r.want(MissingPassword, err)
	_, err = r.SignUp(ctx, r.caller(), SignUp{Email: "nonsense", Password: "secret1"})
	r.want(InvalidEmail, err)
}

// What a stranger learns of an address by trying to sign in is nothing.
func TestAddressesAreNotTold(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.signUp("ann@example.com", "secret1")
	bob := r.signUp("bob@example.com", "secret1")
	_, err := r.Update(ctx, r.admin(), bob.User.UID, Changes{Disabled: ptr(true)})
	r.ok(err)
	_, err = r.Create(ctx, r.admin(), "nopassword", Changes{Email: ptr("eve@example.com")})
	r.ok(err)
	for _, email := range []string{"ann@example.com", "nobody@example.com", "bob@example.com", "eve@example.com"} {
		_, err := r.SignInWithPassword(ctx, r.caller(), email, "wrong!")
		if !errors.Is(err, fail(InvalidLogin)) || err.Error() != string(InvalidLogin) {
			t.Errorf("%s: %v", email, err)
		}
		for _, kind := range []string{PasswordReset, EmailSignIn} {
			sent, err := r.SendCode(ctx, r.caller(), CodeRequest{Kind: kind, Email: email, ContinueURL: "http://localhost/x"})
			if err != nil || sent.Code != "" || sent.Link != "" || sent.Email != email {
				t.Errorf("%s %s: %+v %v", kind, email, sent, err)
			}
		}
	}
	// Only with the right password does a disabled user learn of it.
	_, err = r.SignInWithPassword(ctx, r.caller(), "bob@example.com", "secret1")
	r.want(UserDisabled, err)
	// Unless the project wants it.
	r.set(func(s *projects.SignIn) { s.HideEmails = ptr(false) })
	_, err = r.SignInWithPassword(ctx, r.caller(), "nobody@example.com", "wrong!")
	r.want(EmailNotFound, err)
	_, err = r.SignInWithPassword(ctx, r.caller(), "ann@example.com", "wrong!")
	r.want(InvalidPassword, err)
	_, err = r.SendCode(ctx, r.caller(), CodeRequest{Kind: PasswordReset, Email: "nobody@example.com"})
	r.want(EmailNotFound, err)
}

func TestGuessingIsLockedOut(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits.Guesses = Limit{3, time.Minute}; o.Limits.Account = Limit{12, time.Hour} })
	ctx := t.Context()
	r.signUp("ann@example.com", "secret1")
	try := func(email, pw, from string) error {
		c := r.caller()
		c.Address = from
		_, err := r.SignInWithPassword(ctx, c, email, pw)
		return err
	}
	for _, email := range []string{"ann@example.com", "nobody@example.com"} {
		for range 3 {
			r.want(InvalidLogin, try(email, "wrong!", "192.0.2.1"))
		}
		r.want(TooManyAttempts, try(email, "wrong!", "192.0.2.1"))
	}
	r.want(TooManyAttempts, try("ann@example.com", "secret1", "192.0.2.1")) // also if it is right at last
	r.ok(try("ann@example.com", "secret1", "192.0.2.2"))                    // the owner, elsewhere
	r.clock.advance(time.Minute)
	r.ok(try("ann@example.com", "secret1", "192.0.2.1"))
	for range 3 { // a right one has filled the bucket
		r.want(InvalidLogin, try("ann@example.com", "wrong!", "192.0.2.1"))
	}
	// From many addresses: the account's own limit. One /64 is one address.
	for i := range 3 {
		r.want(InvalidLogin, try("ann@example.com", "wrong!", fmt.Sprintf("2001:db8::%d", i)))
	}
	r.want(TooManyAttempts, try("ann@example.com", "wrong!", "2001:db8::77"))
	for i := range 10 {
		if err := try("ann@example.com", "wrong!", fmt.Sprintf("198.51.100.%d", i)); errors.Is(err, fail(TooManyAttempts)) {
			r.want(TooManyAttempts, try("ann@example.com", "secret1", "203.0.113.9"))
			r.ok(try("ann@example.com", "secret1", "192.0.2.2")) // strangers cannot lock the owner out at home
			// Resetting the password opens it again for whoever did.
			sent, err := r.SendCode(ctx, r.admin(), CodeRequest{Kind: PasswordReset, Email: "ann@example.com", Return: true})
			r.ok(err)
			_, err = r.ResetPassword(ctx, r.caller(), sent.Code, "secret2")
			r.ok(err)
			r.ok(try("ann@example.com", "secret2", "192.0.2.1"))
			return
		}
	}
	t.Error("the account was never locked")
}

// However many guesses are made at once, no more than allowed are looked at.
func TestConcurrentGuesses(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits.Guesses = Limit{5, time.Hour}; o.Hash.Waiting = 100 })
	r.signUp("ann@example.com", "secret1")
	var mu sync.Mutex
	looked := 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := r.SignInWithPassword(context.Background(), r.caller(), "ann@example.com", "wrong!")
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, fail(InvalidLogin)) {
				looked++
			} else if !errors.Is(err, fail(TooManyAttempts)) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if looked != 5 {
		t.Errorf("%d guesses were looked at", looked)
	}
}

func TestSignUpsAreLimited(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits.SignUps = Limit{2, time.Minute} })
	for range 2 {
		_, err := r.SignUp(t.Context(), r.caller(), SignUp{})
		r.ok(err)
	}
	_, err := r.SignUp(t.Context(), r.caller(), SignUp{})
	r.want(TooManyAttempts, err)
	_, err = r.SignUp(t.Context(), Caller{Project: project, Address: "192.0.2.99"}, SignUp{})
	r.ok(err)
	for range 5 {
		_, err = r.SignUp(t.Context(), Caller{Project: project, Address: "127.0.0.1"}, SignUp{})
		r.ok(err)
	}
}

func TestAnonymousIsUpgraded(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	in, err := r.SignUp(ctx, r.caller(), SignUp{})
	r.ok(err)
	c := claimsOf(t, in.Tokens.ID)
	if c["provider_id"] != "anonymous" || !in.User.Anonymous() {
		t.Errorf("%v", c)
	}
	r.signUp("taken@example.com", "secret1")
	_, err = r.SignUp(ctx, r.caller(), SignUp{IDToken: in.Tokens.ID, Email: "taken@example.com", Password: "secret1"})
	r.want(EmailExists, err)
	up, err := r.SignUp(ctx, r.caller(), SignUp{IDToken: in.Tokens.ID, Email: "ann@example.com", Password: "secret1"})
	r.ok(err)
	if up.User.UID != in.User.UID || up.User.Anonymous() {
		t.Errorf("%+v", up.User)
	}
	r.ok(r.valid(up))
	_, err = r.SignInWithPassword(ctx, r.caller(), "ann@example.com", "secret1")
	r.ok(err)
}

func TestRefresh(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	in := r.signUp("ann@example.com", "secret1")
	r.clock.advance(50 * time.Minute)
	_, err := r.Update(ctx, r.admin(), in.User.UID, Changes{DisplayName: ptr("Ann"), Claims: ptr(`{"role":"editor"}`)})
	r.ok(err)
	u, got, of, err := r.Refresh(ctx, r.caller(), in.Tokens.Refresh)
	r.ok(err)
	c := claimsOf(t, got.ID)
	if c["name"] != "Ann" || c["role"] != "editor" || c["auth_time"] != claimsOf(t, in.Tokens.ID)["auth_time"] || of != project || u.UID != in.User.UID {
		t.Errorf("%v", c)
	}
	r.clock.advance(2 * time.Hour)
	_, err = r.Lookup(project, got.ID)
	r.want(TokenExpired, err)
	cut := len(in.Tokens.Refresh) - 43 // the secret
	for _, bad := range []string{"", "x", in.Tokens.Refresh[:cut] + strings.Repeat("A", 43), strings.Replace(in.Tokens.Refresh, "rbr1", "rbr2", 1)} {
		if _, _, _, err := r.Refresh(ctx, r.caller(), bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	_, _, _, err = r.Refresh(ctx, Caller{Project: "other"}, in.Tokens.Refresh)
	r.want(InvalidRefreshToken, err)
}

// Whatever ends sessions ends them at once: refresh tokens, ID tokens and, by OnRevoke, connections; and not those that begin right after.
func TestSessionsEnd(t *testing.T) {
	for name, end := range map[string]func(r *rig, in *SignedIn) (*Tokens, error){
		"revoked": func(r *rig, in *SignedIn) (*Tokens, error) {
			_, err := r.Update(context.Background(), r.admin(), in.User.UID, Changes{ValidSince: ptr(r.clock.now().Unix())})
			return nil, err
		},
		"disabled": func(r *rig, in *SignedIn) (*Tokens, error) {
			_, err := r.Update(context.Background(), r.admin(), in.User.UID, Changes{Disabled: ptr(true)})
			return nil, err
		},
		"deleted": func(r *rig, in *SignedIn) (*Tokens, error) {
			return nil, r.Delete(context.Background(), r.admin(), in.User.UID)
		},
		"deleted by itself": func(r *rig, in *SignedIn) (*Tokens, error) {
			return nil, r.DeleteSelf(context.Background(), r.caller(), in.Tokens.ID)
		},
		"password changed by an administrator": func(r *rig, in *SignedIn) (*Tokens, error) {
			_, err := r.Update(context.Background(), r.admin(), in.User.UID, Changes{Password: ptr("secret2")})
			return nil, err
		},
		"password changed": func(r *rig, in *SignedIn) (*Tokens, error) {
			_, tokens, err := r.UpdateSelf(context.Background(), r.caller(), in.Tokens.ID, Changes{Password: ptr("secret2")}, true)
			return tokens, err
		},
		"password reset": func(r *rig, in *SignedIn) (*Tokens, error) {
			sent, err := r.SendCode(context.Background(), r.admin(), CodeRequest{Kind: PasswordReset, Email: in.User.Email, Return: true})
			if err == nil {
				_, err = r.ResetPassword(context.Background(), r.caller(), sent.Code, "secret2")
			}
			return nil, err
		},
		"email changed": func(r *rig, in *SignedIn) (*Tokens, error) {
			_, err := r.Update(context.Background(), r.admin(), in.User.UID, Changes{Email: ptr("new@example.com")})
			return nil, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			type told struct {
				project, uid string
				since        time.Time
			}
			revoked := make(chan told, 10)
			r.OnRevoke(func(p, uid string, since time.Time) { revoked <- told{p, uid, since} })
			r.signUp("bystander@example.com", "secret1")
			in := r.signUp("ann@example.com", "secret1")
			r.ok(r.valid(in))
			tokens, err := end(r, in)
			r.ok(err)
			got := <-revoked
			if got.project != project || got.uid != in.User.UID || got.since.Before(r.clock.now()) {
				t.Errorf("%+v", got)
			}
			if _, _, _, err := r.Refresh(t.Context(), r.caller(), in.Tokens.Refresh); err == nil {
				t.Error("the refresh token is still good")
			}
			if _, err := r.Lookup(project, in.Tokens.ID); err == nil {
				t.Error("the ID token is still good here")
			}
			var rejected *auth.Error
			if err := r.TokenValid(t.Context(), project, in.User.UID, r.clock.now(), r.clock.now()); !errors.As(err, &rejected) {
				t.Errorf("the ID token is still good elsewhere: %v", err)
			}
			if tokens != nil {
				r.ok(r.valid(&SignedIn{User: in.User, Tokens: tokens}))
				_, _, _, err := r.Refresh(t.Context(), r.caller(), tokens.Refresh)
				r.ok(err)
			}
			if again, err := r.SignInWithPassword(t.Context(), r.caller(), "ann@example.com", "secret2"); err == nil {
				r.ok(r.valid(again))
			}
		})
	}
}

func TestSensitiveChangesNeedARecentLogin(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	in := r.signUp("ann@example.com", "secret1")
	r.clock.advance(6 * time.Minute)
	_, _, err := r.UpdateSelf(ctx, r.caller(), in.Tokens.ID, Changes{Password: ptr("secret2")}, true)
	r.want(CredentialTooOld, err)
	r.want(CredentialTooOld, r.DeleteSelf(ctx, r.caller(), in.Tokens.ID))
	// Changing the profile gives a new token, but no new proof of who it is.
	_, tokens, err := r.UpdateSelf(ctx, r.caller(), in.Tokens.ID, Changes{DisplayName: ptr("Ann")}, true)
	r.ok(err)
	if claimsOf(t, tokens.ID)["name"] != "Ann" {
		t.Error("the new token has the old name")
	}
	_, _, err = r.UpdateSelf(ctx, r.caller(), tokens.ID, Changes{Password: ptr("secret2")}, true)
	r.want(CredentialTooOld, err)
	in, err = r.SignInWithPassword(ctx, r.caller(), "ann@example.com", "secret1")
	r.ok(err)
	_, _, err = r.UpdateSelf(ctx, r.caller(), in.Tokens.ID, Changes{Password: ptr("secret2")}, true)
	r.ok(err)
}

// A user may not give itself what is an administrator's to give.
func TestUsersCannotHelpThemselves(t *testing.T) {
	r := newRig(t)
	in := r.signUp("ann@example.com", "secret1")
	u, _, err := r.UpdateSelf(t.Context(), r.caller(), in.Tokens.ID, Changes{
		Claims: ptr(`{"admin":true}`), EmailVerified: ptr(true), Phone: ptr("+15555550100"), Disabled: ptr(true), ValidSince: ptr(int64(1)),
		Link: []Provider{{ID: "google.com", RawID: "1"}},
	}, false)
	r.ok(err)
	if u.Claims != "" || u.EmailVerified || u.Phone != "" || u.Disabled || u.Providers != nil {
		t.Errorf("%+v", u)
	}
	_, _, err = r.UpdateSelf(t.Context(), r.caller(), in.Tokens.ID, Changes{Email: ptr("other@example.com")}, false)
	r.want(NotAllowed, err)
}

func TestForgedIDTokens(t *testing.T) {
	r := newRig(t)
	in := r.signUp("ann@example.com", "secret1")
	sign := func(change func(m map[string]any)) string {
		m := claimsOf(t, in.Tokens.ID)
		change(m)
		id, err := r.ring.Sign(m)
		r.ok(err)
		return id
	}
	parts := strings.Split(in.Tokens.ID, ".")
	for name, id := range map[string]string{
		"unsigned": parts[0] + "." + parts[1] + ".", "cut": parts[0] + "." + parts[1], "other project": sign(func(m map[string]any) { m["aud"] = "q"; m["iss"] = Issuer("q") }),
		"other audience": sign(func(m map[string]any) { m["aud"] = "q" }), "other issuer": sign(func(m map[string]any) { m["iss"] = "https://evil.example" }),
		"nobody": sign(func(m map[string]any) { m["sub"] = "" }), "somebody": sign(func(m map[string]any) { m["sub"] = "somebody" }),
		"before the sessions": sign(func(m map[string]any) { m["auth_time"] = 1 }),
	} {
		if _, err := r.Lookup(project, id); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	access, err := r.ring.SignAs("at+jwt", claimsOf(t, in.Tokens.ID))
	r.ok(err)
	_, err = r.Lookup(project, access)
	r.want(InvalidIDToken, err)
}

func TestCustomTokens(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Open = true })
	ctx := t.Context()
	in, err := r.SignInWithCustomToken(ctx, r.caller(), `{"uid":"a/b.c#[$]","claims":{"level":3}}`)
	r.ok(err)
	if !in.New || claimsOf(t, in.Tokens.ID)["level"] != 3.0 {
		t.Errorf("%+v", in)
	}
	again, err := r.SignInWithCustomToken(ctx, r.caller(), `{"uid":"a/b.c#[$]"}`)
	r.ok(err)
	if again.New {
		t.Error("the account was made twice")
	}
	_, tokens, _, err := r.Refresh(ctx, r.caller(), in.Tokens.Refresh)
	r.ok(err)
	if claimsOf(t, tokens.ID)["level"] != 3.0 {
		t.Error("the claims are lost")
	}
	for _, bad := range []string{`{"uid":""}`, `{"uid":"x","claims":{"sub":"y"}}`, "x.y", `{"uid":"` + strings.Repeat("x", 129) + `"}`} {
		_, err := r.SignInWithCustomToken(ctx, r.caller(), bad)
		r.want(InvalidCustomToken, err)
	}
	closed := newRig(t)
	_, err = closed.SignInWithCustomToken(ctx, closed.caller(), `{"uid":"x"}`)
	closed.want(InvalidCustomToken, err)
}

func TestImportedPasswords(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	b := func(s string) []byte {
		v, err := password.Bytes(s)
		r.ok(err)
		return v
	}
	params := password.Params{
		Algorithm: password.Scrypt, SignerKey: b("jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="),
		SaltSeparator: b("Bw=="), Rounds: 8, MemoryCost: 14,
	}
	one := Upload{User: User{UID: "u1", Email: "One@Example.com", EmailVerified: true, CreatedAt: 5, Claims: `{"a":1}`, Providers: []Provider{{ID: "google.com", RawID: "g1"}, {ID: "password", RawID: "x"}}},
		Hash: b("lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="), Salt: b("42xEC+ixf3L2lw==")}
	bad, err := r.Import(ctx, r.admin(), params, []Upload{
		one, {User: User{UID: ""}}, {User: User{UID: "u2", Email: "one@example.com"}}, {User: User{UID: "u3"}, Hash: []byte("short")},
		{User: User{UID: "u4", Claims: `{"sub":"x"}`}}, {User: User{UID: "u5", Phone: "555"}}, {User: User{UID: "u6"}},
	})
	r.ok(err)
	if got := fmt.Sprint(bad); !strings.HasPrefix(got, "[{1 MISSING_LOCAL_ID} {2 EMAIL_EXISTS} {3 INVALID_HASH_ALGORITHM") || len(bad) != 5 {
		t.Error(got)
	}
	u, err := r.Get(project, "u1")
	r.ok(err)
	if i, _ := u.ImportedPassword(); i == nil || u.CreatedAt != 5 || len(u.Providers) != 1 {
		t.Errorf("%+v", u)
	}
	_, err = r.SignInWithPassword(ctx, r.caller(), "one@example.com", "wrong")
	r.want(InvalidLogin, err)
	in, err := r.SignInWithPassword(ctx, r.caller(), "one@example.com", "user1password")
	r.ok(err)
	if !strings.HasPrefix(in.User.Password, "$argon2id$") || in.User.UID != "u1" {
		t.Error("the hash was not replaced: " + in.User.Password[:20])
	}
	_, err = r.SignInWithPassword(ctx, r.caller(), "one@example.com", "user1password")
	r.ok(err)
	// And out and in again, as Rebase's own.
	u, _ = r.Get(project, "u1")
	_, err = r.Import(ctx, r.admin(), password.Params{Algorithm: Native}, []Upload{{User: User{UID: "u1", Email: "one@example.com"}, Hash: []byte(u.Password)}})
	r.ok(err)
	_, err = r.SignInWithPassword(ctx, r.caller(), "one@example.com", "user1password")
	r.ok(err)
	_, err = r.Import(ctx, r.admin(), password.Params{}, []Upload{one})
	r.want(InvalidHash, err)
}

func TestList(t *testing.T) {
	r := newRig(t)
	want := map[string]bool{}
	for i := range 25 {
		uid := fmt.Sprintf("u.%d", i)
		_, err := r.Create(t.Context(), r.admin(), uid, Changes{})
		r.ok(err)
		want[uid] = true
	}
	next := ""
	for pages := 1; ; pages++ {
		list, more, err := r.List(project, next, 10)
		r.ok(err)
		for _, u := range list {
			if !want[u.UID] {
				t.Errorf("%s is there twice, or unknown", u.UID)
			}
			delete(want, u.UID)
		}
		if next = more; next == "" {
			if pages != 3 || len(want) > 0 {
				t.Errorf("%d pages, without %v", pages, want)
			}
			break
		}
	}
	_, _, err := r.List(project, "!", 10)
	r.want(InvalidPageSelection, err)
	r.ok(r.Clear(t.Context(), r.admin()))
	if n, _ := r.Count(project); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// Nothing that belonged to an account outlives it, but the note that its sessions have ended, which the sweep takes.
func TestNothingIsLeft(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	in := r.signUp("ann@example.com", "secret1")
	_, err := r.Update(ctx, r.admin(), in.User.UID, Changes{Phone: ptr("+15555550100"), Link: []Provider{{ID: "google.com", RawID: "g"}}})
	r.ok(err)
	r.ok(r.Delete(ctx, r.admin(), in.User.UID))
	r.clock.advance(3 * time.Hour)
	r.ok(r.Sweep(ctx))
	n, err := r.db.Store().Get(Namespace, tree.Path(at(project)))
	r.ok(err)
	for _, c := range n.Children() {
		if c.Key != "config" {
			t.Errorf("left: %s", tree.AppendExport(nil, n))
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Open = true })
	ctx := t.Context()
	var first *SignedIn
	for i := range maxSessions + 3 {
		r.clock.advance(time.Second)
		in, err := r.SignInWithCustomToken(ctx, r.caller(), `{"uid":"u"}`)
		r.ok(err)
		if i == 0 {
			first = in
		}
	}
	if _, _, _, err := r.Refresh(ctx, r.caller(), first.Tokens.Refresh); err == nil {
		t.Error("the oldest session goes on")
	}
	n := 0
	r.ok(r.db.Store().Children(Namespace, at(project).sessions("u"), "", func(string, bool, *tree.Node) bool { n++; return true }))
	if n != maxSessions {
		t.Errorf("%d sessions", n)
	}
}

// Addresses stay unique and look-up records true, whatever is done at the same time.
func TestUniqueUnderConcurrency(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits.SignUps = Limit{Burst: -1} })
	var uids []string
	for i := range 4 {
		u, err := r.Create(t.Context(), r.admin(), fmt.Sprint("u", i), Changes{})
		r.ok(err)
		uids = append(uids, u.UID)
	}
	emails := []string{"a@x.org", "b@x.org", "c@x.org", ""}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 15 {
				e := emails[(g+i)%len(emails)]
				_, err := r.Update(context.Background(), r.admin(), uids[(g*7+i)%len(uids)], Changes{Email: &e})
				if err != nil && !errors.Is(err, fail(EmailExists)) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	r.consistent(t)
}

// consistent checks that look-up records and accounts say the same.
func (r *rig) consistent(t testing.TB) {
	t.Helper()
	list, _, err := r.List(project, "", 1000)
	r.ok(err)
	want := map[string]string{}
	for _, u := range list {
		if u.Email != "" {
			want["emails/"+escape(u.Email)] = u.UID
		}
		if u.Phone != "" {
			want["phones/"+escape(u.Phone)] = u.UID
		}
		for _, p := range u.Providers {
			want["providers/"+escape(p.ID)+"/"+escape(p.RawID)] = u.UID
		}
	}
	for _, part := range []string{"emails", "phones", "providers"} {
		err := r.db.Store().Walk(Namespace, at(project).child(part), func(rel tree.Path, leaf *tree.Node) error {
			name := part + "/" + string(rel)
			if want[name] != leaf.Str() {
				t.Errorf("%s says %q, the accounts %q", name, leaf.Str(), want[name])
			}
			delete(want, name)
			return nil
		}, nil)
		r.ok(err)
	}
	if len(want) > 0 {
		t.Errorf("no records for %v", want)
	}
}

// Accounts by a random history are what a simple model says, and the look-up records follow.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, func(o *Options) { o.Limits = Limits{SignUps: Limit{Burst: -1}} })
		ctx := context.Background()
		model := map[string]string{} // uid -> address
		taken := func(e, except string) bool {
			for uid, has := range model {
				if has == e && e != "" && uid != except {
					return true
				}
			}
			return false
		}
		uid := rapid.SampledFrom([]string{"a", "b.c", "ü", "1"})
		mail := rapid.SampledFrom([]string{"x@y.zz", "a+b@y.zz", "o'k@y.zz", ""})
		rt.Repeat(map[string]func(*rapid.T){
			"create": func(rt *rapid.T) {
				u, e := uid.Draw(rt, "uid"), mail.Draw(rt, "email")
				_, err := r.Create(ctx, r.admin(), u, Changes{Email: &e})
				_, exists := model[u]
				if (err == nil) == (exists || taken(e, u)) {
					rt.Fatal(err)
				}
				if err == nil {
					model[u] = e
				}
			},
			"update": func(rt *rapid.T) {
				u, e := uid.Draw(rt, "uid"), mail.Draw(rt, "email")
				_, err := r.Update(ctx, r.admin(), u, Changes{Email: &e})
				_, exists := model[u]
				if (err == nil) != (exists && !taken(e, u)) {
					rt.Fatal(err)
				}
				if err == nil {
					model[u] = e
				}
			},
			"delete": func(rt *rapid.T) {
				u := uid.Draw(rt, "uid")
				_, exists := model[u]
				if err := r.Delete(ctx, r.admin(), u); (err == nil) != exists {
					rt.Fatal(err)
				}
				delete(model, u)
			},
			"": func(rt *rapid.T) {
				if n, _ := r.Count(project); n != len(model) {
					rt.Fatalf("%d accounts, want %d", n, len(model))
				}
				for u, e := range model {
					if got, _ := r.ByEmail(project, e); e != "" && (got == nil || got.UID != u) {
						rt.Fatalf("%s is not %s's", e, u)
					}
				}
				r.consistent(t)
			},
		})
	})
}

func TestKeysAreEscaped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		ka, kb := escape(a), escape(b)
		if err := tree.CheckKey(ka); err != nil {
			t.Fatal(err)
		}
		if (ka == kb) != (a == b) {
			t.Fatalf("%q and %q become %q and %q", a, b, ka, kb)
		}
		if len(a) < 100 && unescape(ka) != a {
			t.Fatalf("%q comes back as %q", a, unescape(ka))
		}
	})
}

// Trying to sign in costs one hash, whether there is an account or not, and whether it has a password: the time does not tell.
func TestEveryAttemptCostsOneHash(t *testing.T) {
	r := newRig(t)
	r.signUp("ann@example.com", "secret1")
	_, err := r.Create(t.Context(), r.admin(), "nopassword", Changes{Email: ptr("eve@example.com")})
	r.ok(err)
	for _, email := range []string{"ann@example.com", "eve@example.com", "nobody@example.com"} {
		before := r.hash.Computed()
		_, err := r.SignInWithPassword(t.Context(), r.caller(), email, "wrong!")
		r.want(InvalidLogin, err)
		if got := r.hash.Computed() - before; got != 1 {
			t.Errorf("%s: %d hashes", email, got)
		}
	}
}

// Asking for a mail costs one entry of the log, whether there is an account or not.
func TestEveryMailCostsOneEntry(t *testing.T) {
	r := newRig(t)
	r.signUp("ann@example.com", "secret1")
	for _, email := range []string{"ann@example.com", "nobody@example.com"} {
		before := r.db.Stats().Applied
		_, err := r.SendCode(t.Context(), r.caller(), CodeRequest{Kind: PasswordReset, Email: email})
		r.ok(err)
		if got := r.db.Stats().Applied - before; got != 1 {
			t.Errorf("%s: %d entries", email, got)
		}
	}
}

func TestRequestsAreLimited(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits.Requests = Limit{2, time.Second} })
	for range 2 {
		r.ok(r.MayCall(r.caller()))
	}
	r.want(TooManyAttempts, r.MayCall(r.caller()))
	r.ok(r.MayCall(r.admin()))
	r.clock.advance(time.Second)
	r.ok(r.MayCall(r.caller()))
}

// However many keys are counted, the memory for them is bounded.
func TestCountersAreBounded(t *testing.T) {
	now := time.Now()
	g := newGuard(Limits{}, func() time.Time { return now })
	for i := range maxBuckets + 5000 {
		g.take(bucketKey{&g.limits.Guesses, fmt.Sprint(i)})
	}
	if len(g.buckets) > maxBuckets {
		t.Errorf("%d buckets", len(g.buckets))
	}
	now = now.Add(time.Hour)
	g.sweep(now)
	if len(g.buckets) != 0 {
		t.Errorf("%d buckets are kept that are full again", len(g.buckets))
	}
}
