package authadmin

import (
	"net/http"
	"slices"
	"strings"

	"rebase/audit"
	"rebase/auth/projects"
	"rebase/gateway/adminapi"
)

// project is a project as it is told: without what is secret in it.
type project struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Databases []string `json:"allDatabases"` // the implied ones, too
	projects.Config

	// These hide the document's own.
	ServiceAccounts []account `json:"serviceAccounts,omitempty"`
	Secrets         []secret  `json:"secrets,omitempty"`
}

// shown returns what may be told of a project.
func shown(name string, c *projects.Config) project {
	p := project{Name: name, Version: c.Version, Config: *c}
	p.Databases = append([]string{name, name + projects.DefaultDatabase}, c.Databases...)
	p.Config.SignIn.Providers = slices.Clone(c.SignIn.Providers)
	for i := range p.Config.SignIn.Providers {
		if s := &p.Config.SignIn.Providers[i].ClientSecret; *s != "" {
			*s = hidden
		}
	}
	for _, a := range c.ServiceAccounts {
		p.ServiceAccounts = append(p.ServiceAccounts, shownAccount(a))
	}
	for _, s := range c.Secrets {
		p.Secrets = append(p.Secrets, secret{ID: s.ID, Database: s.Database, Created: s.Created})
	}
	return p
}

// hidden stands for a secret that is not told. Sent back, it means that the secret stays as it is.
const hidden = "(hidden)"

// settings are the fields of a document that are set as a whole. Those that are missing stay as they are.
type settings struct {
	APIKeys         *[]string          `json:"apiKeys"`
	Databases       *[]string          `json:"databases"`
	FirebaseProject *string            `json:"firebaseProject"`
	Issuers         *[]projects.Issuer `json:"issuers"`
	AppCheck        *projects.AppCheck `json:"appCheck"`
	SignIn          *projects.SignIn   `json:"signIn"`
	Limits          *projects.Limits   `json:"limits"`
}

func (s *settings) apply(c *projects.Config) {
	set(&c.APIKeys, s.APIKeys)
	set(&c.Databases, s.Databases)
	set(&c.FirebaseProject, s.FirebaseProject)
	set(&c.Issuers, s.Issuers)
	set(&c.AppCheck, s.AppCheck)
	set(&c.Limits, s.Limits)
	if s.SignIn != nil {
		before := c.SignIn.Providers
		c.SignIn = *s.SignIn
		for i := range c.SignIn.Providers {
			p := &c.SignIn.Providers[i]
			if p.ClientSecret != hidden {
				continue
			}
			p.ClientSecret = ""
			for _, old := range before {
				// Not for another issuer: it would be told the secret.
				if old.ID == p.ID && old.Issuer == p.Issuer {
					p.ClientSecret = old.ClientSecret
				}
			}
		}
	}
}

func set[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

// names lists what is set, for the journal: the values are in the state.
func (s *settings) names() string {
	var list []string
	for name, is := range map[string]bool{
		"apiKeys": s.APIKeys != nil, "databases": s.Databases != nil, "firebaseProject": s.FirebaseProject != nil, "issuers": s.Issuers != nil,
		"appCheck": s.AppCheck != nil, "signIn": s.SignIn != nil, "limits": s.Limits != nil,
	} {
		if is {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// projects is everything below "projects":
//
//	GET    projects
//	POST   projects            {"name": "…", settings}
//	GET    projects/NAME
//	PATCH  projects/NAME       settings
//	DELETE projects/NAME?confirm=NAME
//	…      projects/NAME/secrets, projects/NAME/service-accounts
func (c *call) projects(at []string) (any, error) {
	reg := c.h.o.Projects
	if len(at) == 0 {
		return adminapi.Methods(c.r, map[string]func() (any, error){"GET": func() (any, error) {
			list := []project{}
			for _, name := range reg.List() {
				if config, ok := reg.Config(name); ok {
					list = append(list, shown(name, config))
				}
			}
			return map[string]any{"projects": list}, nil
		}, "POST": c.createProject})
	}
	name := at[0]
	config, ok := reg.Config(name)
	if !ok {
		return nil, projects.ErrNoProject
	}
	if len(at) > 1 {
		switch at[1] {
		case "secrets":
			return c.secrets(name, config, at[2:])
		case "service-accounts":
			return c.accounts(name, config, at[2:])
		}
		return nil, errNotFound
	}
	return adminapi.Methods(c.r, map[string]func() (any, error){
		"GET":   func() (any, error) { return shown(name, config), nil },
		"PATCH": func() (any, error) { return c.changeProject(name) },
		"DELETE": func() (any, error) {
			if c.r.URL.Query().Get("confirm") != name {
				return nil, adminapi.Refusef(http.StatusBadRequest, "this deletes the project's users for good: repeat its name, as ?confirm=%s", name)
			}
			err := reg.Delete(c.r.Context(), name, config.Version)
			c.record(audit.ConfigChanged, name, "project deleted", err, nil)
			return map[string]any{}, err
		},
	})
}

func (c *call) createProject() (any, error) {
	var in struct {
		Name string `json:"name"`
		settings
	}
	if err := adminapi.Body(c.r, &in); err != nil {
		return nil, err
	}
	config := projects.Config{Created: c.h.o.Now().UTC(), APIKeys: []string{projects.NewAPIKey()}}
	in.apply(&config)
	if _, there := c.h.o.Projects.Config(in.Name); there {
		return nil, adminapi.Refusef(http.StatusConflict, "there is a project %s already", in.Name)
	}
	err := c.h.o.Projects.Put(c.r.Context(), in.Name, config, "")
	c.record(audit.ConfigChanged, in.Name, "project created", err, map[string]string{"set": in.names()})
	if err != nil {
		return nil, err
	}
	c.code = http.StatusCreated
	return c.told(in.Name)
}

func (c *call) changeProject(name string) (any, error) {
	var in settings
	if err := adminapi.Body(c.r, &in); err != nil {
		return nil, err
	}
	err := c.h.o.Projects.Update(c.r.Context(), name, func(config *projects.Config) error {
		if v := c.r.Header.Get("If-Match"); v != "" && v != config.Version {
			return projects.ErrChanged
		}
		in.apply(config)
		return nil
	})
	c.record(audit.ConfigChanged, name, "project changed", err, map[string]string{"set": in.names()})
	if err != nil {
		return nil, err
	}
	return c.told(name)
}

// told is a project after a change.
func (c *call) told(name string) (any, error) {
	config, ok := c.h.o.Projects.Config(name)
	if !ok {
		return nil, projects.ErrNoProject // deleted meanwhile
	}
	return shown(name, config), nil
}
