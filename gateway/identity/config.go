package identity

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"rebase/audit"
	"rebase/auth/projects"
	"rebase/auth/users"
)

// publicConfig is what apps may know of a project.
func (q *request) publicConfig() (any, error) {
	domains := append([]string{"localhost", "127.0.0.1"}, q.settings().Domains...)
	if u, err := url.Parse(q.s.base(q.r)); err == nil && !slices.Contains(domains, u.Hostname()) {
		domains = append(domains, u.Hostname())
	}
	return object{"projectId": q.project, "authorizedDomains": domains}, nil
}

func (q *request) passwordPolicy() (any, error) {
	return object{
		"customStrengthOptions":            object{"minPasswordLength": q.settings().MinPassword(), "maxPasswordLength": 4096},
		"allowedNonAlphanumericCharacters": strings.Split(`^ $ * . [ ] { } ( ) ? " ! @ # % & / \ , > < ' : ; | _ ~`, " "),
		"enforcementState":                 "ENFORCE", "forceUpgradeOnSignin": false, "schemaVersion": 1,
	}, nil
}

// wireConfig is a project's configuration as the API has it; what is absent is not to change.
type wireConfig struct {
	Name   string `json:"name,omitempty"`
	SignIn *struct {
		Email *struct {
			Enabled          *bool `json:"enabled,omitempty"`
			PasswordRequired *bool `json:"passwordRequired,omitempty"`
		} `json:"email,omitempty"`
		Anonymous *struct {
			Enabled *bool `json:"enabled,omitempty"`
		} `json:"anonymous,omitempty"`
		AllowDuplicateEmails bool `json:"allowDuplicateEmails"`
	} `json:"signIn,omitempty"`
	EmailPrivacy *struct {
		Improved *bool `json:"enableImprovedEmailPrivacy,omitempty"`
	} `json:"emailPrivacyConfig,omitempty"`
	PasswordPolicy *struct {
		State    string `json:"passwordPolicyEnforcementState,omitempty"`
		Versions []struct {
			Strength struct {
				Min int `json:"minPasswordLength,omitempty"`
			} `json:"customStrengthOptions"`
		} `json:"passwordPolicyVersions,omitempty"`
	} `json:"passwordPolicyConfig,omitempty"`
	Client *struct {
		Permissions struct {
			DisabledSignUp   *bool `json:"disabledUserSignup,omitempty"`
			DisabledDeletion *bool `json:"disabledUserDeletion,omitempty"`
		} `json:"permissions"`
	} `json:"client,omitempty"`
	AuthorizedDomains []string `json:"authorizedDomains,omitempty"`
}

// inMask are the parts of a configuration that can be changed here.
var inMask = []string{"signIn", "emailPrivacyConfig", "passwordPolicyConfig", "client", "authorizedDomains"}

// config reads and changes how users of a project sign in.
func (q *request) config() (any, error) {
	switch q.r.Method {
	case http.MethodGet:
		return showConfig(q.project, q.settings()), nil
	case http.MethodPatch:
	default:
		return nil, errMethod
	}
	var b wireConfig
	if err := q.body(&b); err != nil {
		return nil, err
	}
	for _, m := range strings.FieldsFunc(q.r.URL.Query().Get("updateMask"), func(r rune) bool { return r == ',' }) {
		if first, _, _ := strings.Cut(m, "."); !slices.Contains(inMask, first) {
			return nil, &users.Error{Code: users.NotAllowed, Detail: first + " cannot be configured here"}
		}
	}
	if b.SignIn != nil && b.SignIn.AllowDuplicateEmails {
		return nil, &users.Error{Code: users.NotAllowed, Detail: "an address has one account"}
	}
	err := q.changeSettings(func(s *projects.SignIn) error {
		b.apply(s)
		return nil
	})
	q.audit(audit.ConfigChanged, "config", err, nil)
	if err != nil {
		return nil, err
	}
	return showConfig(q.project, q.settings()), nil
}

func (b *wireConfig) apply(s *projects.SignIn) {
	if in := b.SignIn; in != nil {
		if e := in.Email; e != nil {
			if e.Enabled != nil {
				s.Email = e.Enabled
			}
			if e.PasswordRequired != nil {
				link := !*e.PasswordRequired
				s.EmailLink = &link
			}
		}
		if in.Anonymous != nil && in.Anonymous.Enabled != nil {
			s.Anonymous = in.Anonymous.Enabled
		}
	}
	if b.EmailPrivacy != nil && b.EmailPrivacy.Improved != nil {
		s.HideEmails = b.EmailPrivacy.Improved
	}
	if p := b.PasswordPolicy; p != nil && len(p.Versions) > 0 {
		s.PasswordMin = p.Versions[0].Strength.Min
	}
	if b.Client != nil {
		not := func(disabled *bool, to **bool) {
			if disabled != nil {
				on := !*disabled
				*to = &on
			}
		}
		not(b.Client.Permissions.DisabledSignUp, &s.SignUp)
		not(b.Client.Permissions.DisabledDeletion, &s.Delete)
	}
	if b.AuthorizedDomains != nil {
		s.Domains = b.AuthorizedDomains
	}
}

