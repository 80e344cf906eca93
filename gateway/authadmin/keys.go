package authadmin

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"rebase/audit"
	"rebase/auth"
	"rebase/auth/keys"
	"rebase/gateway/adminapi"
)

const keyRevoked audit.Act = "key.revoked"

// keys lists the signing keys, rotates them, and revokes those that have been retired.
//
//	GET  keys
//	POST keys/rotate
//	DELETE keys/ID
func (c *call) keys(at []string) (any, error) {
	list := func() (any, error) { return map[string]any{"keys": c.h.o.Keys.List()}, nil }
	switch {
	case len(at) == 0:
		return adminapi.Methods(c.r, map[string]func() (any, error){"GET": list})
	case len(at) == 1 && at[0] == "rotate":
		return adminapi.Methods(c.r, map[string]func() (any, error){"POST": func() (any, error) {
			err := c.h.o.Keys.Rotate(c.r.Context())
			c.record(audit.KeyRotated, "", "", err, nil)
			if err != nil {
				return nil, err
			}
			return list()
		}})
	case len(at) == 1:
		return adminapi.Methods(c.r, map[string]func() (any, error){"DELETE": func() (any, error) {
			err := c.h.o.Keys.Revoke(c.r.Context(), at[0])
			c.record(keyRevoked, "", at[0], err, nil)
			switch {
			case errors.Is(err, keys.ErrNoKey):
				return nil, adminapi.Refusef(http.StatusNotFound, "%v", err)
			case errors.Is(err, keys.ErrActive):
				return nil, adminapi.Refusef(http.StatusConflict, "%v", err)
			case err != nil:
				return nil, err
			}
			return list()
		}})
	}
	return nil, errNotFound
}

// root replaces the root secret.
//
//	POST root/rotate
func (c *call) root(at []string) (any, error) {
	if len(at) != 1 || at[0] != "rotate" || c.h.o.NewRoot == nil {
		return nil, errNotFound
	}
	return adminapi.Methods(c.r, map[string]func() (any, error){"POST": func() (any, error) {
		secret, err := c.h.o.NewRoot(c.r.Context())
		c.record(audit.SecretCreated, "", "root secret", err, nil)
		if err != nil {
			return nil, err
		}
		return map[string]string{"secret": secret}, nil
	}})
}

// inspect says what a server makes of a credential, for whoever wonders why one is refused.
//
//	POST inspect {"database": "…", "token": "…"}
func (c *call) inspect(at []string) (any, error) {
	if len(at) != 0 {
		return nil, errNotFound
	}
	return adminapi.Methods(c.r, map[string]func() (any, error){"POST": func() (any, error) {
		var in struct {
			Database string `json:"database"`
			Token    string `json:"token"`
			AppCheck string `json:"appCheck"`
		}
		if err := adminapi.Body(c.r, &in); err != nil {
			return nil, err
		}
		if in.Database == "" {
			return nil, adminapi.Refusef(http.StatusBadRequest, `"database" is missing: which tokens are believed depends on it`)
		}
		type verdict struct {
			Accepted bool            `json:"accepted"`
			Status   string          `json:"status,omitempty"`
			Reason   string          `json:"reason,omitempty"`
			Project  string          `json:"project,omitempty"`
			Admin    bool            `json:"admin,omitempty"`
			UID      string          `json:"uid,omitempty"`
			Auth     json.RawMessage `json:"auth,omitempty"`
			Issued   time.Time       `json:"issued,omitzero"`
			Expires  time.Time       `json:"expires,omitzero"`
		}
		judge := func(v verdict, err error) (verdict, error) {
			var rejected *auth.Error
			switch {
			case err == nil:
				v.Accepted = true
			case errors.As(err, &rejected):
				v = verdict{Status: rejected.Status, Reason: rejected.Reason}
			default: // as why an issuer's keys cannot be fetched
				v = verdict{Status: "unavailable", Reason: err.Error()}
			}
			return v, nil
		}
		project := c.h.o.Projects.Of(in.Database)
		if in.AppCheck != "" {
			until, err := c.h.o.Authority.CheckApp(c.r.Context(), in.Database, in.AppCheck)
			return judge(verdict{Project: project, Expires: until}, err)
		}
		id, err := c.h.o.Authority.Authenticate(c.r.Context(), auth.Credential{NS: in.Database, Token: in.Token})
		return judge(verdict{Project: id.Project, Admin: id.Admin, UID: id.UID, Auth: id.Auth, Issued: id.Issued, Expires: id.Expires}, err)
	}})
}
