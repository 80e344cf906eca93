package identity

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"rebase/audit"
	"rebase/auth/projects"
	"rebase/auth/users"
)

func TestHandles(t *testing.T) {
	for target, want := range map[string]bool{
		"http://h/identitytoolkit.googleapis.com/v1/accounts:signUp": true, "http://h/securetoken.googleapis.com/v1/token": true, "http://h/emulator/v1/projects/p/accounts": true,
		"http://h/_rebase/auth/action?x": true, "http://h/_rebase/auth/projects": false, "http://h/a.json": false, "http://h/emulator.json": false,
		"http://identitytoolkit.googleapis.com/v1/accounts:signUp": true, "http://securetoken.googleapis.com/v1/token": true, "http://www.googleapis.com/a.json": false,
		"http://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com": true,
	} {
		if got := Handles(httptest.NewRequest("GET", target, nil)); got != want {
			t.Errorf("%s: %t", target, got)
		}
	}
}

// Errors have the form that SDKs parse, and say no more than they should.
func TestErrors(t *testing.T) {
	r := newRig(t, false)
	const base = "/identitytoolkit.googleapis.com/v1/"
	const key = "?key=key-of-project-p"
	for name, c := range map[string]struct {
		method, target, body string
		header               []string
		code                 int
		message              string
	}{
		"no key":            {"POST", base + "accounts:signUp", "{}", nil, 403, "The request is missing a valid API key."},
		"another key":       {"POST", base + "accounts:signUp?key=nonsense-nonsense", "{}", nil, 400, "API key not valid. Please pass a valid API key."},
		"no such method":    {"POST", base + "accounts:nonsense" + key, "{}", nil, 404, ""},
		"GET":               {"GET", base + "accounts:signUp" + key, "", nil, 405, ""},
		"no JSON":           {"POST", base + "accounts:signUp" + key, "{", nil, 400, ""},
		"a list":            {"POST", base + "accounts:signUp" + key, "[]", nil, 400, ""},
		"a wrong type":      {"POST", base + "accounts:signUp" + key, `{"email":7}`, nil, 400, ""},
		"too long":          {"POST", base + "accounts:signUp" + key, `{"email":"` + strings.Repeat("x", maxBody) + `"}`, nil, 413, ""},
		"a tenant":          {"POST", base + "accounts:signUp" + key, `{"tenantId":"t"}`, nil, 400, "UNSUPPORTED_TENANT_OPERATION : there are no tenants here"},
		"a telephone":       {"POST", base + "accounts:sendVerificationCode" + key, `{}`, nil, 400, "OPERATION_NOT_ALLOWED : sign-in by telephone is not supported"},
		"no token":          {"POST", base + "accounts:lookup" + key, `{}`, nil, 400, "MISSING_ID_TOKEN"},
		"version 3":         {"POST", "/identitytoolkit.googleapis.com/v3/accounts:lookup" + key, `{}`, nil, 404, ""},
		"no admin":          {"GET", base + "projects/p/accounts:batchGet", "", nil, 401, ""},
		"owner":             {"GET", base + "projects/p/accounts:batchGet", "", []string{"Authorization", "Bearer owner"}, 401, ""},
		"a user":            {"GET", base + "projects/p/accounts:batchGet", "", []string{"Authorization", "Bearer somebody"}, 403, ""},
		"a secret":          {"GET", base + "projects/p/accounts:batchGet", "", []string{"Authorization", "Bearer secret-of-p"}, 403, ""}, // it is for databases
		"admin of another":  {"GET", base + "projects/q/accounts:batchGet", "", []string{"Authorization", "Bearer admin-of-p"}, 403, ""},
		"no project yet":    {"POST", base + "projects/r/accounts", "{}", []string{"Authorization", "Bearer root"}, 404, ""},
		"no project's name": {"GET", base + "projects/P%20x/accounts:batchGet", "", []string{"Authorization", "Bearer root"}, 400, ""},
		"the emulator":      {"GET", "/emulator/v1/projects/p/oobCodes", "", nil, 404, ""},
		"a grant":           {"POST", "/securetoken.googleapis.com/v1/token" + key, "grant_type=password", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "INVALID_GRANT_TYPE"},
		"a refresh token":   {"POST", "/securetoken.googleapis.com/v1/token" + key, "grant_type=refresh_token&refresh_token=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "INVALID_REFRESH_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			code, m := r.json(r.request(c.method, c.target, c.body, c.header...))
			got := message(m)
			if code != c.code || got == "" || c.message != "" && got != c.message {
				t.Errorf("%d %q", code, got)
			}
			e := m["error"].(map[string]any)
			if int(e["code"].(float64)) != code || e["errors"].([]any)[0].(map[string]any)["message"] != got {
				t.Errorf("%v", e)
			}
		})
	}
	if got := r.refusals(); got < 4 {
		t.Errorf("%d refused administrators were recorded", got)
	}
}

