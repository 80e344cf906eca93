package projects

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"rebase/auth/jwks"
	"rebase/auth/token"
	"rebase/db"
)

// Bounds of a document: each key is tried for tokens that do not say which, and all are held in memory.
const (
	MaxDocument        = 512 << 10 // bytes
	MaxServiceAccounts = 100
	MaxAccountKeys     = 10 // as at Google
	MaxSecrets         = 20
	maxList            = 1000
)

// ConfigError says what makes no sense in a document.
type ConfigError struct {
	Field  string // as in the document: "issuers[0].issuer"
	Reason string
}

func (e *ConfigError) Error() string { return e.Field + ": " + e.Reason }

func bad(field, format string, args ...any) error {
	return &ConfigError{field, fmt.Sprintf(format, args...)}
}

// A project's name is a key of the tree and a part of addresses and token issuers. Google's are of lower-case letters, digits and hyphens.
var projectName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// CheckName returns an error for what cannot be the name of a project.
func CheckName(project string) error {
	if !projectName.MatchString(project) {
		return bad("project", "a name has 1 to 63 lower-case letters, digits, hyphens and underscores, and begins with a letter or a digit; %.80q has not", project)
	}
	if strings.HasSuffix(project, DefaultDatabase) {
		// Its database would be another project's, too.
		return bad("project", "a name must not end in %s, as the default databases of projects do", DefaultDatabase)
	}
	return nil
}

