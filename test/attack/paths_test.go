package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// ways are ways to write a path that leads from /pub to somewhere else; %s is where to.
var ways = []string{
	"/pub/../%s.json", "/pub/%%2e%%2e/%s.json", "/pub/%%2E%%2e/%s.json", "/pub/.%%2e/%s.json", "/pub/..%%2f%s.json", "/pub%%2f..%%2f%s.json",
	"/pub%%2F%%2e%%2e%%2F%s.json", "/pub/./../%s.json", "/pub/..;/%s.json", "/pub/..\\%s.json", "/pub/..%%5c%s.json",
	"/pub/%%252e%%252e/%s.json", "/pub/%%c0%%ae%%c0%%ae/%s.json", "/pub/%%00/../%s.json", "/pub%%00/../%s.json", "/pub.json/../%s.json",
	"/pub/....//%s.json", "//%s.json", "///pub//..//%s.json", "/%s%%00.json", "/%s%%2ejson.json", "/%s.json/", "/%s.json%%00", "/%s%%20.json",
	"/%%2f%s.json", "/.%%2f%s.json", "/pub/hello/../../%s.json", "/%s/.json", "/%s.json?x=/pub.json", "/%s.json#/pub.json",
	"http://127.0.0.1/%s.json", "http://beta/%s.json", "http://pub@beta/%s.json",
	"/.settings/../%s.json", "/.settings/%%2e%%2e/%s.json", "/.inspect/../%s.json", "/_rebase/../%s.json", "/_rebase/auth/../../%s.json", "/_rebase/demo/../../%s.json",
}

// targets are what there is to get at.
var targets = []string{"private", "private/x", "hidden", "own/bob", "_auth", "../_auth", "beta/private", "../beta/private", ""}

// names are ways to name another database than alpha; each is a query and a Host.
var names = [][2]string{
	{"ns=beta", ""}, {"ns=BETA", ""}, {"ns=Beta", ""}, {"ns=%62eta", ""}, {"ns=beta%00", ""}, {"ns=beta%20", ""}, {"ns=+beta", ""}, {"ns=beta.", ""}, {"ns=.beta", ""},
	{"ns=alpha&ns=beta", ""}, {"ns=beta&ns=alpha", ""}, {"NS=beta&ns=alpha", ""}, {"ns=alpha;ns=beta", ""}, {"ns=alpha%26ns=beta", ""}, {"&ns=beta", ""}, {"ns=&ns=beta", ""},
	{"ns=alpha/../beta", ""}, {"ns=alpha%2f..%2fbeta", ""}, {"ns=../beta", ""}, {"ns=alpha/beta", ""}, {"ns=alpha%00beta", ""}, {"ns=alpha%0abeta", ""},
	{"ns=_auth", ""}, {"ns=_AUTH", ""}, {"ns=%5fauth", ""}, {"ns=%5Fauth", ""}, {"ns=_auth%00", ""}, {"ns=._auth", ""}, {"ns=-_auth", ""}, {"ns=alpha%2f_auth", ""}, {"ns=%EF%BC%BFauth", ""},
	{"", "beta"}, {"", "BETA"}, {"", "beta.example.com"}, {"", "beta:80"}, {"", "Beta.firebaseio.com:443"}, {"ns=", "beta.example.com"},
	{"", "_auth"}, {"", "_AUTH.example.com"}, {"", "_auth.firebaseio.com"}, {"", "alpha.beta"}, {"", "[beta]"}, {"", "..beta"},
}

// Whoever has a right to /pub reads nothing else, however it writes the way there.
func TestPaths(t *testing.T) {
	v := newVictim(t)
	before := v.state()
	if status, answer := v.raw("GET", "/pub.json?ns=alpha", "", ""); status != 200 || answer != `{"hello":"world"}` {
		t.Fatalf("what may be read: %d %s", status, answer)
	}
	eve := token(alphaKey, "eve") // reads /private, too, and her own
	v.canRead("/private.json?ns=alpha&auth="+eve, "ALPHA-PRIVATE")
	v.canRead("/hidden.json?ns=alpha&auth="+alphaKey, "ALPHA-HIDDEN")
	v.canRead("/private.json?ns=beta&auth="+token(betaKey, "bob"), "BETA-SECRET")
	for _, way := range ways {
		for _, to := range targets {
			path := fmt.Sprintf(way, to)
			if i := strings.IndexByte(path, '#'); i >= 0 {
				path = path[:i] + "%23" + path[i+1:]
			}
			join := "?"
			if strings.Contains(path, "?") {
				join = "&"
			}
			for _, ns := range []string{"ns=alpha", ""} {
				_, answer := v.raw("GET", path+join+ns, "", "")
				v.holdsNone("GET "+path+join+ns, answer, allSecrets)
			}
			_, answer := v.raw("GET", path+join+"ns=alpha&auth="+eve, "", "")
			v.holdsNone("GET "+path+" as eve", answer, []string{"BOBS-OWN", "ALPHA-HIDDEN", "BETA-SECRET", alphaKey, betaKey})
			_, answer = v.raw("GET", path+join+"ns=alpha&auth="+alphaKey, "", "")
			v.holdsNone("GET "+path+" as alpha's administrator", answer, betaSecrets)
			for _, method := range []string{"PUT", "PATCH", "DELETE", "POST"} {
				v.raw(method, path+join+"ns=alpha&auth="+eve, "", `{"x":"EVE"}`)
			}
		}
	}
	v.unchanged(before)
}