func (r *rig) refusals() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.audits {
		if e.Act == audit.AdminRefused && e.Outcome == audit.Refused {
			n++
		}
	}
	return n
}

func TestProjectsAreApart(t *testing.T) {
	r := newRig(t, false)
	_, up := r.call("signUp", `{"email":"ann@example.com","password":"secret1"}`)
	id, refresh := up["idToken"].(string), up["refreshToken"].(string)
	for _, target := range []string{"lookup", "update", "delete"} {
		_, m := r.json(r.request("POST", "/identitytoolkit.googleapis.com/v1/accounts:"+target+"?key=key-of-project-q", `{"idToken":"`+id+`"}`))
		if !strings.HasPrefix(message(m), "INVALID_ID_TOKEN") {
			t.Errorf("%s: %v", target, m)
		}
	}
	_, m := r.json(r.request("POST", "/identitytoolkit.googleapis.com/v1/accounts:signInWithPassword?key=key-of-project-q", `{"email":"ann@example.com","password":"secret1"}`))
	if message(m) != "INVALID_LOGIN_CREDENTIALS" {
		t.Errorf("%v", m)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}.Encode()
	for key, want := range map[string]string{"key-of-project-q": "INVALID_REFRESH_TOKEN", "key-of-project-p": ""} {
		_, m := r.json(r.request("POST", "/securetoken.googleapis.com/v1/token?key="+key, form, "Content-Type", "application/x-www-form-urlencoded"))
		if message(m) != want {
			t.Errorf("%s: %v", key, m)
		}
	}
}

// The same API under the names that it has at Google, for Admin SDKs whose connections are led here.
func TestByHost(t *testing.T) {
	r := newRig(t, false)
	if w := r.request("POST", "/v1/accounts:signUp?key=key-of-project-p", "{}", "Host", "identitytoolkit.googleapis.com"); w.Code != 200 {
		t.Error(w.Body)
	}
	w := r.request("GET", certsPath, "", "Host", "www.googleapis.com")
	var certs map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &certs); err != nil || len(certs) != 1 {
		t.Fatal(w.Body)
	}
	for kid, text := range certs {
		block, _ := pem.Decode([]byte(text))
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := r.o.Keys.Public(kid)
		if !cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(want) {
			t.Error("another key")
		}
	}
}

func TestAdministratorsAreRecorded(t *testing.T) {
	r := newRig(t, false)
	for _, c := range []struct {
		method, path, body string
		act                audit.Act
		target             string
	}{
		{"POST", "accounts", `{"localId":"u1","email":"ann@example.com","password":"secret1"}`, audit.UserCreated, "u1"},
		{"POST", "accounts:update", `{"localId":"u1","disableUser":true,"password":"secret2"}`, audit.UserChanged, "u1"},
		{"GET", "accounts:batchGet", "", audit.UsersExported, ""},
		{"POST", "accounts:batchCreate", `{"users":[{"localId":"u2"}]}`, audit.UsersImported, ""},
		{"POST", "accounts:delete", `{"localId":"u1"}`, audit.UserDeleted, "u1"},
		{"POST", "accounts:batchDelete", `{"localIds":["u2"],"force":true}`, audit.UserDeleted, "u2"},
		{"PATCH", "config?updateMask=emailPrivacyConfig", `{"emailPrivacyConfig":{"enableImprovedEmailPrivacy":false}}`, audit.ConfigChanged, "config"},
		{"POST", "oauthIdpConfigs?oauthIdpConfigId=oidc.x", `{"clientId":"c","issuer":"https://idp.example.com"}`, audit.ConfigChanged, "provider:oidc.x"},
	} {
		if code, m := r.admin(c.method, c.path, c.body); code != 200 {
			t.Fatalf("%s: %v", c.path, m)
		}
		r.mu.Lock()
		e := r.audits[len(r.audits)-1]
		r.mu.Unlock()
		text, _ := json.Marshal(e)
		if e.Act != c.act || e.Target != c.target || e.Project != "p" || strings.Contains(string(text), "secret") {
			t.Errorf("%s: %s", c.path, text)
		}
	}
}

