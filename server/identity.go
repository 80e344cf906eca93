package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"rebase/audit"
	"rebase/auth"
	"rebase/auth/mail"
	"rebase/auth/users"
	"rebase/gateway/identity"
)

// Mail says how users get mail: links to verify an address, to reset a password, to sign in.
type Mail struct {
	// SMTP is the mail server, smtp://user:password@host:587 or smtps://…:465; "" is none: then an open server writes links to its log,
	// and a closed one refuses to send any.
	SMTP string
	// From is the sender's address.
	From string
}

// openUsers opens the user store, after openAuth.
func (s *Server) openUsers(ctx context.Context) error {
	o := users.Options{
		Keys: s.auth.keys, Projects: s.auth.projects, Custom: s.auth.authority, Open: s.o.open(), Logger: s.log, Limits: s.o.Guesses,
	}
	if s.o.Mail.SMTP != "" {
		m, err := mail.New(mail.Options{URL: s.o.Mail.SMTP, From: s.o.Mail.From})
		if err != nil {
			return &StartError{Kind: KindOther, What: "mail cannot be sent", Err: err,
				Advice: "Give --smtp the mail server, and --mail-from the address of the sender."}
		}
		o.Mailer = m
	}
	var err error
	if s.users, err = users.Open(ctx, s.data.db, o); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	s.identity = identity.New(identity.Options{
		Users: s.users, Auth: s.authenticator(), Projects: s.auth.projects, Keys: s.auth.keys, Open: s.o.open(), DefaultProject: s.o.Project,
		PublicURL: s.o.PublicURL, URL: func() string { return s.http.url }, Logger: s.log,
		Audit: func(e audit.Event) { _ = s.audit.Record(e) }, // what cannot be recorded is logged by the journal
	})
	return nil
}

// watchUsers ends what users have open when their sessions end. It needs the gateways.
func (s *Server) watchUsers() {
	s.users.OnRevoke(func(project, uid string, since time.Time) {
		s.rtdb.Revoke(project, uid, since)
		s.rest.Revoke(project, uid, since)
	})
}

// asksGoogleForToken tells a request for an access token that an SDK, whose connections are led here, sends to Google's address: some know no
// other, whatever the key file says.
func asksGoogleForToken(r *http.Request) bool {
	return r.Host == "oauth2.googleapis.com" && r.URL.Path == "/token" || r.Host == "accounts.google.com" && r.URL.Path == "/o/oauth2/token"
}

// ownToken makes it one to the server's own.
func ownToken(r *http.Request) *http.Request {
	own := r.Clone(r.Context())
	own.URL.Path = auth.TokenPath
	return own
}

// storedUsers is the user store for the authority, which is made before it.
type storedUsers struct{ s *Server }

var _ auth.Users = storedUsers{}

// TokenValid implements auth.Users.
func (u storedUsers) TokenValid(ctx context.Context, project, uid string, authTime, issued time.Time) error {
	return u.s.users.TokenValid(ctx, project, uid, authTime, issued)
}
