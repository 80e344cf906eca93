package projects

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// SignIn says how users of a project sign in. The zero value is what a new project at Firebase has, with all ways on that need no third party.
type SignIn struct {
	// Email, EmailLink, Anonymous and Custom turn these ways on or off; nil is on.
	Email     *bool `json:"email,omitempty"`
	EmailLink *bool `json:"emailLink,omitempty"`
	Anonymous *bool `json:"anonymous,omitempty"`
	Custom    *bool `json:"custom,omitempty"`
	// SignUp and Delete let users make their accounts, and delete them; nil is on. An administrator always can.
	SignUp *bool `json:"signUp,omitempty"`
	Delete *bool `json:"delete,omitempty"`
	// HideEmails keeps from callers whether an e-mail address has an account ("email enumeration protection"); nil is on.
	HideEmails *bool `json:"hideEmails,omitempty"`
	// PasswordMin is the length of the shortest password; 0 is 6.
	PasswordMin int `json:"passwordMin,omitempty"`
	// Domains are the hosts that links in mails and OAuth redirects may lead to, besides the server itself and localhost.
	Domains []string `json:"domains,omitempty"`
	// Providers are the OpenID Connect providers by which users may sign in.
	Providers []Provider `json:"providers,omitempty"`
	// ActionURL is the app's own page for the links in mails; "" is the server's.
	ActionURL string `json:"actionUrl,omitempty"`
	// Mails are the texts of mails by their kind: "verifyEmail", "resetPassword", "signIn", "changeEmail", "recoverEmail". A missing one is the
	// server's own.
	Mails map[string]MailText `json:"mails,omitempty"`
}

// MailText is a template of a mail. %LINK%, %EMAIL%, %NEW_EMAIL%, %DISPLAY_NAME% and %APP_NAME% are replaced, as in Firebase's templates.
type MailText struct {
	Subject string `json:"subject"`
	Body    string `json:"body"`           // plain text
	HTML    string `json:"html,omitempty"` // values are escaped in it
}

// Provider is an OpenID Connect provider by which users sign in.
type Provider struct {
	ID       string `json:"id"` // as apps name it: "oidc.my-company", or Firebase's own as "google.com"
	Name     string `json:"name,omitempty"`
	Issuer   string `json:"issuer"` // the claim "iss", exactly, and where discovery begins
	ClientID string `json:"clientId"`
	// ClientSecret is for the code flow; without it only ID tokens that the app has got itself are accepted.
	ClientSecret string `json:"clientSecret,omitempty"`
	// Audiences are further accepted values of "aud", as the client ids of an app's other platforms.
	Audiences []string `json:"audiences,omitempty"`
	Disabled  bool     `json:"disabled,omitempty"`
}

// On reads a switch that is on unless it has been turned off.
func On(b *bool) bool { return b == nil || *b }

// MinPassword is the length of the shortest password.
func (s *SignIn) MinPassword() int {
	if s.PasswordMin > 0 {
		return s.PasswordMin
	}
	return 6
}

// Provider returns an enabled provider.
func (s *SignIn) Provider(id string) (*Provider, bool) {
	for i := range s.Providers {
		if p := &s.Providers[i]; p.ID == id && !p.Disabled {
			return p, true
		}
	}
	return nil, false
}

var domain = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

// CheckDomain returns an error for what is no host name.
func CheckDomain(d string) error {
	if !domain.MatchString(d) {
		return fmt.Errorf("domains are host names as \"app.example.com\", without a scheme and a port; %.80q is none", d)
	}
	return nil
}

// Check says what makes no sense.
func (s *SignIn) Check() error {
	if s.PasswordMin < 0 || s.PasswordMin > 30 {
		return fmt.Errorf("the shortest password that may be asked for has up to 30 characters, not %d", s.PasswordMin)
	}
	for _, d := range s.Domains {
		if err := CheckDomain(d); err != nil {
			return err
		}
	}
	seen := map[string]bool{}
	for _, p := range s.Providers {
		u, err := url.Parse(p.Issuer)
		local := err == nil && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1")
		switch {
		case p.ID == "" || strings.ContainsAny(p.ID, "/ ") || len(p.ID) > 128:
			return fmt.Errorf("provider %q: an id as \"oidc.my-company\" is needed", p.ID)
		case seen[p.ID]:
			return fmt.Errorf("provider %q occurs twice", p.ID)
		case p.ClientID == "":
			return fmt.Errorf("provider %q has no client id", p.ID)
		case err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !local):
			return fmt.Errorf("provider %q: the issuer must be an https address, not %q", p.ID, p.Issuer)
		}
		seen[p.ID] = true
	}
	return nil
}
