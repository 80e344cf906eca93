package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// secure is how a server comes by its certificates.
type secure struct {
	get      func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	acme     *acmeHosts   // nil with files
	notAfter atomic.Int64 // of the certificate that was last given out, in seconds since 1970
	failures atomic.Int64 // of getting or reading certificates
}

// newSecure returns nil for a server without TLS.
func newSecure(o Options) (*secure, error) {
	s := &secure{}
	switch {
	case len(o.ACME.Hosts) > 0:
		if o.TLSCert != "" || o.TLSKey != "" {
			return nil, &StartError{Kind: KindTLS, What: "HTTPS cannot be turned on in two ways", Advice: "Give either --acme-host, or --tls-cert and --tls-key."}
		}
		a, err := newACME(o)
		if err != nil {
			return nil, err
		}
		s.acme, s.get = a, a.manager.GetCertificate
	case o.TLSCert != "" || o.TLSKey != "":
		if o.TLSCert == "" || o.TLSKey == "" {
			return nil, &StartError{Kind: KindTLS, What: "HTTPS cannot be turned on", Advice: "Give both --tls-cert and --tls-key."}
		}
		files := &certFiles{cert: o.TLSCert, key: o.TLSKey, logger: o.Logger, failed: func() { s.failures.Add(1) }}
		if err := files.load(); err != nil {
			return nil, &StartError{Kind: KindTLS, What: fmt.Sprintf("%s and %s cannot be used", o.TLSCert, o.TLSKey), Err: err,
				Advice: "They must be a certificate chain and its key, in PEM."}
		}
		s.get = files.get
		s.given(files.current.Load())
	case o.HTTPListen != "":
		return nil, &StartError{Kind: KindTLS, What: "there is nothing to redirect from " + o.HTTPListen + " to", Advice: "Turn on HTTPS with --acme-host, or --tls-cert and --tls-key; or leave out --http-listen."}
	default:
		return nil, nil
	}
	return s, nil
}

func (s *secure) config() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate}
	if s.acme != nil {
		c.NextProtos = s.acme.manager.TLSConfig().NextProtos // with that of the challenge
	}
	return c
}

func (s *secure) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := s.get(hello)
	if err == nil {
		s.given(c)
	}
	return c, err
}

// given remembers until when a certificate is good. Those of challenges are good
// for a day or so, and no client sees them.
func (s *secure) given(c *tls.Certificate) {
	if leaf := leafOf(c); leaf != nil && len(leaf.UnhandledCriticalExtensions) == 0 {
		s.notAfter.Store(leaf.NotAfter.Unix())
	}
}

func leafOf(c *tls.Certificate) *x509.Certificate {
	if c.Leaf != nil {
		return c.Leaf
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf
}

// observeTLS adds the figures of certificates.
func (m *metrics) observeTLS(s *secure) {
	if s == nil {
		return
	}
	m.registry.MustRegister(newReadings(func() []float64 { return []float64{float64(s.notAfter.Load()), float64(s.failures.Load())} },
		reading{"rebase_tls_not_after_seconds", "When the certificate expires that was last given to a client, in seconds since 1970.", prometheus.GaugeValue},
		reading{"rebase_tls_failures_total", "Certificates that could not be read or obtained; the one before is used.", prometheus.CounterValue},
	))
}

// certFiles is a certificate in files. They are looked at again when clients come,
// so that a renewed one is used without a restart, by connections that begin then.
type certFiles struct {
	cert, key string
	logger    *slog.Logger
	failed    func()

	current atomic.Pointer[tls.Certificate]
	next    atomic.Int64 // when to look again, in milliseconds since 1970
	mu      sync.Mutex   // held while looking
	seen    [2]fs.FileInfo
}

// lookEvery is how long changed files may go unnoticed.
const lookEvery = 2 * time.Second

func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if now := time.Now().UnixMilli(); now >= f.next.Load() && f.mu.TryLock() {
		f.look()
		f.next.Store(now + lookEvery.Milliseconds())
		f.mu.Unlock()
	}
	return f.current.Load(), nil
}

// look reads the files again if one has changed. Both are seldom changed at the
// same moment, so a pair that does not fit is no surprise: the next look, or the one
// after it, finds the other.
func (f *certFiles) look() {
	states, err := f.states()
	if err == nil && f.seen[0] != nil && same(states[0], f.seen[0]) && same(states[1], f.seen[1]) {
		return
	}
	if err == nil {
		err = f.load()
	}
	if err != nil {
		f.failed()
		f.logger.Warn("the certificate has changed and cannot be used; the one before is still in use", "cert", f.cert, "key", f.key, "err", err)
		return
	}
	f.logger.Info("the certificate has changed and is in use", "cert", f.cert, "until", leafOf(f.current.Load()).NotAfter)
}

// load reads the files. What they were is noted before: what changes meanwhile is
// seen at the next look.
func (f *certFiles) load() error {
	states, err := f.states()
	if err != nil {
		return err
	}
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	f.seen = states // also where they do not fit: they are not read again until one changes
	if err != nil {
		return err
	}
	f.current.Store(&c)
	return nil
}

func (f *certFiles) states() (states [2]fs.FileInfo, err error) {
	for i, name := range []string{f.cert, f.key} {
		if states[i], err = os.Stat(name); err != nil { // what a link points to: renewals often turn a link
			return states, err
		}
	}
	return states, nil
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
