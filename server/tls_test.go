package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes a certificate for 127.0.0.1 and returns who trusts it.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	cert, key = write("cert.pem", "CERTIFICATE", der), write("key.pem", "EC PRIVATE KEY", keyDER)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return cert, key, pool
}

func TestProtocols(t *testing.T) {
	cert, key, pool := certificate(t)
	for _, c := range []struct {
		name  string
		o     Options
		set   func(*http.Protocols)
		major int
	}{
		{"HTTP/1.1", Options{}, func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		{"HTTP/2 in the clear", Options{}, func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) }, 2},
		{"HTTP/1.1 over TLS", Options{Listen: "localhost:0", TLSCert: cert, TLSKey: key}, func(p *http.Protocols) { p.SetHTTP1(true) }, 1},
		{"HTTP/2 over TLS", Options{Listen: "localhost:0", TLSCert: cert, TLSKey: key}, func(p *http.Protocols) { p.SetHTTP2(true) }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.o)
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, Protocols: new(http.Protocols)}
			defer transport.CloseIdleConnections()
			c.set(transport.Protocols)
			resp, err := (&http.Client{Transport: transport}).Get(s.URL() + "/a.json")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != 200 || resp.ProtoMajor != c.major {
				t.Errorf("%d over HTTP/%d, want 200 over HTTP/%d", resp.StatusCode, resp.ProtoMajor, c.major)
			}
		})
	}
}

// present is the certificate that the server at an address shows.
func present(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// A renewed certificate is used without a restart; one that does not fit is not.
func TestCertificateIsReadAgain(t *testing.T) {
	cert, key, _ := certificate(t)
	cert2, key2, _ := certificate(t)
	var failures int
	f := &certFiles{cert: cert, key: key, logger: slog.New(slog.DiscardHandler), failed: func() { failures++ }}
	if err := f.load(); err != nil {
		t.Fatal(err)
	}
	shown := func() []byte {
		t.Helper()
		f.next.Store(0)
		c, err := f.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Certificate[0]
	}
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	first := shown()
	move(cert2, cert) // the key comes later
	if !bytes.Equal(shown(), first) || failures != 1 {
		t.Errorf("half a renewal is in use, or went unnoticed (%d failures)", failures)
	}
	if shown(); failures != 1 {
		t.Error("files that have not changed are read again and again")
	}
	move(key2, key)
	second := shown()
	if bytes.Equal(second, first) || failures != 1 {
		t.Errorf("the renewed certificate is not in use (%d failures)", failures)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(shown(), second) || failures != 2 {
		t.Errorf("a certificate that is gone is no longer in use, or went unnoticed (%d failures)", failures)
	}
	f.next.Store(math.MaxInt64)
	if c, err := f.get(nil); err != nil || !bytes.Equal(c.Certificate[0], second) {
		t.Error("between two looks there is no certificate")
	}
}

// The server that is running shows the new certificate.
func TestServerUsesRenewedCertificate(t *testing.T) {
	cert, key, _ := certificate(t)
	cert2, key2, _ := certificate(t)
	s := start(t, Options{Listen: "localhost:0", TLSCert: cert, TLSKey: key})
	address := s.http.listener.Addr().String()
	first := present(t, address)
	for from, to := range map[string]string{cert2: cert, key2: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); present(t, address).Equal(first); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the renewed certificate is not shown")
		}
	}
}

func TestRedirect(t *testing.T) {
	cert, key, _ := certificate(t)
	s := start(t, Options{Listen: "localhost:0", TLSCert: cert, TLSKey: key, HTTPListen: "127.0.0.1:0"})
	_, port, _ := net.SplitHostPort(s.http.listener.Addr().String())
	plain := "http://" + s.http.plain.listener.Addr().String()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		method, host, path string
		status             int
		location           string
	}{
		{"GET", "db.example.org", "/a%2Fb.json?x=1", 308, "https://db.example.org:" + port + "/a%2Fb.json?x=1"},
		{"HEAD", "DB.example.org:80", "//x.json", 308, "https://db.example.org:" + port + "//x.json"},
		{"GET", "[::1]", "/", 308, "https://[::1]:" + port + "/"},
		{"GET", "[::1]:80", "/", 308, "https://[::1]:" + port + "/"},
		{"PUT", "db.example.org", "/a.json?auth=secret", 403, ""},
	} {
		req, err := http.NewRequest(c.method, plain+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Location"); resp.StatusCode != c.status || got != c.location {
			t.Errorf("%s %s%s: %d to %q, want %d to %q", c.method, c.host, c.path, resp.StatusCode, got, c.status, c.location)
		}
	}
}

func TestRedirectToUsualPort(t *testing.T) {
	for host, want := range map[string]string{"[::1]:80": "https://[::1]/x", "[::1]": "https://[::1]/x", "a.example.org": "https://a.example.org/x"} {
		r := httptest.NewRequest("GET", "/x", nil)
		r.Host = host
		w := httptest.NewRecorder()
		redirector{host: "b.example.org"}.ServeHTTP(w, r)
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%s is sent to %s, want %s", host, got, want)
		}
	}
}

// With public names known, nobody is sent anywhere else.
func TestRedirectKnowsItsNames(t *testing.T) {
	to := redirector{host: "a.example.org", port: "443", hosts: []string{"a.example.org", "b.example.org"}}
	for host, want := range map[string]string{
		"b.example.org:80": "https://b.example.org/x", "evil.example.com": "https://a.example.org/x", "": "https://a.example.org/x",
	} {
		r := httptest.NewRequest("GET", "/x", nil)
		r.Host = host
		w := httptest.NewRecorder()
		to.ServeHTTP(w, r)
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%q is sent to %s, want %s", host, got, want)
		}
	}
}

func TestTLSMistakes(t *testing.T) {
	cert, key, _ := certificate(t)
	_, other, _ := certificate(t)
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{TLSCert: cert}, "--tls-key"},
		{Options{TLSCert: cert, TLSKey: other}, "cannot be used"},
		{Options{TLSCert: cert, TLSKey: key, ACME: ACME{Hosts: []string{"a.example.org"}}}, "either --acme-host"},
		{Options{ACME: ACME{Hosts: []string{"localhost"}}}, "public host name"},
		{Options{ACME: ACME{Hosts: []string{"a.example.org", "10.0.0.1"}}}, "public host name"},
		{Options{ACME: ACME{Hosts: []string{"*.example.org"}}}, "public host name"},
		{Options{ACME: ACME{Hosts: []string{"a.example.org"}, CA: key}}, "--acme-ca"},
		{Options{HTTPListen: "127.0.0.1:0"}, "--http-listen"},
		{Options{TLSCert: cert, TLSKey: key, HTTPListen: "256.0.0.1:1"}, "cannot listen on 256.0.0.1:1"},
	} {
		c.o.Data = filepath.Join(t.TempDir(), "d")
		_, err := Start(t.Context(), c.o)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %s", c.o, err, c.says)
		}
		if _, err := os.Stat(c.o.Data); err == nil {
			t.Errorf("%s: the data folder was made", c.says)
		}
	}
}
