package attack

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"rebase/test/harness"
)

// whoever holds alpha in some way, and what the protocol calls it.
var holders = []struct{ who, scheme, credential string }{
	{"nobody", "", ""},
	{"alpha's user", "auth", token(alphaKey, "bob")},
	{"alpha's administrator", "gauth", alphaKey},
}

// On a connection to one database nothing leads to another: not by listens, reads, writes, nor by what happens at the end.
func TestConnections(t *testing.T) {
	v := newVictim(t)
	before := v.state()
	paths := []string{
		"/../beta", "/../beta/private", "/../../_auth", "../beta", "/..", "/%2e%2e/beta", "//beta", "/beta/private", "/_auth", "/_auth/projects", "/../_auth/projects/beta/config",
		"/pub/../../beta/private", "/\x00/../beta", "/.info/../beta", "/.settings/rules", "/.info/serverTimeOffset/../../beta", "https://beta.example.com/private", "beta:/private",
	}
	for _, h := range holders {
		for _, path := range paths {
			c := v.dial("alpha", h.scheme, h.credential)
			body := func(format string) []byte { return fmt.Appendf(nil, format, path) }
			for _, r := range []struct {
				action string
				body   []byte
			}{
				{"q", body(`{"p":%q,"h":""}`)},
				{"g", body(`{"p":%q,"q":{}}`)},
				{"q", body(`{"p":%q,"q":{"i":".key","l":10,"vf":"l"},"t":1,"h":""}`)},
				{"n", body(`{"p":%q}`)},
				{"o", body(`{"p":%q,"d":"EVE"}`)},
				{"om", body(`{"p":%q,"d":{"x":"EVE"}}`)},
			} {
				if strings.HasPrefix(r.action, "o") && !strings.ContainsAny(path, ".\x00") {
					continue // of alpha itself, where the administrator may
				}
				n, err := c.Send(r.action, r.body)
				if err != nil {
					break // the connection has been closed
				}
				for {
					m, err := c.Next()
					if err != nil {
						c = v.dial("alpha", h.scheme, h.credential)
						break
					}
					v.holdsNone(fmt.Sprintf("%s of %q as %s", r.action, path, h.who), text(m), betaSecrets)
					if m.Request == n {
						break
					}
				}
			}
			c.Close()
		}
	}
	v.unchanged(before)
}

// A name is refused before there is a connection, or is that of another database, in which nothing is known of the credential.
func TestConnectionNames(t *testing.T) {
	v := newVictim(t)
	before := v.state()
	for _, n := range names {
		if n[0] == "" || strings.HasPrefix(n[0], "ns=alpha&") || strings.HasPrefix(n[0], "NS=") || strings.HasSuffix(n[0], "ns=alpha") || strings.ContainsAny(n[0], " \x00") {
			continue
		}
		for _, h := range holders {
			c := v.connect("v=5&" + n[0])
			if c == nil {
				continue
			}
			if _, err := c.Next(); err != nil {
				continue
			}
			what := n[0] + " as " + h.who
			if h.scheme != "" {
				if m, err := c.Call(h.scheme, fmt.Appendf(nil, `{"cred":%q}`, h.credential)); err == nil && m.Status == "ok" {
					t.Errorf("%s: the credential is believed: %s", what, text(m))
				}
			}
			for _, path := range []string{"/", "/private", "/projects", "/_auth"} {
				if m, err := c.Call("g", fmt.Appendf(nil, `{"p":%q,"q":{}}`, path)); err == nil {
					v.holdsNone(what, text(m), allSecrets)
				}
				if m, err := c.Call("p", fmt.Appendf(nil, `{"p":%q,"d":"EVE"}`, path)); err == nil && m.Status == "ok" {
					t.Errorf("%s: a write at %s is taken", what, path)
				}
			}
			c.Close()
		}
	}
	v.unchanged(before)
}

var startScript = regexp.MustCompile(`pLPCommand\('start',"([^"]*)","([^"]*)"\)`)