func showConfig(project string, s *projects.SignIn) object {
	on := projects.On
	return object{
		"name": "projects/" + project + "/config",
		"signIn": object{
			"email":                object{"enabled": on(s.Email), "passwordRequired": !on(s.EmailLink)},
			"anonymous":            object{"enabled": on(s.Anonymous)},
			"phoneNumber":          object{"enabled": false},
			"allowDuplicateEmails": false,
		},
		"emailPrivacyConfig": object{"enableImprovedEmailPrivacy": on(s.HideEmails)},
		"passwordPolicyConfig": object{
			"passwordPolicyEnforcementState": "ENFORCE",
			"passwordPolicyVersions":         []object{{"customStrengthOptions": object{"minPasswordLength": s.MinPassword(), "maxPasswordLength": 4096}}},
		},
		"client":            object{"permissions": object{"disabledUserSignup": !on(s.SignUp), "disabledUserDeletion": !on(s.Delete)}},
		"authorizedDomains": append([]string{"localhost"}, s.Domains...),
		"mfa":               object{"state": "DISABLED"},
	}
}

// changeSettings changes how users sign in. In open mode a project comes into being by it, as it does by all else there.
func (q *request) changeSettings(f func(*projects.SignIn) error) error {
	change := func(c *projects.Config) error {
		if err := f(&c.SignIn); err != nil {
			return err
		}
		if err := c.SignIn.Check(); err != nil {
			return &users.Error{Code: "INVALID_CONFIG", Detail: err.Error()}
		}
		return nil
	}
	for {
		err := q.s.o.Projects.Update(q.ctx(), q.project, change)
		var invalid *projects.ConfigError
		if errors.As(err, &invalid) {
			return &users.Error{Code: "INVALID_CONFIG", Detail: invalid.Error()}
		}
		if !errors.Is(err, projects.ErrNoProject) {
			return err
		}
		if !q.s.o.Open {
			return &users.Error{Code: users.ConfigNotFound, Detail: "there is no such project"}
		}
		var c projects.Config
		if err := change(&c); err != nil {
			return err
		}
		if err := q.s.o.Projects.Put(q.ctx(), q.project, c, ""); !errors.Is(err, projects.ErrChanged) {
			return err
		}
	}
}

// wireIDP is a provider as the API has it.
type wireIDP struct {
	Name         string  `json:"name,omitempty"`
	DisplayName  *string `json:"displayName,omitempty"`
	ClientID     *string `json:"clientId,omitempty"`
	ClientSecret *string `json:"clientSecret,omitempty"`
	Issuer       *string `json:"issuer,omitempty"`
	Enabled      *bool   `json:"enabled,omitempty"`
}

func (b *wireIDP) apply(p *projects.Provider) {
	for _, f := range []struct{ dst, src *string }{{&p.Name, b.DisplayName}, {&p.ClientID, b.ClientID}, {&p.ClientSecret, b.ClientSecret}, {&p.Issuer, b.Issuer}} {
		if f.src != nil {
			*f.dst = *f.src
		}
	}
	if b.Enabled != nil {
		p.Disabled = !*b.Enabled
	}
}

func (q *request) showIDP(p *projects.Provider) object {
	m := object{
		"name": "projects/" + q.project + "/oauthIdpConfigs/" + p.ID, "clientId": p.ClientID, "issuer": p.Issuer, "displayName": p.Name, "enabled": !p.Disabled,
		"responseType": object{"idToken": p.ClientSecret == "", "code": p.ClientSecret != ""},
	}
	return with(m, "clientSecret", p.ClientSecret)
}

// providers reads and changes by which OpenID Connect providers users sign in.
func (q *request) providers(id string) (any, error) {
	find := func(s *projects.SignIn) int {
		return slices.IndexFunc(s.Providers, func(p projects.Provider) bool { return p.ID == id })
	}
	notFound := &users.Error{Code: users.ConfigNotFound}
	if q.r.Method == http.MethodGet {
		s := q.settings()
		if id == "" {
			list := []object{}
			for i := range s.Providers {
				if strings.HasPrefix(s.Providers[i].ID, "oidc.") {
					list = append(list, q.showIDP(&s.Providers[i]))
				}
			}
			return object{"oauthIdpConfigs": list}, nil
		}
		i := find(s)
		if i < 0 {
			return nil, notFound
		}
		return q.showIDP(&s.Providers[i]), nil
	}
	var b wireIDP
	if err := q.body(&b); err != nil {
		return nil, err
	}
	var change func(s *projects.SignIn) error
	switch q.r.Method {
	case http.MethodPost:
		id = cmp.Or(id, q.r.URL.Query().Get("oauthIdpConfigId"))
		change = func(s *projects.SignIn) error {
			if find(s) >= 0 {
				return &users.Error{Code: "CONFIGURATION_EXISTS"}
			}
			p := projects.Provider{ID: id}
			b.apply(&p)
			s.Providers = append(s.Providers, p)
			return nil
		}
	case http.MethodPatch:
		change = func(s *projects.SignIn) error {
			i := find(s)
			if i < 0 {
				return notFound
			}
			b.apply(&s.Providers[i])
			return nil
		}
	case http.MethodDelete:
		change = func(s *projects.SignIn) error {
			i := find(s)
			if i < 0 {
				return notFound
			}
			s.Providers = slices.Delete(s.Providers, i, i+1)
			return nil
		}
	default:
		return nil, errMethod
	}
	err := q.changeSettings(change)
	q.audit(audit.ConfigChanged, "provider:"+id, err, nil)
	if err != nil {
		return nil, err
	}
	s := q.settings()
	if i := find(s); i >= 0 {
		return q.showIDP(&s.Providers[i]), nil
	}
	return object{}, nil
}
