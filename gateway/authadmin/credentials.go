package authadmin

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"regexp"
	"slices"
	"time"

	"rebase/audit"
	"rebase/auth/projects"
	"rebase/gateway/adminapi"
)

type secret struct {
	ID       string    `json:"id"`
	Secret   string    `json:"secret,omitempty"` // only in the answer that made it
	Database string    `json:"database,omitempty"`
	Created  time.Time `json:"created,omitzero"`
}

// secrets is everything below "projects/NAME/secrets":
//
//	GET    …
//	POST   …     {"database": "…", "secret": "…"}: both may be left out
//	DELETE …/ID
func (c *call) secrets(name string, config *projects.Config, at []string) (any, error) {
	if len(at) == 0 {
		return adminapi.Methods(c.r, map[string]func() (any, error){
			"GET":  func() (any, error) { return map[string]any{"secrets": shown(name, config).Secrets}, nil },
			"POST": func() (any, error) { return c.createSecret(name) },
		})
	}
	if len(at) > 1 {
		return nil, errNotFound
	}
	return adminapi.Methods(c.r, map[string]func() (any, error){"DELETE": func() (any, error) {
		err := c.h.o.Projects.Update(c.r.Context(), name, func(config *projects.Config) error {
			i := slices.IndexFunc(config.Secrets, func(s projects.Secret) bool { return s.ID == at[0] })
			if i < 0 {
				return adminapi.Refusef(http.StatusNotFound, "there is no secret of that id")
			}
			config.Secrets = slices.Delete(config.Secrets, i, i+1)
			return nil
		})
		c.record(audit.SecretRemoved, name, at[0], err, nil)
		return map[string]any{}, err
	}})
}

func (c *call) createSecret(name string) (any, error) {
	var in struct{ Database, Secret string }
	if err := adminapi.Body(c.r, &in); err != nil {
		return nil, err
	}
	if in.Database != "" && c.h.o.Projects.Of(in.Database) != name {
		return nil, adminapi.Refusef(http.StatusBadRequest, "the database %q is not of this project; first add it to \"databases\"", in.Database)
	}
	s := projects.NewSecret(c.h.o.Now().UTC(), in.Database)
	told := s.Secret
	if in.Secret != "" {
		s.Secret, told = in.Secret, ""
	}
	err := c.h.o.Projects.Update(c.r.Context(), name, func(config *projects.Config) error {
		config.Secrets = append(config.Secrets, s)
		return nil
	})
	c.record(audit.SecretCreated, name, s.ID, err, map[string]string{"database": in.Database})
	if err != nil {
		return nil, err
	}
	c.code = http.StatusCreated
	return secret{ID: s.ID, Secret: told, Database: s.Database, Created: s.Created}, nil
}

type account struct {
	Email   string       `json:"email"`
	ID      string       `json:"id,omitempty"`
	Keys    []accountKey `json:"keys"`
	Created time.Time    `json:"created,omitzero"`
}

type accountKey struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created,omitzero"`
}

func shownAccount(a projects.ServiceAccount) account {
	shown := account{Email: a.Email, ID: a.ID, Created: a.Created, Keys: []accountKey{}}
	for _, k := range a.Keys {
		shown.Keys = append(shown.Keys, accountKey{k.ID, k.Created})
	}
	return shown
}