// poller begins a session by long polling.
func (v *victim) poller(ns string) (id, password string) {
	v.t.Helper()
	status, script := v.raw("GET", "/.lp?start=t&cb=1&v=5&ns="+ns, "", "")
	m := startScript.FindStringSubmatch(script)
	if status != http.StatusOK || m == nil {
		v.t.Fatalf("no session: %d %s", status, script)
	}
	return m[1], m[2]
}

// Sessions are not mixed up: who knows the id of another's has neither its rights nor its messages.
func TestSessions(t *testing.T) {
	v := newVictim(t)
	before := v.state()

	id, password := v.poller("alpha")
	own, ownPassword := v.poller("beta")
	for _, q := range []string{
		"id=" + id + "&pw=" + ownPassword, "id=" + id, "id=" + id + "&pw=", "id=" + id + "&pw=" + strings.ToLower(password) + "x", "id=&pw=" + password,
		"id=" + own + "&pw=" + password, "id=" + id + "&id=" + own + "&pw=" + ownPassword, "id=" + id[:len(id)-1] + "&pw=" + password,
	} {
		if status, script := v.raw("GET", "/.lp?"+q+"&ser=1&ns=alpha", "", ""); status == 200 && !strings.Contains(script, "close") {
			t.Errorf("%s is somebody's session: %d %s", q, status, script)
		}
	}

	// A WebSocket joins the session of long polling that it names only for the same database, and gets nothing otherwise.
	for _, query := range []string{"v=5&ns=beta&s=" + id, "v=5&s=" + id, "v=5&ns=alpha&s=" + id + "x", "v=5&ns=ALPHA2&s=" + id} {
		c := v.connect(query)
		if c == nil {
			continue
		}
		if m, err := c.Next(); err == nil && m.Type == "h" {
			t.Errorf("%s: a greeting: %s", query, text(m))
		}
		c.Close()
	}

	// An administrator's WebSocket is not one to join: neither by its id nor as what it was before.
	admin := v.dial("alpha", "gauth", alphaKey)
	for _, query := range []string{"v=5&ns=alpha&s=" + admin.Session, "v=5&ns=beta&s=" + admin.Session} {
		c := v.connect(query)
		if c == nil {
			continue
		}
		for range 3 {
			m, err := c.Next()
			if err != nil {
				break
			}
			if m.Type == "h" {
				t.Errorf("%s: a greeting: %s", query, text(m))
			}
		}
		c.Close()
	}
	if m, err := admin.Call("g", []byte(`{"p":"/hidden","q":{}}`)); err != nil || m.Status != "ok" {
		t.Errorf("the administrator's own connection: %+v, %v", m, err)
	}
	heir, err := harness.Dial(v.addr, "alpha", admin.Session) // ends that one, as an SDK that comes back wants it
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Close()
	if m, err := heir.Call("g", []byte(`{"p":"/hidden","q":{}}`)); err != nil || m.Status == "ok" {
		t.Errorf("whoever names the session has its rights: %+v, %v", m, err)
	}
	v.unchanged(before)
}

// Signing out, and signing in as somebody else, leaves nothing of who it was.
func TestIdentityDoesNotStay(t *testing.T) {
	v := newVictim(t)
	c := v.dial("alpha", "auth", token(alphaKey, "bob"))
	read := func() string {
		t.Helper()
		m, err := c.Call("g", []byte(`{"p":"/own/bob","q":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		return m.Status
	}
	if got := read(); got != "ok" {
		t.Fatalf("bob: %s", got)
	}
	for _, r := range []struct{ action, body string }{
		{"unauth", `{}`},
		{"auth", fmt.Sprintf(`{"cred":%q}`, token(alphaKey, "eve"))},
		{"auth", fmt.Sprintf(`{"cred":%q}`, token(betaKey, "bob"))}, // rejected: she stays who she is
		{"gauth", `{"cred":"owner"}`},
		{"gauth", `{"cred":""}`},
	} {
		if _, err := c.Call(r.action, []byte(r.body)); err != nil {
			t.Fatal(err)
		}
		if got := read(); got == "ok" {
			t.Errorf("after %s %.60s what was bob's can be read", r.action, r.body)
		}
	}
}