// A credential of one database is worth nothing in another, however that is named.
func TestNames(t *testing.T) {
	v := newVictim(t)
	before := v.state()
	v.canRead("/own/bob.json?ns=alpha&auth="+token(alphaKey, "bob"), "BOBS-OWN")
	v.canRead("/private.json?ns=beta&auth="+betaKey, "BETA-SECRET")
	for _, n := range names {
		query, host := n[0], n[1]
		for _, path := range []string{"/.json", "/private.json", "/pub.json", "/.settings/rules.json", "/projects.json", "/users.json"} {
			for who, credential := range map[string]string{"nobody": "", "alpha's user": token(alphaKey, "bob"), "alpha's administrator": alphaKey} {
				what := fmt.Sprintf("GET %s?%s to host %q as %s", path, query, host, who)
				_, answer := v.raw("GET", path+"?"+query+"&auth="+credential, host, "")
				v.holdsNone(what, answer, betaSecrets)
				if strings.Contains(answer, "BETA") {
					t.Errorf("%s: %s", what, answer)
				}
				if credential == "" {
					continue
				}
				_, answer = v.raw("GET", path+"?"+query, host, "", "Authorization: Bearer "+credential)
				v.holdsNone(what+" in a header", answer, betaSecrets)
				for _, method := range []string{"PUT", "PATCH", "DELETE", "POST"} {
					if query == "ns=beta&ns=alpha" || query == "NS=beta&ns=alpha" || strings.HasPrefix(host, "alpha") || strings.HasPrefix(query, "ns=alpha&") || strings.HasPrefix(query, "ns=alpha;") {
						break // these may mean alpha, whose own it is to write
					}
					status, answer := v.raw(method, path+"?"+query, host, `{"x":"EVE"}`, "Authorization: Bearer "+credential)
					if status == http.StatusOK {
						t.Errorf("%s, but %s: %d %s", what, method, status, answer)
					}
				}
			}
		}
	}
	v.unchanged(before)
}

// Nobody but administrators sees settings and administration, and those of one project not those of another.
func TestAdministration(t *testing.T) {
	v := newVictim(t)
	before := v.state()
	for _, path := range []string{
		"/_rebase/auth/projects", "/_rebase/auth/projects/beta", "/_rebase/auth/projects/beta/secrets", "/_rebase/auth/keys/rotate", "/_rebase/auth/root",
		"/_rebase/auth/projects/alpha/../beta", "/_rebase/auth//projects", "/_rebase/auth/projects/%62eta", "/_rebase/debug/pprof/heap?debug=1",
		"/.settings/rules.json?ns=beta", "/.settings/rules.json?ns=alpha&ns=beta", "/.settings/.json?ns=beta", "/.inspect/databases.json?ns=beta",
	} {
		for who, credential := range map[string]string{"nobody": "", "alpha's user": token(alphaKey, "bob"), "alpha's administrator": alphaKey, "the emulator's owner": "owner"} {
			for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE"} {
				var headers []string
				if credential != "" {
					headers = []string{"Authorization: Bearer " + credential}
				}
				status, answer := v.raw(method, path, "", `{"name":"gamma","rules":{".read":true}}`, headers...)
				what := fmt.Sprintf("%s %s as %s: %d %.200s", method, path, who, status, answer)
				v.holdsNone(what, answer, append([]string{"auth.uid == 'bob'", "goroutine"}, betaSecrets...))
				if status < 400 && !(credential == alphaKey && strings.HasPrefix(path, "/.settings/rules.json?ns=alpha")) && !strings.Contains(path, "debug") {
					t.Error(what)
				}
			}
		}
	}
	// What alpha's administrator may do to alpha's own rules is undone.
	v.admin("PUT", "/.settings/rules.json?ns=alpha", alphaRules, 200)
	v.unchanged(before)
}