var accountName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,29}$`)

// accounts is everything below "projects/NAME/service-accounts":
//
//	GET    …
//	POST   …                  {"name": "…"}: a new one; the answer is its key file
//	POST   …                  {"email": "…", "keyId": "…", "publicKey": "…"}: one whose key is elsewhere
//	DELETE …/EMAIL
//	POST   …/EMAIL/keys       a further key; the answer is its key file
//	DELETE …/EMAIL/keys/ID
func (c *call) accounts(name string, config *projects.Config, at []string) (any, error) {
	switch {
	case len(at) == 0:
		return adminapi.Methods(c.r, map[string]func() (any, error){
			"GET": func() (any, error) {
				return map[string]any{"serviceAccounts": shown(name, config).ServiceAccounts}, nil
			},
			"POST": func() (any, error) { return c.createAccount(name) },
		})
	case !config.HasServiceAccount(at[0]):
		return nil, adminapi.Refusef(http.StatusNotFound, "project %s has no service account %q", name, at[0])
	case len(at) == 1:
		return adminapi.Methods(c.r, map[string]func() (any, error){"DELETE": func() (any, error) {
			return c.removeAccount(name, at[0], func(config *projects.Config, i int) error {
				config.ServiceAccounts = slices.Delete(config.ServiceAccounts, i, i+1)
				return nil
			})
		}})
	case len(at) == 2 && at[1] == "keys":
		return adminapi.Methods(c.r, map[string]func() (any, error){"POST": func() (any, error) { return c.createKey(name, at[0]) }})
	case len(at) == 3 && at[1] == "keys":
		return adminapi.Methods(c.r, map[string]func() (any, error){"DELETE": func() (any, error) {
			return c.removeAccount(name, at[0], func(config *projects.Config, i int) error {
				a := &config.ServiceAccounts[i]
				j := slices.IndexFunc(a.Keys, func(k projects.SAKey) bool { return k.ID == at[2] })
				switch {
				case j < 0:
					return adminapi.Refusef(http.StatusNotFound, "the service account has no key of that id")
				case len(a.Keys) == 1:
					return adminapi.Refusef(http.StatusConflict, "that is its only key: delete the service account, or make another key first")
				}
				a.Keys = slices.Delete(a.Keys, j, j+1)
				return nil
			})
		}})
	}
	return nil, errNotFound
}

func (c *call) createAccount(name string) (any, error) {
	var in struct{ Name, Email, KeyID, PublicKey string }
	if err := adminapi.Body(c.r, &in); err != nil {
		return nil, err
	}
	var a projects.ServiceAccount
	var told any
	switch now := c.h.o.Now().UTC(); {
	case in.Name != "" && in.Email == "" && in.PublicKey == "":
		if !accountName.MatchString(in.Name) {
			return nil, adminapi.Refusef(http.StatusBadRequest, "a service account's name has 1 to 30 lower-case letters, digits and hyphens, and begins with a letter")
		}
		var file projects.KeyFile
		var err error
		if a, file, err = projects.NewServiceAccount(now, name, in.Name, c.server()); err != nil {
			return nil, err
		}
		told = file
	case in.Name == "" && in.Email != "" && in.PublicKey != "":
		block, _ := pem.Decode([]byte(in.PublicKey))
		if block == nil {
			return nil, adminapi.Refusef(http.StatusBadRequest, `"publicKey" is not in PEM`)
		}
		parsed, _ := x509.ParsePKIXPublicKey(block.Bytes)
		pub, ok := parsed.(*rsa.PublicKey)
		if !ok {
			return nil, adminapi.Refusef(http.StatusBadRequest, `"publicKey" is no RSA key: one block "PUBLIC KEY" is needed`)
		}
		k, err := projects.PublicSAKey(now, in.KeyID, pub)
		if err != nil {
			return nil, err
		}
		a = projects.ServiceAccount{Email: in.Email, Keys: []projects.SAKey{k}, Created: now}
		told = shownAccount(a)
	default:
		return nil, adminapi.Refusef(http.StatusBadRequest, `give either "name", for a new key, or "email", "publicKey" and "keyId", for one that exists`)
	}
	err := c.h.o.Projects.Update(c.r.Context(), name, func(config *projects.Config) error {
		if slices.ContainsFunc(config.ServiceAccounts, func(b projects.ServiceAccount) bool { return b.Email == a.Email }) {
			return adminapi.Refusef(http.StatusConflict, "there is a service account %s already", a.Email)
		}
		config.ServiceAccounts = append(config.ServiceAccounts, a)
		return nil
	})
	c.record(audit.ServiceAccountCreated, name, a.Email, err, map[string]string{"key": a.Keys[0].ID})
	if err != nil {
		return nil, err
	}
	c.code = http.StatusCreated
	return told, nil
}

func (c *call) createKey(name, email string) (any, error) {
	fresh, file, err := projects.NewServiceAccount(c.h.o.Now().UTC(), name, "key", c.server())
	if err != nil {
		return nil, err
	}
	err = c.h.o.Projects.Update(c.r.Context(), name, func(config *projects.Config) error {
		i := slices.IndexFunc(config.ServiceAccounts, func(a projects.ServiceAccount) bool { return a.Email == email })
		if i < 0 {
			return adminapi.Refusef(http.StatusNotFound, "the service account has been deleted meanwhile")
		}
		a := &config.ServiceAccounts[i]
		a.Keys = append(a.Keys, fresh.Keys...)
		file.ClientEmail, file.ClientID = a.Email, a.ID
		return nil
	})
	c.record(audit.ServiceAccountCreated, name, email, err, map[string]string{"key": fresh.Keys[0].ID})
	if err != nil {
		return nil, err
	}
	c.code = http.StatusCreated
	return file, nil
}

// removeAccount removes a service account or a part of one.
func (c *call) removeAccount(name, email string, f func(*projects.Config, int) error) (any, error) {
	err := c.h.o.Projects.Update(c.r.Context(), name, func(config *projects.Config) error {
		i := slices.IndexFunc(config.ServiceAccounts, func(a projects.ServiceAccount) bool { return a.Email == email })
		if i < 0 {
			return adminapi.Refusef(http.StatusNotFound, "the service account has been deleted meanwhile")
		}
		return f(config, i)
	})
	c.record(audit.ServiceAccountRemoved, name, email, err, nil)
	return map[string]any{}, err
}
