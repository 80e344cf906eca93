package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rebase/auth"
)

// guard is an Authenticator and AppChecker for tests: "NAME.jwt" is the user NAME, "NAME.1s" for so long, "admin" an admin, "app" the token of an
// app, "later" what nobody can check at the moment; everything else is rejected.
type guard struct{ required bool }

var issued = time.Unix(1_000_000, 0)

func (g guard) Authenticate(_ context.Context, c auth.Credential) (auth.Identity, error) {
	name, rest, ok := strings.Cut(c.Token, ".")
	switch {
	case c.Token == "later":
		return auth.Identity{}, errors.New("the keys cannot be fetched")
	case c.Token == "admin" && c.Override != nil:
		if string(c.Override) == "null" {
			return auth.Identity{}, nil
		}
		return auth.Identity{Auth: c.Override}, nil
	case c.Token == "admin":
		return auth.Identity{Admin: true, Project: "p"}, nil
	case rest == "old":
		return auth.Identity{}, &auth.Error{Status: auth.StatusExpiredToken, Reason: "it has expired"}
	case !ok || c.Override != nil:
		return auth.Identity{}, &auth.Error{Status: auth.StatusInvalidToken, Reason: "it is no token"}
	}
	id := auth.Identity{Auth: json.RawMessage(`{"uid":"` + name + `"}`), Project: "p", UID: name, Issued: issued}
	if d, err := time.ParseDuration(rest); err == nil {
		id.Expires = time.Now().Add(d)
	}
	return id, nil
}

func (g guard) CheckApp(_ context.Context, _, token string) (time.Time, error) {
	if token != "app" {
		return time.Time{}, &auth.Error{Status: auth.StatusInvalidToken, Reason: "no app"}
	}
	return time.Time{}, nil
}

func (g guard) AppCheckRequired(string) bool { return g.required }

const (
	asAdmin = "Authorization: Bearer admin"
	denied  = "Permission denied"
)

const ownRules = `{"rules":{"own":{"$uid":{".read":"auth.uid == $uid",".write":"auth.uid == $uid"}},
	"drop":{".write":true},"list":{".read":"query.limitToFirst <= 2"},
	"count":{".read":"auth != null",".write":"newData.val() == data.val() + 1"}}}`