// A link in a mail leads to this server, never to whatever a request says that it is called.
func TestMailsDoNotLeadToTheRequestsHost(t *testing.T) {
	for _, c := range []struct{ host, public, want string }{
		{"evil.example", "", "http://localhost:9000/"},
		{"127.0.0.1.evil.example", "", "http://localhost:9000/"},
		{"127.0.0.1:8123", "", "http://127.0.0.1:8123/"},
		{"[::1]:8123", "", "http://[::1]:8123/"},
		{"evil.example", "https://db.example.com", "https://db.example.com/"},
	} {
		r := newRig(t, false, func(o *Options) { o.PublicURL = c.public })
		r.call("signUp", `{"email":"ann@example.com","password":"secret1"}`)
		w := r.request("POST", "/identitytoolkit.googleapis.com/v1/accounts:sendOobCode?key=key-of-project-p", `{"requestType":"PASSWORD_RESET","email":"ann@example.com"}`, "Host", c.host)
		if w.Code != 200 {
			t.Fatal(w.Body)
		}
		m := <-r.mails
		if !strings.Contains(m.Text, c.want+"_rebase/auth/action?") || strings.Contains(m.Text, "evil") {
			t.Errorf("%s: %s", c.host, m.Text)
		}
	}
}

// What must not be shown is not: hashes to apps, codes to anybody but administrators.
func TestWhatIsShown(t *testing.T) {
	r := newRig(t, false)
	_, up := r.call("signUp", `{"email":"ann@example.com","password":"secret1"}`)
	w := r.request("POST", "/identitytoolkit.googleapis.com/v1/accounts:lookup?key=key-of-project-p", `{"idToken":"`+up["idToken"].(string)+`"}`)
	if strings.Contains(w.Body.String(), "argon2") || !strings.Contains(w.Body.String(), redacted) {
		t.Error(w.Body)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("it may be stored")
	}
	code, m := r.call("sendOobCode", `{"requestType":"PASSWORD_RESET","email":"ann@example.com","returnOobLink":true}`)
	if code == 200 || m["oobCode"] != nil || m["oobLink"] != nil {
		t.Errorf("%v", m)
	}
	_, m = r.admin("POST", "accounts:sendOobCode", `{"requestType":"PASSWORD_RESET","email":"ann@example.com","returnOobLink":true}`)
	if m["oobCode"] == nil {
		t.Errorf("%v", m)
	}
	select {
	case sent := <-r.mails:
		t.Errorf("a mail was sent: %s", sent.Subject)
	default:
	}
}

