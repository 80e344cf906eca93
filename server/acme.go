package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME says for which host names certificates are obtained, and from whom, by the
// protocol of RFC 8555. Whoever asks for them accepts the authority's terms.
type ACME struct {
	// Hosts are the public names of the server; without one there is no ACME.
	Hosts []string
	// Email is where the authority writes to when something is wrong; may be "".
	Email string
	// Directory is the authority's URL; "" is Let's Encrypt's.
	Directory string
	// CA is a file in PEM with the certificates by which the authority itself is
	// trusted; "" is the system's.
	CA string
}

// acmeHosts are certificates that an authority gives for the asking.
type acmeHosts struct {
	hosts   []string
	manager *autocert.Manager
}

func newACME(o Options) (*acmeHosts, error) {
	a := &acmeHosts{}
	for _, h := range o.ACME.Hosts {
		h = strings.ToLower(strings.TrimSuffix(h, "."))
		if net.ParseIP(h) != nil || !strings.Contains(h, ".") || strings.ContainsAny(h, "*:/ ") {
			return nil, &StartError{Kind: KindTLS, What: "no certificate can be had for " + h, Advice: "--acme-host takes a public host name, such as db.example.org, without a port."}
		}
		if !slices.Contains(a.hosts, h) {
			a.hosts = append(a.hosts, h)
		}
	}
	client := &acme.Client{DirectoryURL: o.ACME.Directory, UserAgent: "rebase/" + o.Version}
	if o.ACME.CA != "" {
		pem, err := os.ReadFile(o.ACME.CA)
		pool := x509.NewCertPool()
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = errors.New("no certificate in it")
		}
		if err != nil {
			return nil, &StartError{Kind: KindTLS, What: o.ACME.CA + " cannot be used", Err: err, Advice: "--acme-ca takes certificates in PEM."}
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		client.HTTPClient = &http.Client{Transport: transport, Timeout: time.Minute}
	}
	a.manager = &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		HostPolicy: autocert.HostWhitelist(a.hosts...),
		Cache:      autocert.DirCache(filepath.Join(o.Data, "acme")), // makes the folder 0700, its files 0600
		Client:     client,
		Email:      o.ACME.Email,
	}
	return a, nil
}

// obtain gets the certificates that are not there yet, so that what is wrong shows
// at the start and not with the first client. What failed is tried again when a
// client comes.
func (a *acmeHosts) obtain(s *secure, logger *slog.Logger, ending func() bool) {
	for _, host := range a.hosts {
		// As a modern client asks: the manager has another certificate for old ones.
		c, err := s.certificate(&tls.ClientHelloInfo{
			ServerName:       host,
			CipherSuites:     []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
			SupportedCurves:  []tls.CurveID{tls.CurveP256},
			SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		})
		switch {
		case ending():
			return
		case err != nil:
			s.failures.Add(1)
			logger.Error("no certificate could be obtained; it is tried again when a client comes", "host", host, "err", err,
				"advice", "The authority must reach this server at that name, on port 443, or on port 80 if --http-listen serves it.")
		default:
			logger.Info("the certificate is there", "host", host, "until", leafOf(c).NotAfter)
		}
	}
}
