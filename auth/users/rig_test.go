package users

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/auth/keys"
	"rebase/auth/mail"
	"rebase/auth/password"
	"rebase/auth/projects"
	"rebase/test/memdb"
)

// rig is a store of users on a database in memory, with a clock that is moved by hand.
type rig struct {
	*Store
	t     testing.TB
	clock *clock
	ring  *keys.Ring
	reg   *projects.Registry
	mails *mailbox
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// mailbox keeps what is sent.
type mailbox struct {
	mu   sync.Mutex
	sent []mail.Message
	got  chan mail.Message
	fail error
}

func (m *mailbox) Send(_ context.Context, msg mail.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.sent = append(m.sent, msg)
	m.got <- msg
	return nil
}

const project = "p"

func newRig(t testing.TB, change ...func(*Options)) *rig {
	t.Helper()
	// A fraction of a second behind the full one, so that what rounds shows.
	c := &clock{t: time.Date(2026, 3, 4, 5, 6, 7, 300e6, time.UTC)}
	ctx := context.Background()
	d := memdb.Open(t, c.now)
	ring, err := keys.Open(ctx, d, keys.Options{Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := projects.Open(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Put(ctx, project, projects.Config{APIKeys: []string{"key-of-project-p"}}, ""); err != nil {
		t.Fatal(err)
	}
	box := &mailbox{got: make(chan mail.Message, 100)}
	o := Options{Keys: ring, Projects: reg, Now: c.now, Mailer: box, Hash: password.Options{Memory: 64, Time: 1}}
	for _, f := range change {
		f(&o)
	}
	s, err := Open(ctx, d, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &rig{Store: s, t: t, clock: c, ring: ring, reg: reg, mails: box}
}

func (r *rig) caller() Caller {
	return Caller{Project: project, Address: "192.0.2.1", Base: "https://db.example.com", APIKey: "key-of-project-p"}
}

func (r *rig) admin() Caller {
	c := r.caller()
	c.Admin = true
	return c
}

// settings changes how users of the project sign in.
func (r *rig) set(f func(*projects.SignIn)) {
	r.t.Helper()
	err := r.reg.Update(context.Background(), project, func(c *projects.Config) error { f(&c.SignIn); return nil })
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) signUp(email, pw string) *SignedIn {
	r.t.Helper()
	in, err := r.SignUp(context.Background(), r.caller(), SignUp{Email: email, Password: pw})
	if err != nil {
		r.t.Fatal(err)
	}
	return in
}

func (r *rig) want(code Code, err error) {
	r.t.Helper()
	if !errors.Is(err, fail(code)) {
		r.t.Fatalf("%v, want %s", err, code)
	}
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// mail waits for a mail and returns the code in its link.
func (r *rig) mail(to string) (code string) {
	r.t.Helper()
	select {
	case m := <-r.mails.got:
		if m.To != to {
			r.t.Fatalf("a mail to %s, want %s", m.To, to)
		}
		_, rest, ok := strings.Cut(m.Text, "oobCode=")
		if !ok {
			r.t.Fatalf("no code in %q", m.Text)
		}
		code, _, _ = strings.Cut(rest, "&")
		code, _, _ = strings.Cut(code, "\n")
		return code
	case <-time.After(20 * time.Second):
		r.t.Fatal("no mail came")
	}
	return ""
}

func (r *rig) valid(in *SignedIn) error {
	_, cl, err := r.checkIDToken(project, in.Tokens.ID)
	if err != nil {
		return err
	}
	return r.TokenValid(context.Background(), project, in.User.UID, cl.authTime, time.Time{})
}