var (
	apiKey      = regexp.MustCompile(`^[A-Za-z0-9_-]{8,128}$`)
	projectNo   = regexp.MustCompile(`^[0-9]{1,20}$`)
	issuerName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	accountMail = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,189}$`)
	recordID    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// check returns nil if the document makes sense by itself.
func (c *Config) check() error {
	if len(c.APIKeys) > maxList || len(c.Databases) > maxList {
		return bad("apiKeys, databases", "more than %d", maxList)
	}
	for i, k := range c.APIKeys {
		field := fmt.Sprintf("apiKeys[%d]", i)
		if !apiKey.MatchString(k) {
			return bad(field, "an API key has 8 to 128 letters, digits, hyphens and underscores")
		}
		if slices.Contains(c.APIKeys[:i], k) {
			return bad(field, "it is there twice")
		}
	}
	for i, ns := range c.Databases {
		field := fmt.Sprintf("databases[%d]", i)
		if err := db.CheckNamespace(ns); err != nil || strings.HasPrefix(ns, "_") {
			return bad(field, "%.80q cannot be the name of a database", ns)
		}
		if slices.Contains(c.Databases[:i], ns) {
			return bad(field, "%q is there twice", ns)
		}
	}
	if c.FirebaseProject != "" && CheckName(c.FirebaseProject) != nil {
		return bad("firebaseProject", "%.80q cannot be the id of a project at Firebase", c.FirebaseProject)
	}
	if err := c.checkIssuers(); err != nil {
		return err
	}
	if err := c.checkAccounts(); err != nil {
		return err
	}
	if err := c.checkSecrets(); err != nil {
		return err
	}
	if err := c.AppCheck.check(); err != nil {
		return err
	}
	if err := c.SignIn.Check(); err != nil {
		return &ConfigError{"signIn", err.Error()}
	}
	return nil
}

// OwnIssuer begins the issuers of ID tokens of Firebase, Google's and ours; the project's name follows.
const OwnIssuer = "https://securetoken.google.com/"

func (c *Config) checkIssuers() error {
	if len(c.Issuers) > 20 {
		return bad("issuers", "more than 20")
	}
	for i, s := range c.Issuers {
		field := fmt.Sprintf("issuers[%d]", i)
		u, err := url.Parse(s.Issuer)
		if err != nil || jwks.CheckURL(s.Issuer) != nil || u.RawQuery != "" || u.Fragment != "" {
			return bad(field+".issuer", "it must be an address that begins with https://, without ? and #; %.200q is not", s.Issuer)
		}
		if strings.HasPrefix(s.Issuer, OwnIssuer) {
			return bad(field+".issuer", "that is the issuer of Firebase's ID tokens: to accept those, set firebaseProject")
		}
		if !issuerName.MatchString(s.Name) {
			return bad(field+".name", "a name has 1 to 64 letters, digits, dots, hyphens and underscores")
		}
		if len(s.Audiences) == 0 || slices.Contains(s.Audiences, "") {
			return bad(field+".audiences", "at least one is needed, usually the client id of the app: without it tokens for any other app would be accepted")
		}
		if s.JWKS != "" && jwks.CheckURL(s.JWKS) != nil {
			return bad(field+".jwks", "it must be an address that begins with https://")
		}
		for _, other := range c.Issuers[:i] {
			if other.Issuer == s.Issuer || other.Name == s.Name {
				return bad(field, "its name or issuer is there twice")
			}
		}
	}
	return nil
}

func (c *Config) checkAccounts() error {
	if len(c.ServiceAccounts) > MaxServiceAccounts {
		return bad("serviceAccounts", "more than %d", MaxServiceAccounts)
	}
	for i, a := range c.ServiceAccounts {
		field := fmt.Sprintf("serviceAccounts[%d]", i)
		if !accountMail.MatchString(a.Email) {
			return bad(field+".email", "%.80q is not an e-mail address", a.Email)
		}
		for _, other := range c.ServiceAccounts[:i] {
			if other.Email == a.Email {
				return bad(field+".email", "%s is there twice", a.Email)
			}
		}
		if len(a.Keys) == 0 || len(a.Keys) > MaxAccountKeys {
			return bad(field+".keys", "there must be 1 to %d", MaxAccountKeys)
		}
		for j, k := range a.Keys {
			field := fmt.Sprintf("%s.keys[%d]", field, j)
			if !recordID.MatchString(k.ID) {
				return bad(field+".id", "an id has 1 to 64 letters, digits, hyphens and underscores")
			}
			for _, other := range a.Keys[:j] {
				if other.ID == k.ID {
					return bad(field+".id", "it is there twice")
				}
			}
			if _, err := k.parse(); err != nil {
				return bad(field+".pem", "%v", err)
			}
		}
	}
	return nil
}

// parse returns the key in the form that tokens are verified with.
func (k *SAKey) parse() (*token.Key, error) {
	block, rest := pem.Decode([]byte(k.PEM))
	if block == nil || block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New(`one block "PUBLIC KEY" in PEM is needed`)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return token.PublicKey(token.RS256, pub)
}

func (c *Config) checkSecrets() error {
	if len(c.Secrets) > MaxSecrets {
		return bad("secrets", "more than %d", MaxSecrets)
	}
	for i, s := range c.Secrets {
		field := fmt.Sprintf("secrets[%d]", i)
		if !recordID.MatchString(s.ID) {
			return bad(field+".id", "an id has 1 to 64 letters, digits, hyphens and underscores")
		}
		if _, err := token.SharedKey(s.Secret); err != nil {
			return bad(field+".secret", "%v", err)
		}
		// A dot would make it look like a token.
		if len(s.Secret) > 256 || strings.ContainsFunc(s.Secret, func(r rune) bool { return r <= ' ' || r > '~' || r == '.' }) {
			return bad(field+".secret", "it must have at most 256 visible ASCII characters, and no dot")
		}
		for _, other := range c.Secrets[:i] {
			if other.ID == s.ID || other.Secret == s.Secret {
				return bad(field, "its id or secret is there twice")
			}
		}
		if s.Database != "" && db.CheckNamespace(s.Database) != nil {
			return bad(field+".database", "%.80q cannot be the name of a database", s.Database)
		}
	}
	return nil
}

func (a *AppCheck) check() error {
	if a.ProjectNumber != "" && !projectNo.MatchString(a.ProjectNumber) {
		return bad("appCheck.projectNumber", "it is a number, as the settings of a project at Firebase show it")
	}
	if a.Required && a.ProjectNumber == "" {
		return bad("appCheck.required", "it needs appCheck.projectNumber: without it no token could be believed, and no client would be let in")
	}
	if len(a.Apps) > maxList || slices.Contains(a.Apps, "") {
		return bad("appCheck.apps", "it has an empty app id, or more than %d", maxList)
	}
	return nil
}
