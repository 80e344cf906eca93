package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"sync"
	"time"
)

// Where the Admin SDKs look for the keys that ID tokens are signed with. They want certificates, of which they read the public key alone.
const (
	certsHost = "www.googleapis.com"
	certsPath = "/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
	// CertsPath is where they are under the server's own name.
	CertsPath = "/_rebase/auth/x509"
)

// certificates keeps the certificates that keys have been put into: making one costs a signature.
type certificates struct {
	mu    sync.Mutex
	byKey map[string]string
}

// certs serves the public keys, by their ids, as X.509 certificates in PEM. Nothing vouches for them but the connection that they come over.
func (s *Server) certs(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.fail(w, r, errMethod)
		return
	}
	m := map[string]string{}
	for _, info := range s.o.Keys.List() {
		text, err := s.certificates.of(info.ID, s.public)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if text != "" {
			m[info.ID] = text
		}
	}
	// Short: a new key signs from the moment that it is there.
	w.Header().Set("Cache-Control", "public, max-age=60, must-revalidate")
	writeJSON(w, http.StatusOK, m)
}

func (s *Server) public(kid string) any {
	if k, ok := s.o.Keys.Public(kid); ok {
		return k
	}
	return nil
}

func (c *certificates) of(kid string, public func(string) any) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text, ok := c.byKey[kid]; ok {
		return text, nil
	}
	pub := public(kid)
	if pub == nil { // it has just ended
		return "", nil
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	begin := time.Now().Add(-24 * time.Hour)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "securetoken.system.gserviceaccount.com"},
		NotBefore: begin, NotAfter: begin.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	issuer := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "rebase"}}
	der, err := x509.CreateCertificate(rand.Reader, cert, issuer, pub, signer)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
		return "", err
	}
	if c.byKey == nil || len(c.byKey) > 100 {
		c.byKey = map[string]string{}
	}
	c.byKey[kid] = b.String()
	return b.String(), nil
}
