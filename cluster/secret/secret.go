package secret

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

// Name is what every certificate of a node is for.
const Name = "rebase-node"

// Bytes is the size of a secret.
const Bytes = 32

const (
	// validity is short enough for a certificate that got away not to be of use for ever, and is renewed while there is a third of it left.
	validity = 90 * 24 * time.Hour
	renewal  = validity / 3
	// leeway is how far a clock may be behind.
	leeway = 24 * time.Hour
)

// New draws a secret, as the text of a secret's file.
func New() []byte {
	var b [Bytes]byte
	rand.Read(b[:]) // never fails
	return fmt.Appendf(nil, "# The secret of a Rebase cluster. Every node needs a copy; whoever has one can be a node.\n%s\n", base64.RawURLEncoding.EncodeToString(b[:]))
}

// Keys are the trusted secrets of a cluster, of which the first issues. Immutable.
type Keys struct{ authorities []*authority }

type authority struct {
	key  ed25519.PrivateKey
	cert *x509.Certificate
}

// Parse reads the text of a secret's file: one secret on a line; empty lines and lines that begin with # do not count.
func Parse(text []byte) (*Keys, error) {
	k := &Keys{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(line, "="))
		if err == nil && len(b) != Bytes {
			err = fmt.Errorf("it has %d bytes", len(b))
		}
		if err != nil {
			// The error must not say what is in the file.
			return nil, fmt.Errorf("line %d is not a secret, which is 32 bytes in base64url (43 characters)", n)
		}
		a, err := newAuthority(b)
		if err != nil {
			return nil, err
		}
		k.authorities = append(k.authorities, a)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(k.authorities) == 0 {
		return nil, errors.New("there is no secret in it")
	}
	return k, nil
}

// newAuthority derives the certification authority of a secret, the same one on every node: Ed25519 signs without randomness.
func newAuthority(secret []byte) (*authority, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "rebase cluster authority, key", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	serial, err := hkdf.Key(sha256.New, secret, nil, "rebase cluster authority, serial", 16)
	if err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, of full length
	key := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		// The subject holds the serial, so that authorities of several secrets are told apart.
		Subject:   pkix.Name{CommonName: fmt.Sprintf("rebase cluster %x", serial[:4])},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{key: key, cert: cert}, nil
}

// pool is the authorities that are trusted.
func (k *Keys) pool() *x509.CertPool {
	p := x509.NewCertPool()
	for _, a := range k.authorities {
		p.AddCert(a.cert)
	}
	return p
}

// issue makes a certificate for a node, with a fresh key, valid from now.
func (k *Keys) issue(node string, now time.Time) (*tls.Certificate, error) {
	a := k.authorities[0]
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] = serial[0]&0x7f | 0x40
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: "node " + node},
		NotBefore:    now.Add(-leeway), NotAfter: now.Add(validity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{Name, node},
	}
	der, err := x509.CreateCertificate(nil, template, a.cert, public, a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: private, Leaf: leaf}, nil
}

// Identity is a node's side of connections: its certificate, renewed in time, and whom it trusts. Safe for concurrent use.
type Identity struct {
	keys *Keys
	node string
	now  func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
}

// Identity makes that of a node, whose number node becomes a name in its certificates. now is the clock, nil for the system's.
func (k *Keys) Identity(node string, now func() time.Time) (*Identity, error) {
	if now == nil {
		now = time.Now
	}
	id := &Identity{keys: k, node: node, now: now}
	_, err := id.certificate()
	return id, err
}

// certificate returns the present one, or a new one if that is due.
func (id *Identity) certificate() (*tls.Certificate, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	now := id.now()
	if id.current != nil && now.Before(id.current.Leaf.NotAfter.Add(-renewal)) {
		return id.current, nil
	}
	c, err := id.keys.issue(id.node, now)
	if err != nil {
		if id.current != nil {
			return id.current, nil // better than none
		}
		return nil, fmt.Errorf("issue a certificate for this node: %w", err)
	}
	id.current = c
	return c, nil
}

func (id *Identity) base() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       id.now,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("the other side has shown no certificate of the cluster")
			}
			// A client checks this by ServerName, a server would not.
			return s.PeerCertificates[0].VerifyHostname(Name)
		},
		// A resumed session would outlive a secret that is no longer trusted.
		SessionTicketsDisabled: true,
	}
}

// Server returns the configuration of a listener: only nodes of the cluster get through the handshake.
func (id *Identity) Server() *tls.Config {
	c := id.base()
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, id.keys.pool()
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.certificate() }
	return c
}

// Client returns the configuration of a caller: it speaks to nodes of the cluster only, wherever they are.
func (id *Identity) Client() *tls.Config {
	c := id.base()
	c.RootCAs, c.ServerName = id.keys.pool(), Name
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.certificate() }
	return c
}

// PEM returns what a program needs that reads files: the trusted authorities, the node's certificate with its authority, and the key. until is
// when to ask again.
func (id *Identity) PEM() (authorities, certificate, key []byte, until time.Time, err error) {
	c, err := id.certificate()
	if err != nil {
		return nil, nil, nil, until, err
	}
	for _, a := range id.keys.authorities {
		authorities = append(authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	}
	for _, der := range c.Certificate {
		certificate = append(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, nil, until, err
	}
	return authorities, certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), c.Leaf.NotAfter.Add(-renewal), nil
}

// Explain adds to an error of a connection what an operator should know, if it tells that the two sides do not have the same secret.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	text := err.Error()
	switch {
	case errors.As(err, &record), strings.Contains(text, "does not look like a TLS handshake"):
		return &explained{"the other side does not encrypt: is it a peer port, of a node that has the cluster's secret?", err}
	case errors.As(err, &unknown), strings.Contains(text, "unknown certificate authority"):
		return &explained{"the other side has the secret of another cluster, or an older one", err}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired, strings.Contains(text, "expired certificate"):
		return &explained{"a certificate has expired: are the clocks of both machines right?", err}
	case errors.As(err, &host):
		return &explained{"the certificate is not one of a node", err}
	case strings.Contains(text, "bad certificate"):
		return &explained{"the other side does not believe this one's certificate: it has the secret of another cluster, or an older one", err}
	case strings.Contains(text, "certificate required"), strings.Contains(text, "didn't provide a certificate"):
		return &explained{"no certificate was shown: the cluster's secret is missing on one side", err}
	}
	return err
}

type explained struct {
	what string
	err  error
}

func (e *explained) Error() string { return e.what + " (" + e.err.Error() + ")" }
func (e *explained) Unwrap() error { return e.err }
