package identity

import (
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rebase/auth/projects"
	"rebase/auth/users"
)

// The two pages by which the JavaScript SDK signs in with a popup or a redirect. The app opens the handler, in a window of its own or in
// place of itself; the handler sends the user to the provider and takes the answer when the provider sends the user back. The app also holds the
// frame, invisibly, which is of the same origin as the handler: from it the app hears the answer, an event that says with which
// address and session accounts:signInWithIdp is to be called. The app and the frame speak to each other through Google's script, as the SDK wants it.
//
// The SDK leaves it to the server to know which apps are the project's own, once it has been pointed elsewhere (connectAuthEmulator). Whoever could read the event could
// sign in as the user. So the frame lets nobody but the project's domains contain it, the handler opens for them alone, and goes back to them alone.
const (
	handlerPath = "/emulator/auth/handler"
	framePath   = "/emulator/auth/iframe"
)

//go:embed handler.html
var handlerText string

//go:embed iframe.html
var frameText string

var handlerPage = template.Must(template.New("handler").Parse(handlerText))

// handlerView is what the handler shows.
type handlerView struct {
	Problem string
	// Pending is what the page keeps until the user is back; Go is where it sends the user.
	Pending template.JS
	Go      string
	// Fake offers to sign in as anybody, by a provider that an open server does not know.
	Fake string
	Back bool // the user is back
}

// pending is what the handler keeps in the browser while the user is at the provider. It is no secret to the user.
type pending struct {
	Type        string `json:"type"`
	EventID     string `json:"eventId"`
	StorageKey  string `json:"storageKey"`
	RedirectURL string `json:"redirectUrl,omitempty"`
	SessionID   string `json:"sessionId,omitempty"`
	ProviderID  string `json:"providerId"`
}

var authTypes = []string{"signInViaPopup", "linkViaPopup", "reauthViaPopup", "signInViaRedirect", "linkViaRedirect", "reauthViaRedirect"}

// handler serves the page that leads to the provider and back.
func (s *Server) handler(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	v := handlerView{Back: true}
	status := http.StatusOK
	if q := r.URL.Query(); !q.Has("state") || q.Has("apiKey") {
		var err error
		if v, err = s.beginAtProvider(w, r); err != nil {
			status, v = http.StatusBadRequest, handlerView{Problem: "The sign-in cannot begin: " + err.Error()}
			var refused *users.Error
			var mine *apiError
			if !errors.As(err, &refused) && !errors.As(err, &mine) {
				s.log.Error("a sign-in at a provider could not begin", "err", err)
				status, v.Problem = http.StatusInternalServerError, "The sign-in cannot begin. Try again later."
			}
		}
	}
	w.WriteHeader(status)
	if err := handlerPage.Execute(w, v); err != nil {
		s.log.Debug("the page for sign-ins was not taken", "err", err)
	}
}

func badRequest(text string) error { return &apiError{http.StatusBadRequest, text, "INVALID_ARGUMENT"} }

// beginAtProvider checks who asks, and makes the session.
func (s *Server) beginAtProvider(w http.ResponseWriter, r *http.Request) (handlerView, error) {
	q := &request{s: s, w: w, r: r}
	if err := q.byKey(); err != nil {
		return handlerView{}, err
	}
	v := r.URL.Query()
	p := pending{
		Type: v.Get("authType"), EventID: v.Get("eventId"), StorageKey: v.Get("apiKey") + ":" + v.Get("appName"), RedirectURL: v.Get("redirectUrl"), ProviderID: v.Get("providerId"),
	}
	if !slices.Contains(authTypes, p.Type) || p.ProviderID == "" {
		return handlerView{}, badRequest("the SDK did not say which kind of sign-in it is")
	}
	c := q.caller()
	from, err := url.Parse(r.Referer())
	if err != nil || !s.ownApp(c, from) {
		return handlerView{}, badRequest("the page that asked for it is not on one of the project's domains")
	}
	if strings.HasSuffix(p.Type, "Redirect") {
		if to, err := url.Parse(p.RedirectURL); err != nil || !s.ownApp(c, to) {
			return handlerView{}, badRequest("it would end on a page that is not on one of the project's domains")
		}
	}
	out := handlerView{}
	if _, known := q.settings().Provider(p.ProviderID); !known && s.o.Open {
		out.Fake = p.ProviderID
	} else {
		var custom map[string]string
		_ = json.Unmarshal([]byte(v.Get("customParameters")), &custom) // there are none, then
		scopes := strings.FieldsFunc(v.Get("scopes"), func(r rune) bool { return r == ',' || r == ' ' })
		out.Go, p.SessionID, err = s.o.Users.AuthURI(q.ctx(), c, p.ProviderID, strings.TrimSuffix(c.Base, "/")+handlerPath, custom["login_hint"], scopes)
		if err != nil {
			return handlerView{}, err
		}
	}
	text, err := json.Marshal(p) // which escapes what could end a script
	out.Pending = template.JS(text)
	return out, err
}

// ownApp tells whether a page is of the project's app. One that has come without encryption could be anybody's, if the server itself is
// reached with it.
func (s *Server) ownApp(c users.Caller, u *url.URL) bool {
	if u.Scheme != "https" && (u.Scheme != "http" || strings.HasPrefix(c.Base, "https:") && !loopbackHost(u.Hostname())) {
		return false
	}
	return u.Host != "" && (s.o.Open && loopbackHost(u.Hostname()) || s.o.Users.Authorized(c, u.Hostname()))
}

func loopbackHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// frame serves the page in the app's invisible frame.
func (s *Server) frame(w http.ResponseWriter, r *http.Request) {
	q := &request{s: s, w: w, r: r}
	if err := q.byKey(); err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "frame-ancestors "+strings.Join(s.ancestors(q), " "))
	_, _ = w.Write([]byte(frameText)) // a browser that is gone does not need it
}

// ancestors are the pages that may hold the frame, as the header has them.
func (s *Server) ancestors(q *request) []string {
	list := []string{"http://localhost:*", "https://localhost:*", "http://127.0.0.1:*", "https://127.0.0.1:*"}
	plain := false
	if u, err := url.Parse(s.base(q.r)); err == nil {
		plain = u.Scheme == "http"
		list = append(list, u.Scheme+"://"+u.Hostname()+":*")
	}
	for _, d := range q.settings().Domains {
		if projects.CheckDomain(d) == nil { // one of an older document must not add to the header
			list = append(list, "https://"+d+":*")
			if plain {
				list = append(list, "http://"+d+":*")
			}
		}
	}
	return list
}
