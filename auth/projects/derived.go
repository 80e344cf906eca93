package projects

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"

	"rebase/auth/token"
)

// derived is what is computed from a document once, when it is read.
type derived struct {
	accounts map[string]*accountKeys // by e-mail address
	secrets  []secretKey
}

type accountKeys struct {
	byID map[string]*token.Key
	all  []*token.Key
}

type secretKey struct {
	key      *token.Key
	hash     [sha256.Size]byte
	database string
}

// decode reads a document.
func decode(text []byte, version string) (*Config, error) {
	c := &Config{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, err
	}
	c.Version = version
	c.derived.accounts = make(map[string]*accountKeys, len(c.ServiceAccounts))
	for i := range c.ServiceAccounts {
		a := &c.ServiceAccounts[i]
		keys := &accountKeys{byID: make(map[string]*token.Key, len(a.Keys))}
		for j := range a.Keys {
			k, err := a.Keys[j].parse()
			if err != nil {
				return nil, err
			}
			keys.byID[a.Keys[j].ID] = k
			keys.all = append(keys.all, k)
		}
		c.derived.accounts[a.Email] = keys
	}
	for _, s := range c.Secrets {
		k, err := token.SharedKey(s.Secret)
		if err != nil {
			return nil, err
		}
		c.derived.secrets = append(c.derived.secrets, secretKey{k, sha256.Sum256([]byte(s.Secret)), s.Database})
	}
	return c, nil
}

// HasServiceAccount tells whether there is a service account of that address.
func (c *Config) HasServiceAccount(email string) bool { return c.derived.accounts[email] != nil }

// ServiceAccountKeys returns the keys of a service account that a token may be signed with: the one of that id, or all of them if the token
// names none, as the custom tokens of some SDKs do not.
func (c *Config) ServiceAccountKeys(email, kid string) []*token.Key {
	a := c.derived.accounts[email]
	if a == nil {
		return nil
	}
	if kid == "" {
		return a.all
	}
	if k := a.byID[kid]; k != nil {
		return []*token.Key{k}
	}
	return nil
}

// IsSecret tells whether presented is a legacy secret of the database ns, in a time that does not depend on how much of it is right.
func (c *Config) IsSecret(ns, presented string) bool {
	sum := sha256.Sum256([]byte(presented))
	found := 0
	for i := range c.derived.secrets {
		s := &c.derived.secrets[i]
		if s.database == "" || s.database == ns {
			found |= subtle.ConstantTimeCompare(s.hash[:], sum[:])
		}
	}
	return found == 1
}

// SecretKeys returns the legacy secrets of the database ns as keys of tokens.
func (c *Config) SecretKeys(ns string) (list []*token.Key) {
	for i := range c.derived.secrets {
		if s := &c.derived.secrets[i]; s.database == "" || s.database == ns {
			list = append(list, s.key)
		}
	}
	return list
}

// clone returns a copy that shares nothing that can be changed.
func (c *Config) clone() (*Config, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	n := &Config{}
	err = json.Unmarshal(text, n)
	n.Version = c.Version
	return n, err
}