// newClosed is a server that believes nothing unchecked, with some rules and data.
func newClosed(t *testing.T, g guard) *fixture {
	f := newFixture(t, func(o *Options) { o.Auth, o.AppChecker = g, g })
	for target, body := range map[string]string{"/.settings/rules.json": ownRules, "/.json": `{"own":{"ann":{"x":1}},"drop":{"secret":1},"count":5,"list":{"a":1}}`} {
		if a := f.do("PUT", target, body, asAdmin); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	return f
}

func TestRulesDecide(t *testing.T) {
	noLeaks(t)
	f := newClosed(t, guard{})
	for _, tc := range []struct {
		method, target, body string
		headers              []string
		status               int
		want                 string
	}{
		{"GET", "/own/ann.json", "", nil, 401, denied},
		{"GET", "/own/ann.json?auth=ann.jwt", "", nil, 200, `{"x":1}`},
		{"GET", "/own/ann/x.json?auth=ann.jwt", "", nil, 200, `1`},
		{"GET", "/own/ann.json?auth=bob.jwt", "", nil, 401, denied},
		{"GET", "/own/ann.json", "", []string{"Authorization: Bearer ann.jwt"}, 200, `{"x":1}`},
		{"GET", "/own/ann.json?access_token=admin", "", nil, 200, `{"x":1}`},
		{"GET", "/own/ann.json?auth=admin", "", nil, 200, `{"x":1}`},
		{"GET", "/own/ann.json?auth=ann.old", "", nil, 401, "Auth token is expired."},
		{"GET", "/own/ann.json?auth=nonsense", "", nil, 401, msgBadToken},
		{"GET", "/own/ann.json?access_token=later", "", nil, 503, msgUnavailable},
		{"GET", "/own/ann.json?shallow=true&auth=bob.jwt", "", nil, 401, denied},
		{"GET", "/own/ann/.priority.json?auth=bob.jwt", "", nil, 401, denied},
		{"GET", "/own/ann.json?format=export&auth=bob.jwt", "", nil, 401, denied},
		{"GET", "/own/ann.json?print=silent&auth=bob.jwt", "", nil, 401, denied},
		{"GET", `/list.json?orderBy="$key"&limitToFirst=2`, "", nil, 200, `{"a":1}`},
		{"GET", `/list.json?orderBy="$key"&limitToFirst=3`, "", nil, 401, denied},
		{"GET", `/list.json?orderBy="x"&limitToFirst=3`, "", nil, 401, denied}, // before anything is said of indexes
		{"GET", "/list.json", "", nil, 401, denied},
		{"GET", "/own/ann.json?access_token=admin&auth_variable_override={\"uid\":\"ann\"}", "", nil, 200, `{"x":1}`},
		{"GET", "/own/ann.json?access_token=admin&auth_variable_override={\"uid\":\"bob\"}", "", nil, 401, denied},
		{"GET", "/own/ann.json?access_token=admin&auth_variable_override=null", "", nil, 401, denied},
		{"GET", "/own/ann.json?access_token=ann.jwt&auth_variable_override={\"uid\":\"ann\"}", "", nil, 401, msgBadToken},
		{"PUT", "/own/bob.json?auth=ann.jwt", "1", nil, 401, denied},
		{"PUT", "/own/bob.json?auth=bob.jwt", "1", nil, 200, "1"},
		{"PATCH", "/own.json?auth=bob.jwt", `{"bob":2,"ann":2}`, nil, 401, denied},
		{"PATCH", "/own.json?auth=bob.jwt", `{"bob":2}`, nil, 200, `{"bob":2}`},
		{"DELETE", "/.json?auth=bob.jwt", "", nil, 401, denied},
		{"POST", "/list.json?auth=bob.jwt", "1", nil, 401, denied},
		// Who may write but not read learns nothing of what is there: neither by a condition, nor by its size.
		{"PUT", "/drop.json", "1", []string{"If-Match: null_etag"}, 401, denied},
		{"PUT", "/count.json?auth=ann.jwt", "5", []string{"If-Match: null_etag"}, 412, "5"},
		{"PUT", "/drop.json?writeSizeLimit=tiny", "1", nil, 200, "1"},
		// Settings.
		{"GET", "/.settings/rules.json", "", nil, 401, "Unauthorized request."},
		{"GET", "/.settings/rules.json?auth=ann.jwt", "", nil, 401, "Unauthorized request."},
		{"PUT", "/.settings/rules.json", `{"rules":{".write":true}}`, nil, 401, "Unauthorized request."},
		{"PUT", "/.settings/rules.json?access_token=admin&auth_variable_override={}", `{"rules":{".write":true}}`, nil, 401, "Unauthorized request."},
		{"GET", "/.inspect/databases.json", "", nil, 401, "Unauthorized request."},
		{"GET", "/.json?ns=other", "", nil, 401, denied},
		{"GET", "/.json?ns=_auth&access_token=admin", "", nil, 400, `database name "_auth" may only hold letters, digits, and after the first character also - _ .`},
	} {
		f.do(tc.method, tc.target, tc.body, tc.headers...).want(t, tc.method+" "+tc.target, tc.status, tc.want)
	}
	if a := f.do("GET", "/.settings/rules.json?ns=never", "", asAdmin); !strings.Contains(a.body, `".read": false`) {
		t.Errorf("rules of a database without: %s", a.body)
	}
}

func TestAppCheckIsRequired(t *testing.T) {
	noLeaks(t)
	f := newClosed(t, guard{required: true})
	f.do("GET", "/own/ann.json?auth=ann.jwt", "").want(t, "without", 401, "Missing or invalid App Check token.")
	f.do("GET", "/own/ann.json?auth=ann.jwt", "", "X-Firebase-AppCheck: other").want(t, "wrong", 401, "Missing or invalid App Check token.")
	f.do("GET", "/own/ann.json?auth=ann.jwt", "", "X-Firebase-AppCheck: app").want(t, "right", 200, `{"x":1}`)
}

func TestStreamsEndWithTheirCredential(t *testing.T) {
	noLeaks(t)
	f := newClosed(t, guard{})
	short := f.listen("/own/ann.json?auth=ann.300ms")
	long, admin := f.listen("/own/ann.json?auth=ann.1h"), f.listen("/own/ann.json?access_token=admin")
	for _, s := range []*sse{short, long, admin} {
		s.want("put", `{"path":"/","data":{"x":1}}`)
	}
	short.want("auth_revoked", "credential is no longer valid")
	f.rest.Revoke("p", "bob", issued.Add(time.Second))
	f.rest.Revoke("p", "ann", issued)
	f.do("PUT", "/own/ann/x.json", "2", asAdmin)
	long.want("put", `{"path":"/x","data":2}`)
	f.rest.Revoke("p", "ann", issued.Add(time.Second))
	long.want("auth_revoked", "credential is no longer valid")
	admin.want("put", `{"path":"/x","data":2}`)
	f.rest.RevokeIf(func(id auth.Identity) bool { return id.Project == "p" && id.UID == "" })
	admin.want("auth_revoked", "credential is no longer valid")
	for _, s := range []*sse{short, long, admin} {
		if ev, err := s.next(); err == nil {
			t.Errorf("after the end: %+v", ev)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.srv.URL+"/own/ann.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := f.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 401 {
		t.Errorf("a stream without a credential: %d", resp.StatusCode)
	}
}

// What a stranger sends is not even read where nothing that he could send would be taken.
func TestBodiesOfStrangersAreNotRead(t *testing.T) {
	f := newClosed(t, guard{})
	for _, tc := range []struct {
		method, target string
		reads          bool
	}{
		{"PUT", "/x.json?ns=nobody-has-it", false},
		{"PATCH", "/.json?ns=nobody-has-it", false},
		{"POST", "/x.json?ns=nobody-has-it&auth=ann.jwt", false},
		{"PUT", "/own/ann.json?ns=default", false},
		{"PUT", "/own/ann.json?ns=default&auth=bob.jwt", false},
		{"PUT", "/own/ann.json?ns=default&auth=ann.jwt", true},
		{"PUT", "/count.json?ns=default", true},              // by what is written
		{"PATCH", "/own.json?ns=default&auth=ann.jwt", true}, // what is below may be hers
	} {
		body := &counting{Reader: strings.NewReader("{}")}
		w := httptest.NewRecorder()
		f.rest.ServeHTTP(w, httptest.NewRequest(tc.method, tc.target, body))
		if (body.n > 0) != tc.reads || !tc.reads && w.Code != 401 {
			t.Errorf("%s %s: %d %s after %d reads", tc.method, tc.target, w.Code, w.Body, body.n)
		}
	}
}

// counting counts the calls of Read.
type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	c.n++
	return c.Reader.Read(p)
}
