package identity

import (
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"rebase/auth/projects"
	"rebase/auth/users"
)

//go:embed action.html
var actionText string

var actionPage = template.Must(template.New("action").Parse(actionText))

// actionView is what the page shows.
type actionView struct {
	Title, Text, Button string
	Password            bool // asks for a new one
	Min                 int
	Problem             string
	Continue            string // where to go on; "" for nowhere
	Query               string // of the form's target
}

// action serves the page that links in mails lead to. A link alone changes nothing: mail programs follow links to look at them, so the user
// presses a button.
func (s *Server) action(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the address holds a code
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Type", "text/html; charset=utf-8")
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	v := r.URL.Query()
	q := &request{s: s, w: w, r: r, project: v.Get("project")}
	if projects.CheckName(q.project) != nil {
		s.showAction(w, http.StatusBadRequest, actionView{Title: "This link does not work", Text: "It names no project of this server."})
		return
	}
	c := q.caller()
	text := v.Get("oobCode")
	info, err := s.o.Users.CheckCode(c, text)
	if err != nil {
		s.actionFailed(w, r, err)
		return
	}
	to := s.continueURL(c, v.Get("continueUrl"))
	if info.Kind == users.EmailSignIn {
		s.signInLink(w, r, to)
		return
	}
	view := actionView{Query: "?" + r.URL.RawQuery}
	switch info.Kind {
	case users.PasswordReset:
		view.Title, view.Text, view.Button = "Reset your password", "Choose a new password for "+info.Email+".", "Save"
		view.Password, view.Min = true, q.settings().MinPassword()
	case users.VerifyEmail:
		view.Title, view.Text, view.Button = "Verify your email", "Confirm that "+info.Email+" is your address.", "Confirm"
	case users.VerifyAndChangeEmail:
		view.Title, view.Text, view.Button = "Change your email", "Make "+info.NewEmail+" the address that you sign in with.", "Confirm"
	case users.RecoverEmail:
		view.Title, view.Text, view.Button = "Take the change back", "Make "+info.Email+" the address that you sign in with again.", "Confirm"
	}
	if r.Method != http.MethodPost {
		s.showAction(w, http.StatusOK, view)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	done := actionView{Continue: to}
	if info.Kind == users.PasswordReset {
		_, err = s.o.Users.ResetPassword(q.ctx(), c, text, r.PostFormValue("password"))
		done.Title, done.Text = "Password changed", "You can now sign in with your new password."
	} else {
		_, err = s.o.Users.ApplyCode(q.ctx(), c, text)
		done.Title, done.Text = "Done", "Your account is up to date. Sign in again where you are asked to."
		if info.Kind == users.VerifyEmail {
			done.Title, done.Text = "Your email has been verified", "You can now go on in the app."
		}
	}
	var weak *users.Error
	if errors.As(err, &weak) && (weak.Code == users.WeakPassword || weak.Code == users.MissingPassword) && view.Password {
		view.Problem = weak.Detail
		if view.Problem == "" {
			view.Problem = "Type a new password."
		}
		s.showAction(w, http.StatusBadRequest, view)
		return
	}
	if err != nil {
		s.actionFailed(w, r, err)
		return
	}
	s.showAction(w, http.StatusOK, done)
}

// signInLink sends the user on to the app, which finishes the sign-in: it knows, or asks for, the address.
func (s *Server) signInLink(w http.ResponseWriter, r *http.Request, to string) {
	if to == "" {
		s.showAction(w, http.StatusBadRequest, actionView{Title: "This link does not work", Text: "It does not say which app to go on in."})
		return
	}
	u, err := url.Parse(to)
	if err != nil {
		s.actionFailed(w, r, err)
		return
	}
	v := u.Query()
	for _, name := range []string{"mode", "oobCode", "apiKey", "lang"} {
		v.Set(name, r.URL.Query().Get(name))
	}
	v.Set("continueUrl", to)
	u.RawQuery = v.Encode()
	w.Header().Set("Location", u.String())
	w.WriteHeader(http.StatusFound)
}

// continueURL returns where the user may be sent: what stands in the address of the page could be anybody's.
func (s *Server) continueURL(c users.Caller, text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	if !s.o.Open && !s.o.Users.Authorized(c, u.Hostname()) {
		return ""
	}
	return text
}

func (s *Server) actionFailed(w http.ResponseWriter, r *http.Request, err error) {
	var refused *users.Error
	if !errors.As(err, &refused) {
		s.log.Error("the page for links in mails failed", "path", r.URL.Path, "err", err)
		s.showAction(w, http.StatusInternalServerError, actionView{Title: "That did not work", Text: "Try again later."})
		return
	}
	view := actionView{Title: "This link no longer works", Text: "It has expired, or has been used already. Ask for a new one in the app."}
	switch refused.Code {
	case users.UserDisabled:
		view = actionView{Title: "Your account is disabled", Text: "Ask whoever runs the app."}
	case users.EmailExists:
		view = actionView{Title: "That did not work", Text: "The address belongs to another account."}
	case users.TooManyAttempts:
		view = actionView{Title: "Too many attempts", Text: "Try again later."}
	}
	s.showAction(w, http.StatusBadRequest, view)
}

func (s *Server) showAction(w http.ResponseWriter, status int, v actionView) {
	w.WriteHeader(status)
	if err := actionPage.Execute(w, v); err != nil {
		s.log.Debug("the page for links in mails was not taken", "err", err)
	}
}
