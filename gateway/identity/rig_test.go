package identity

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"rebase/audit"
	"rebase/auth"
	"rebase/auth/keys"
	"rebase/auth/mail"
	"rebase/auth/password"
	"rebase/auth/projects"
	"rebase/auth/users"
	"rebase/test/memdb"
)

// admins knows one administrator of everything, and one of project p.
type admins struct{}

func (admins) Authenticate(_ context.Context, c auth.Credential) (auth.Identity, error) {
	switch {
	case c.Token == "root":
		return auth.Identity{Admin: true}, nil
	case c.Token == "admin-of-p":
		return auth.Identity{Admin: true, Project: "p", Name: "service-account:a@p"}, nil
	case c.Token == "secret-of-p":
		return auth.Identity{Admin: true, Project: "p", Name: "database secret"}, nil
	case c.Token == "somebody":
		return auth.Identity{UID: "u", Project: "p"}, nil
	}
	return auth.Identity{}, &auth.Error{Status: auth.StatusInvalidToken, Reason: "unknown"}
}

// outbox keeps mails.
type outbox struct{ got chan mail.Message }

func (o outbox) Send(_ context.Context, m mail.Message) error { o.got <- m; return nil }

type rig struct {
	*Server
	t     testing.TB
	mails chan mail.Message

	mu     sync.Mutex
	audits []audit.Event
}

func newRig(t testing.TB, open bool, change ...func(*Options)) *rig {
	t.Helper()
	d := memdb.Open(t, nil)
	ring, err := keys.Open(t.Context(), d, keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := projects.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"p", "q"} {
		if err := reg.Put(t.Context(), name, projects.Config{APIKeys: []string{"key-of-project-" + name}}, ""); err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{t: t, mails: make(chan mail.Message, 100)}
	store, err := users.Open(t.Context(), d, users.Options{
		Keys: ring, Projects: reg, Open: open, Mailer: outbox{r.mails}, Hash: password.Options{Memory: 64, Time: 1},
		Limits: users.Limits{SignUps: users.Limit{Burst: -1}, Address: users.Limit{Burst: -1}, Requests: users.Limit{Burst: -1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	o := Options{Users: store, Auth: admins{}, Projects: reg, Keys: ring, Open: open, URL: func() string { return "http://localhost:9000" }, Audit: func(e audit.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.audits = append(r.audits, e)
	}}
	for _, f := range change {
		f(&o)
	}
	r.Server = New(o)
	return r
}

// request makes a request; the body is JSON unless it begins otherwise.
func (r *rig) request(method, target, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// call is what an app of project p does.
func (r *rig) call(method, body string) (int, map[string]any) {
	return r.json(r.request("POST", "/identitytoolkit.googleapis.com/v1/accounts:"+method+"?key=key-of-project-p", body))
}

// admin is what an administrator does to project p.
func (r *rig) admin(method, path, body string) (int, map[string]any) {
	return r.json(r.request(method, "/identitytoolkit.googleapis.com/v1/projects/p/"+path, body, "Authorization", "Bearer admin-of-p"))
}

func (r *rig) json(w *httptest.ResponseRecorder) (int, map[string]any) {
	r.t.Helper()
	var m map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
		r.t.Fatalf("%q: %v", w.Body.String(), err)
	}
	return w.Code, m
}

// message is an error's; "" if there is none.
func message(m map[string]any) string {
	e, _ := m["error"].(map[string]any)
	text, _ := e["message"].(string)
	return text
}

var _ http.Handler = (*rig)(nil)
