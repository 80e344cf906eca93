package authadmin

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/audit"
	"rebase/auth"
	"rebase/auth/jwks"
	"rebase/auth/keys"
	"rebase/auth/projects"
	"rebase/auth/token"
	"rebase/gateway/adminapi"
	"rebase/test/memdb"
)

type rig struct {
	t    *testing.T
	h    *Handler
	root string
	fs   vfs.FS
	log  bytes.Buffer
}

func newRig(t *testing.T, open bool) *rig {
	t.Helper()
	r := &rig{t: t, fs: vfs.NewMem(), root: keys.NewRootSecret()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d := memdb.Open(t, nil)
	ring, err := keys.Open(t.Context(), d, keys.Options{})
	must(err)
	reg, err := projects.Open(t.Context(), d)
	must(err)
	if !open {
		must(ring.SetRoot(t.Context(), r.root))
	}
	logger := slog.New(slog.NewTextHandler(&r.log, nil))
	authority, err := auth.New(auth.Options{Keys: ring, Projects: reg, Logger: logger})
	must(err)
	journal, err := audit.Open(audit.Options{FS: r.fs, Dir: "audit", Logger: logger})
	must(err)
	t.Cleanup(func() { journal.Close() })
	r.h = New(Options{
		Authority: authority, Keys: ring, Projects: reg, Open: open, Audit: journal, Logger: logger,
		NewRoot: func(ctx context.Context) (string, error) {
			s := keys.NewRootSecret()
			return s, ring.SetRoot(ctx, s)
		},
	})
	return r
}

// do sends a request with the root secret, and decodes the answer.
func (r *rig) do(want int, method, path, body string) map[string]any {
	r.t.Helper()
	return r.as(r.root, want, method, path, body)
}

func (r *rig) as(cred string, want int, method, path, body string) map[string]any {
	r.t.Helper()
	req := httptest.NewRequest(method, "https://db.example.com"+Prefix+path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if cred != "" {
		req.Header.Set("Authorization", "Bearer "+cred)
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		r.t.Fatalf("%s %s: %s", method, path, w.Body)
	}
	if w.Code != want {
		r.t.Errorf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, want)
	}
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		r.t.Errorf("%s %s: web pages may read the answer", method, path)
	}
	if want >= 400 && v["error"] == nil {
		r.t.Errorf("%s %s: no error in %s", method, path, w.Body)
	}
	return v
}

// acts returns the journal, an act and its outcome in a word.
func (r *rig) acts() (list []string) {
	r.t.Helper()
	for e, err := range audit.Events(r.fs, "audit") {
		if err != nil {
			r.t.Fatal(err)
		}
		list = append(list, string(e.Act)+"/"+string(e.Outcome))
	}
	return list
}

func (r *rig) journal() string {
	r.t.Helper()
	var b strings.Builder
	names, err := r.fs.List("audit")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, name := range names {
		f, err := r.fs.Open("audit/" + name)
		if err != nil {
			r.t.Fatal(err)
		}
		io.Copy(&b, f)
		f.Close()
	}
	return b.String()
}

func TestOnlyTheRootSecretOpens(t *testing.T) {
	r := newRig(t, false)
	r.do(201, "POST", "projects", `{"name":"shop"}`)
	secret := r.do(201, "POST", "projects/shop/secrets", `{}`)["secret"].(string)
	for _, cred := range []string{"", "owner", "x", keys.RootPrefix, keys.NewRootSecret(), r.root + "x", secret} {
		code := http.StatusForbidden
		if cred == "" {
			code = http.StatusUnauthorized
		}
		for _, at := range []string{"GET keys", "POST keys/rotate", "POST root/rotate", "POST inspect", "GET projects", "POST projects", "DELETE projects/shop?confirm=shop", "GET nothing", "GET "} {
			method, path, _ := strings.Cut(at, " ")
			r.as(cred, code, method, path, "")
		}
	}
	if len(r.h.o.Projects.List()) != 1 {
		t.Error("the project is gone")
	}
	all := strings.Join(r.acts(), " ")
	if !strings.Contains(all, "admin.refused/refused") {
		t.Errorf("refusals are not in the journal: %s", all)
	}
	open := newRig(t, true)
	open.as("owner", 200, "GET", "projects", "")
	open.as("x", 403, "GET", "projects", "")
}

