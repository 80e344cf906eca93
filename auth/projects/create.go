package projects

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// NewAPIKey returns an API key of the kind that apps expect.
func NewAPIKey() string { return "RBZ" + random(27) }

// NewSecret returns a legacy secret: 40 characters, as Firebase's have, by which some SDKs know one.
func NewSecret(now time.Time, database string) Secret {
	return Secret{ID: newID(), Secret: random(30), Database: database, Created: now}
}

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func newID() string {
	b := make([]byte, 8)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// KeyFile is what a service account's holder gets, in the format of Google's key files.
type KeyFile struct {
	Type                    string `json:"type"`
	ProjectID               string `json:"project_id"`
	PrivateKeyID            string `json:"private_key_id"`
	PrivateKey              string `json:"private_key"`
	ClientEmail             string `json:"client_email"`
	ClientID                string `json:"client_id"`
	AuthURI                 string `json:"auth_uri"`
	TokenURI                string `json:"token_uri"`
	AuthProviderX509CertURL string `json:"auth_provider_x509_cert_url"`
	ClientX509CertURL       string `json:"client_x509_cert_url"`
	UniverseDomain          string `json:"universe_domain"`
}

// NewServiceAccount makes a service account of a project and its first key. server is the address under which SDKs reach this server; they get
// their access tokens there. The file is the only place where the private key is.
func NewServiceAccount(now time.Time, project, name, server string) (ServiceAccount, KeyFile, error) {
	k, private, err := newKey(now)
	if err != nil {
		return ServiceAccount{}, KeyFile{}, err
	}
	number, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(20), nil))
	if err != nil {
		return ServiceAccount{}, KeyFile{}, err
	}
	a := ServiceAccount{
		Email: AccountEmail(project, name), ID: fmt.Sprintf("1%020d", number), Keys: []SAKey{k}, Created: now,
	}
	return a, KeyFile{
		Type: "service_account", ProjectID: project, PrivateKeyID: k.ID, PrivateKey: private, ClientEmail: a.Email, ClientID: a.ID,
		AuthURI: server + "/_rebase/oauth2/auth", TokenURI: server + "/_rebase/oauth2/token",
		AuthProviderX509CertURL: server + "/_rebase/oauth2/certs", ClientX509CertURL: server + "/_rebase/oauth2/certs",
		UniverseDomain: "googleapis.com", // SDKs insist
	}, nil
}

// AccountEmail is the address of a service account that is made here. It is a name, and receives no mail: .internal is reserved for private use.
func AccountEmail(project, name string) string { return name + "@" + project + ".iam.rebase.internal" }

func newKey(now time.Time) (SAKey, string, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return SAKey{}, "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return SAKey{}, "", err
	}
	k, err := PublicSAKey(now, "", &private.PublicKey)
	return k, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
}

// PublicSAKey returns a public key as a service account's; id "" is a hash of the key.
func PublicSAKey(now time.Time, id string, pub *rsa.PublicKey) (SAKey, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return SAKey{}, err
	}
	if id == "" {
		sum := sha1.Sum(der) // a name; as long as Google's
		id = hex.EncodeToString(sum[:])
	}
	return SAKey{ID: id, PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), Created: now}, nil
}

// ReadKeyFile reads a key file, Google's or ours, and returns the account with its public key.
func ReadKeyFile(text []byte, now time.Time) (ServiceAccount, error) {
	f, private, err := readKeyFile(text)
	if err != nil {
		return ServiceAccount{}, err
	}
	k, err := PublicSAKey(now, f.PrivateKeyID, &private.PublicKey)
	return ServiceAccount{Email: f.ClientEmail, ID: f.ClientID, Keys: []SAKey{k}, Created: now}, err
}

// PrivateKey returns the key in a key file.
func PrivateKey(text []byte) (*rsa.PrivateKey, error) {
	_, private, err := readKeyFile(text)
	return private, err
}

func readKeyFile(text []byte) (f KeyFile, private *rsa.PrivateKey, err error) {
	if err := json.Unmarshal(text, &f); err != nil || f.Type != "service_account" || f.ClientEmail == "" {
		return f, nil, errors.New(`it is no key file of a service account: JSON with "type": "service_account"`)
	}
	block, _ := pem.Decode([]byte(f.PrivateKey))
	if block == nil {
		return f, nil, errors.New(`its "private_key" is not in PEM`)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return f, nil, fmt.Errorf(`its "private_key": %w`, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return f, nil, errors.New(`its "private_key" is no RSA key`)
	}
	return f, private, nil
}