func TestActionPage(t *testing.T) {
	r := newRig(t, false)
	r.call("signUp", `{"email":"ann@example.com","password":"secret1"}`)
	_, m := r.admin("POST", "accounts:sendOobCode", `{"requestType":"PASSWORD_RESET","email":"ann@example.com","returnOobLink":true}`)
	link := m["oobLink"].(string)
	target := link[strings.Index(link, users.ActionPath):]
	w := r.request("GET", target, "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "ann@example.com") || w.Header().Get("X-Frame-Options") != "DENY" || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	// Neither markup nor a way to elsewhere can be put into the page by its address.
	evil := target + "&continueUrl=" + url.QueryEscape("https://evil.example/") + "&lang=" + url.QueryEscape(`"><script>`)
	w = r.request("POST", evil, "password=secret2", "Content-Type", "application/x-www-form-urlencoded")
	if w.Code != 200 || strings.Contains(w.Body.String(), "evil") || strings.Contains(w.Body.String(), "<script") {
		t.Error(w.Body)
	}
	if code, _ := r.call("signInWithPassword", `{"email":"ann@example.com","password":"secret2"}`); code != 200 {
		t.Error("the new password does not work")
	}
	if w := r.request("GET", target, ""); w.Code != 400 || !strings.Contains(w.Body.String(), "no longer works") {
		t.Error(w.Body)
	}
	for _, bad := range []string{"", "?project=p", "?project=../x&oobCode=1", "?project=nosuch&oobCode=1"} {
		if w := r.request("GET", users.ActionPath+bad, ""); w.Code != 400 {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	// A link to sign in goes on to the app alone.
	_, m = r.admin("POST", "accounts:sendOobCode", `{"requestType":"EMAIL_SIGNIN","email":"ann@example.com","continueUrl":"http://localhost:3000/x","returnOobLink":true}`)
	link = m["oobLink"].(string)
	target = link[strings.Index(link, users.ActionPath):]
	if w := r.request("GET", target, ""); w.Code != http.StatusFound || !strings.HasPrefix(w.Header().Get("Location"), "http://localhost:3000/x?") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	target = strings.Replace(target, url.QueryEscape("http://localhost:3000/x"), url.QueryEscape("https://evil.example/"), 1)
	if w := r.request("GET", target, ""); w.Code != 400 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestOpenMode(t *testing.T) {
	r := newRig(t, true)
	for _, key := range []string{"", "?key=anything"} {
		if _, m := r.json(r.request("POST", "/identitytoolkit.googleapis.com/v1/accounts:signUp"+key, "{}")); m["localId"] == nil {
			t.Errorf("%v", m)
		}
	}
	if n, _ := r.o.Users.Count("demo-project"); n != 2 {
		t.Errorf("%d accounts", n)
	}
	if w := r.request("DELETE", "/emulator/v1/projects/demo-project/accounts", ""); w.Code != 200 {
		t.Error(w.Body)
	}
	if n, _ := r.o.Users.Count("demo-project"); n != 0 {
		t.Errorf("%d accounts", n)
	}
	code, m := r.json(r.request("PATCH", "/emulator/v1/projects/fresh/config", `{"emailPrivacyConfig":{"enableImprovedEmailPrivacy":false}}`))
	if code != 200 {
		t.Errorf("%v", m)
	}
	if c, ok := r.o.Projects.Config("fresh"); !ok || projects.On(c.SignIn.HideEmails) {
		t.Error("not changed")
	}
}

func TestConfig(t *testing.T) {
	r := newRig(t, false)
	for body, want := range map[string]string{
		`{"passwordPolicyConfig":{"passwordPolicyVersions":[{"customStrengthOptions":{"minPasswordLength":99}}]}}`: "INVALID_CONFIG",
		`{"signIn":{"allowDuplicateEmails":true}}`: "OPERATION_NOT_ALLOWED",
	} {
		if _, m := r.admin("PATCH", "config", body); !strings.HasPrefix(message(m), want) {
			t.Errorf("%s: %v", body, m)
		}
	}
	if _, m := r.admin("PATCH", "config?updateMask=mfa.state", `{}`); !strings.HasPrefix(message(m), "OPERATION_NOT_ALLOWED") {
		t.Errorf("%v", m)
	}
	for body, want := range map[string]string{
		`{"clientId":"c"}`: "INVALID_CONFIG",
		`{"clientId":"c","issuer":"http://idp.example"}`: "INVALID_CONFIG",
		`{"clientId":"c","issuer":"ftp://x"}`:            "INVALID_CONFIG",
	} {
		if _, m := r.admin("POST", "oauthIdpConfigs?oauthIdpConfigId=oidc.x", body); !strings.HasPrefix(message(m), want) {
			t.Errorf("%s: %v", body, m)
		}
	}
	if code, m := r.admin("GET", "oauthIdpConfigs/oidc.none", ""); code != 404 || message(m) != "CONFIGURATION_NOT_FOUND" {
		t.Errorf("%d %v", code, m)
	}
	_, m := r.json(r.request("GET", "/identitytoolkit.googleapis.com/v1/projects?key=key-of-project-p", ""))
	if m["projectId"] != "p" {
		t.Errorf("%v", m)
	}
}

// Whatever a client sends, the answer is JSON in the API's form, and never the server's own fault.
func FuzzRequests(f *testing.F) {
	var methods []string
	for m := range accountMethods {
		methods = append(methods, m)
	}
	for _, seed := range []string{
		`{"email":"a@b.cc","password":"secret1","returnSecureToken":true}`, `{"idToken":"x","deleteProvider":["password"],"displayName":null}`,
		`{"postBody":"id_token=x&providerId=oidc.x","requestUri":"http://localhost"}`, `{"token":"{\"uid\":\"u\",\"claims\":{\"a\":1}}"}`, `{"requestType":"EMAIL_SIGNIN","email":"a@b.cc","continueUrl":"http://localhost"}`,
		`{"users":[{"localId":"u","passwordHash":"AAAA","createdAt":"1","lastLoginAt":2}],"hashAlgorithm":"SCRYPT","signerKey":"AA","rounds":8,"memoryCost":14}`, `{"validSince":"1e3","mfa":{"enrollments":[]}}`,
	} {
		f.Add(uint8(0), seed)
	}
	r := newRig(f, true)
	admins := []string{"accounts", "accounts:lookup", "accounts:update", "accounts:delete", "accounts:batchDelete", "accounts:batchCreate", "accounts:query", "accounts:sendOobCode"}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		n := int(which) % (len(methods) + len(admins))
		var w *httptest.ResponseRecorder
		if n < len(methods) {
			w = r.request("POST", "/identitytoolkit.googleapis.com/v1/accounts:"+methods[n]+"?key=key-of-project-p", body)
		} else {
			w = r.request("POST", "/identitytoolkit.googleapis.com/v1/projects/p/"+admins[n-len(methods)], body, "Authorization", "Bearer root")
		}
		for len(r.mails) > 0 {
			<-r.mails
		}
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}

func FuzzIntegers(f *testing.F) {
	for _, s := range []string{"1", `"1"`, "1e3", "null", `""`, "1.5", `"x"`, "99999999999999999999", "-0", "{}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b struct{ N *integer }
		if json.Unmarshal([]byte(`{"n":`+text+`}`), &b) == nil && b.N != nil && strings.Trim(text, "\"0123456789-+.eE \t\n\r") != "" && !strings.Contains(text, "\\") {
			t.Errorf("%s is taken for %d", text, *b.N)
		}
	})
}

func TestRemote(t *testing.T) {
	for _, c := range []struct {
		peer string
		sent []string
		want string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1"}, // whoever comes from elsewhere is not believed
		{"127.0.0.1:5", nil, "127.0.0.1"},
		{"127.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7"},
		{"[::1]:5", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"}, // the first is the client's own invention
		{"127.0.0.1:5", []string{"203.0.113.9", "2001:db8::1"}, "2001:db8::1"},
		{"127.0.0.1:5", []string{"nonsense"}, "127.0.0.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		for _, v := range c.sent {
			r.Header.Add("X-Forwarded-For", v)
		}
		if got := remote(r); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.peer, c.sent, got, c.want)
		}
	}
}

// Who could hold the frame, open the handler, or be where it ends, could sign in as the user.
func TestOnlyTheAppGetsTheAnswerOfAProvider(t *testing.T) {
	r := newRig(t, false, func(o *Options) { o.PublicURL = "https://db.example.com" })
	if code, m := r.admin("PATCH", "config", `{"authorizedDomains":["app.example"]}`); code != 200 {
		t.Fatal(m)
	}
	w := r.request("GET", framePath+"?apiKey=key-of-project-p&appName=x", "")
	want := "frame-ancestors http://localhost:* https://localhost:* http://127.0.0.1:* https://127.0.0.1:* https://db.example.com:* https://app.example:*"
	if got := w.Header().Get("Content-Security-Policy"); got != want || w.Code != 200 {
		t.Errorf("%d %s", w.Code, got)
	}
	if w := r.request("GET", framePath+"?apiKey=nonsense-nonsense", ""); w.Code == 200 {
		t.Error("a frame for nobody")
	}
	const notOurs, notSet = "not on one of the project", "configuration is not found"
	ask := "?apiKey=key-of-project-p&appName=x&providerId=oidc.x&eventId=1&authType=signInViaPopup"
	redirect := strings.Replace(ask, "Popup", "Redirect", 1) + "&redirectUrl="
	for name, c := range map[string]struct{ target, referer, want string }{
		"the app":                  {ask, "https://app.example/x", notSet}, // which is the next thing that is asked
		"a development server":     {ask, "http://localhost:3000/", notSet},
		"another":                  {ask, "https://evil.example/", notOurs},
		"one that does not say":    {ask, "", notOurs},
		"the app, unencrypted":     {ask, "http://app.example/", notOurs},
		"a longer name":            {ask, "https://app.example.evil.example/", notOurs},
		"a user's name":            {ask, "https://app.example@evil.example/", notOurs},
		"a redirect to the app":    {redirect + "https://app.example/y", "https://app.example/x", notSet},
		"a redirect to elsewhere":  {redirect + "https://evil.example/", "https://app.example/x", notOurs},
		"a redirect to a script":   {redirect + "javascript:alert(1)", "https://app.example/x", notOurs},
		"a redirect to nowhere":    {redirect, "https://app.example/x", notOurs},
		"with the answer's fields": {ask + "&state=1&code=2", "https://evil.example/", notOurs},
	} {
		w := r.request("GET", handlerPath+c.target, "", "Referer", c.referer)
		if w.Code != 400 || !strings.Contains(w.Body.String(), c.want) || w.Header().Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := r.request("GET", handlerPath+"?state=1&code=2", ""); w.Code != 200 || strings.Contains(w.Body.String(), "pending =") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