func TestProjects(t *testing.T) {
	r := newRig(t, false)
	p := r.do(201, "POST", "projects", `{"name":"shop","databases":["stock"],"firebaseProject":"shop-1234"}`)
	if p["name"] != "shop" || len(p["apiKeys"].([]any)) != 1 || len(p["allDatabases"].([]any)) != 3 {
		t.Errorf("%v", p)
	}
	r.do(409, "POST", "projects", `{"name":"shop"}`)
	r.do(400, "POST", "projects", `{"name":"../x"}`)
	r.do(400, "POST", "projects", `{"name":"blog","databases":["stock"]}`)
	r.do(400, "POST", "projects", `{"name":"blog","nmae":1}`)
	r.do(400, "POST", "projects", `{"name":"blog"} x`)
	r.do(400, "POST", "projects", `{`)
	r.do(413, "POST", "projects", `{"name":"`+strings.Repeat("x", adminapi.MaxBody)+`"}`)
	r.do(415, "POST", "projects", "")
	r.do(405, "PUT", "projects", "")
	r.do(404, "GET", "projects/nowhere", "")
	r.do(404, "GET", "projects/shop/nothing", "")
	// A setting that is left out stays.
	p = r.do(200, "PATCH", "projects/shop", `{"signIn":{"providers":[{"id":"oidc.corp","issuer":"https://login.example.com","clientId":"c","clientSecret":"very secret"}]}}`)
	if p["firebaseProject"] != "shop-1234" || strings.Contains(jsonOf(t, p), "very secret") || !strings.Contains(jsonOf(t, p), hidden) {
		t.Errorf("%v", p)
	}
	// What was read can be sent back.
	r.do(200, "PATCH", "projects/shop", `{"signIn":`+jsonOf(t, p["signIn"])+`}`)
	if c, _ := r.h.o.Projects.Config("shop"); c.SignIn.Providers[0].ClientSecret != "very secret" {
		t.Errorf("the client secret is %q", c.SignIn.Providers[0].ClientSecret)
	}
	r.do(200, "PATCH", "projects/shop", `{"signIn":{"providers":[{"id":"oidc.corp","issuer":"https://evil.example.com","clientId":"c","clientSecret":"(hidden)"}]}}`)
	if c, _ := r.h.o.Projects.Config("shop"); c.SignIn.Providers[0].ClientSecret != "" {
		t.Error("the client secret was given to another issuer")
	}
	r.do(400, "PATCH", "projects/shop", `{"serviceAccounts":[]}`)
	r.do(400, "PATCH", "projects/shop", `{"issuers":[{"name":"x","issuer":"http://example.com","audiences":["x"]}]}`)
	req := httptest.NewRequest("PATCH", Prefix+"projects/shop", strings.NewReader(`{"databases":[]}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+r.root)
	req.Header.Set("If-Match", "another version")
	w := httptest.NewRecorder()
	if r.h.ServeHTTP(w, req); w.Code != http.StatusConflict {
		t.Errorf("a version that is gone was changed: %d", w.Code)
	}
	if list := r.do(200, "GET", "projects", "")["projects"].([]any); len(list) != 1 {
		t.Errorf("%v", list)
	}
	r.do(400, "DELETE", "projects/shop", "")
	r.do(200, "DELETE", "projects/shop?confirm=shop", "")
	r.do(404, "GET", "projects/shop", "")
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A service account's way: key file, assertion, access token, and its end.
func TestServiceAccount(t *testing.T) {
	r := newRig(t, false)
	r.do(201, "POST", "projects", `{"name":"shop"}`)
	file := r.do(201, "POST", "projects/shop/service-accounts", `{"name":"backend"}`)
	email := file["client_email"].(string)
	if file["token_uri"] != "https://db.example.com/_rebase/oauth2/token" || file["type"] != "service_account" {
		t.Errorf("%v", file)
	}
	block, _ := pem.Decode([]byte(file["private_key"].(string)))
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	assertion, err := token.Sign(token.RS256, map[string]any{"kid": file["private_key_id"]}, map[string]any{
		"iss": email, "aud": file["token_uri"], "iat": now, "exp": now + 3600, "scope": "x",
	}, private)
	if err != nil {
		t.Fatal(err)
	}
	answer := r.exchange(200, url.Values{"grant_type": {grantType}, "assertion": {assertion}})
	access, _ := answer["access_token"].(string)
	if answer["token_type"] != "Bearer" || answer["expires_in"] != 3600.0 {
		t.Errorf("%v", answer)
	}
	v := r.do(200, "POST", "inspect", `{"database":"shop","token":"`+access+`"}`)
	if v["accepted"] != true || v["admin"] != true || v["project"] != "shop" {
		t.Errorf("%v", v)
	}
	if v := r.do(200, "POST", "inspect", `{"database":"blog","token":"`+access+`"}`); v["accepted"] != false || v["reason"] == "" {
		t.Errorf("%v", v)
	}
	r.do(400, "POST", "inspect", `{"token":"x"}`)
	for name, form := range map[string]url.Values{
		"unsupported_grant_type": {"grant_type": {"password"}, "assertion": {assertion}},
		"invalid_request":        {"grant_type": {grantType}},
		"invalid_grant":          {"grant_type": {grantType}, "assertion": {assertion[:len(assertion)-4] + "AAAA"}},
	} {
		if answer := r.exchange(400, form); answer["error"] != name || answer["access_token"] != nil {
			t.Errorf("%v, want %s", answer, name)
		}
	}
	if answer := r.exchange(400, url.Values{"grant_type": {grantType, grantType}, "assertion": {assertion}}); answer["error"] != "unsupported_grant_type" {
		t.Errorf("%v", answer)
	}

	second := r.do(201, "POST", "projects/shop/service-accounts/"+email+"/keys", `{}`)
	if second["client_email"] != email || second["private_key_id"] == file["private_key_id"] {
		t.Errorf("%v", second)
	}
	r.do(404, "DELETE", "projects/shop/service-accounts/"+email+"/keys/none", "")
	r.do(200, "DELETE", "projects/shop/service-accounts/"+email+"/keys/"+file["private_key_id"].(string), "")
	if answer := r.exchange(400, url.Values{"grant_type": {grantType}, "assertion": {assertion}}); answer["error"] != "invalid_grant" {
		t.Errorf("signed with a deleted key: %v", answer)
	}
	if v := r.do(200, "POST", "inspect", `{"database":"shop","token":"`+access+`"}`); v["accepted"] != false {
		t.Errorf("the access token that was got by a deleted key: %v", v)
	}
	r.do(409, "DELETE", "projects/shop/service-accounts/"+email+"/keys/"+second["private_key_id"].(string), "")
	r.do(409, "POST", "projects/shop/service-accounts", `{"name":"backend"}`)
	r.do(400, "POST", "projects/shop/service-accounts", `{"name":"Back End"}`)
	r.do(400, "POST", "projects/shop/service-accounts", `{}`)
	r.do(400, "POST", "projects/shop/service-accounts", `{"email":"a@example.com","publicKey":"x"}`)
	if c, _ := r.h.o.Projects.Config("shop"); true {
		text, _ := json.Marshal(map[string]string{"email": "a@my-app.iam.gserviceaccount.com", "keyId": "k1", "publicKey": c.ServiceAccounts[0].Keys[0].PEM})
		r.do(201, "POST", "projects/shop/service-accounts", string(text))
	}
	if list := r.do(200, "GET", "projects/shop/service-accounts", "")["serviceAccounts"].([]any); len(list) != 2 {
		t.Errorf("%v", list)
	}
	block, _ = pem.Decode([]byte(second["private_key"].(string)))
	if private, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
		t.Fatal(err)
	}
	assertion, err = token.Sign(token.RS256, nil, map[string]any{"iss": email, "aud": second["token_uri"], "iat": now, "exp": now + 3600}, private)
	if err != nil {
		t.Fatal(err)
	}
	access, _ = r.exchange(200, url.Values{"grant_type": {grantType}, "assertion": {assertion}})["access_token"].(string) // without a key id
	if v := r.do(200, "POST", "inspect", `{"database":"shop","token":"`+access+`"}`); v["accepted"] != true {
		t.Errorf("%v", v)
	}
	r.do(200, "DELETE", "projects/shop/service-accounts/"+email, "")
	r.do(404, "DELETE", "projects/shop/service-accounts/"+email, "")
	if v := r.do(200, "POST", "inspect", `{"database":"shop","token":"`+access+`"}`); v["accepted"] != false {
		t.Errorf("the access token of a deleted account: %v", v)
	}
	for what, text := range map[string]string{"log": r.log.String(), "journal": r.journal()} {
		for _, part := range append(strings.Split(assertion, "."), strings.Split(access, ".")...) {
			if len(part) > 10 && strings.Contains(text, part) {
				t.Errorf("the %s repeats a credential", what)
			}
		}
	}
}

func (r *rig) exchange(want int, form url.Values) map[string]any {
	r.t.Helper()
	req := httptest.NewRequest("POST", auth.TokenPath, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	var v map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != want {
		r.t.Errorf("%d %s, want %d", w.Code, w.Body, want)
	}
	return v
}

// An assertion in the address would be in the logs of whatever stands in front.
func TestAssertionsAreNotTakenFromAddresses(t *testing.T) {
	r := newRig(t, false)
	req := httptest.NewRequest("POST", auth.TokenPath+"?grant_type="+url.QueryEscape(grantType)+"&assertion=x", nil)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if r.h.ServeHTTP(w, req); w.Code != 400 || !strings.Contains(w.Body.String(), "unsupported_grant_type") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	if r.h.ServeHTTP(w, httptest.NewRequest("GET", auth.TokenPath, nil)); w.Code != 405 {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestSecrets(t *testing.T) {
	r := newRig(t, false)
	r.do(201, "POST", "projects", `{"name":"shop","databases":["stock"]}`)
	s := r.do(201, "POST", "projects/shop/secrets", `{"database":"stock"}`)
	secret, id := s["secret"].(string), s["id"].(string)
	r.do(400, "POST", "projects/shop/secrets", `{"database":"blog"}`)
	r.do(400, "POST", "projects/shop/secrets", `{"secret":"short"}`)
	imported := strings.Repeat("firebase", 5)
	if s := r.do(201, "POST", "projects/shop/secrets", `{"secret":"`+imported+`"}`); s["secret"] != nil {
		t.Errorf("%v", s)
	}
	if list := r.do(200, "GET", "projects/shop/secrets", ""); len(list["secrets"].([]any)) != 2 || strings.Contains(jsonOf(t, list), secret) {
		t.Errorf("%v", list)
	}
	for _, path := range []string{"projects", "projects/shop"} {
		if text := jsonOf(t, r.do(200, "GET", path, "")); strings.Contains(text, secret) || strings.Contains(text, imported) {
			t.Errorf("%s tells a secret", path)
		}
	}
	for cred, at := range map[string]string{secret: "stock", imported: "shop"} {
		if v := r.do(200, "POST", "inspect", `{"database":"`+at+`","token":"`+cred+`"}`); v["accepted"] != true {
			t.Errorf("%v", v)
		}
	}
	r.do(200, "DELETE", "projects/shop/secrets/"+id, "")
	r.do(404, "DELETE", "projects/shop/secrets/"+id, "")
	if v := r.do(200, "POST", "inspect", `{"database":"stock","token":"`+secret+`"}`); v["accepted"] != false {
		t.Errorf("%v", v)
	}
	if text := r.journal() + r.log.String(); strings.Contains(text, secret) || strings.Contains(text, imported) || strings.Contains(text, r.root) {
		t.Error("a secret is in the journal or the log")
	}
	if acts := strings.Join(r.acts(), " "); !strings.Contains(acts, "secret.created/done") || !strings.Contains(acts, "secret.created/failed") || !strings.Contains(acts, "secret.removed/done") {
		t.Errorf("journal: %s", acts)
	}
}

func TestKeysAndRoot(t *testing.T) {
	r := newRig(t, false)
	if list := r.do(200, "GET", "keys", "")["keys"].([]any); len(list) != 0 {
		t.Errorf("%v", list)
	}
	r.do(405, "GET", "keys/rotate", "")
	r.do(200, "POST", "keys/rotate", "")
	list := r.do(200, "POST", "keys/rotate", "")["keys"].([]any)
	if len(list) != 2 {
		t.Fatalf("%v", list)
	}
	id := func(i int) string { return list[i].(map[string]any)["id"].(string) }
	r.do(409, "DELETE", "keys/"+id(0), "")
	r.do(404, "DELETE", "keys/none", "")
	r.do(200, "DELETE", "keys/"+id(1), "")
	r.do(404, "DELETE", "keys/"+id(1), "")
	if list = r.do(200, "POST", "keys/rotate", "")["keys"].([]any); len(list) != 2 {
		t.Errorf("%v", list)
	}
	for _, path := range []string{JWKSPath, CertsPath} {
		w := httptest.NewRecorder()
		r.h.ServeHTTP(w, httptest.NewRequest("GET", path, nil)) // by anybody
		set, err := jwks.Parse(w.Body.Bytes())
		if err != nil || set.Len() != 2 || w.Header().Get("Cache-Control") == "" {
			t.Errorf("%s: %v %s", path, err, w.Body)
		}
		if strings.Contains(w.Body.String(), `"d":`) {
			t.Error("a private key is published")
		}
	}
	w := httptest.NewRecorder()
	if r.h.ServeHTTP(w, httptest.NewRequest("POST", JWKSPath, nil)); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
	neu := r.do(200, "POST", "root/rotate", "")["secret"].(string)
	r.do(403, "GET", "keys", "")
	r.root = neu
	r.do(200, "GET", "keys", "")
	r.do(404, "POST", "root", "")
	r.do(404, "GET", "", "")
}
