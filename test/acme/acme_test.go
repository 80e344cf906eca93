package acme

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rebase/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

const host = "app.rebase.example"

// wait bounds everything that has to happen; nothing here takes a tenth of it.
const wait = 2 * time.Minute

// output is what a process says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// run starts a program, and ends it with the test or when stop is called.
func run(t *testing.T, env []string, name string, args ...string) (out *output, stop func()) {
	t.Helper()
	out = &output{}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cmd.Process.Signal(syscall.SIGTERM)
			done := time.AfterFunc(wait, func() { cmd.Process.Kill() })
			cmd.Wait()
			done.Stop()
		})
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(name), out)
		}
	})
	return out, stop
}

// ports returns free ports of the loopback.
func ports(t *testing.T, n int) (list []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all of them are open at the same time, and so different
		list = append(list, l.Addr().(*net.TCPAddr).Port)
	}
	return list
}

// own writes a certificate for 127.0.0.1, for pebble's own API.
func own(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pebble"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// authority is a running pebble.
type authority struct {
	directory string
	ca        string         // file
	roots     *x509.CertPool // of the certificates that it gives
	stop      func()
}

// pebble starts an authority that looks for its challenges at these ports of the loopback.
func pebble(t *testing.T, httpPort, tlsPort int) *authority {
	t.Helper()
	bin := os.Getenv("REBASE_PEBBLE")
	if bin == "" {
		t.Skip("no pebble: run test/acme/run.sh")
	}
	dir := t.TempDir()
	cert, key := own(t, dir)
	p := ports(t, 4)
	config := filepath.Join(dir, "pebble.json")
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": fmt.Sprintf("127.0.0.1:%d", p[0]), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", p[1]),
		"certificate": cert, "privateKey": key, "httpPort": httpPort, "tlsPort": tlsPort,
		"retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	// A name server that says 127.0.0.1 to everything.
	dns := fmt.Sprintf("127.0.0.1:%d", p[2])
	run(t, nil, filepath.Join(bin, "pebble-challtestsrv"), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", dns,
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "", "-management", fmt.Sprintf("127.0.0.1:%d", p[3]))
	_, stop := run(t, []string{"PEBBLE_VA_NOSLEEP=1"}, filepath.Join(bin, "pebble"), "-config", config, "-dnsserver", dns)

	a := &authority{directory: fmt.Sprintf("https://127.0.0.1:%d/dir", p[0]), ca: cert, roots: x509.NewCertPool(), stop: stop}
	text, err = os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: wait}
	root := eventually(t, "pebble's root certificate", func() ([]byte, error) {
		resp, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/roots/0", p[1]))
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return io.ReadAll(resp.Body)
	})
	if !a.roots.AppendCertsFromPEM(root) {
		t.Fatalf("pebble's root is %q", root)
	}
	return a
}

func eventually[T any](t *testing.T, what string, f func() (T, error)) T {
	t.Helper()
	for deadline := time.Now().Add(wait); ; time.Sleep(100 * time.Millisecond) {
		v, err := f()
		if err == nil {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// serve starts the server and waits until it listens.
func serve(t *testing.T, data string, port int, a *authority, flags ...string) (stop func()) {
	t.Helper()
	bin, err := harness.Build()
	if err != nil {
		t.Fatal(err)
	}
	out, stop := run(t, nil, bin, append([]string{"serve", "--data", data, "--listen", fmt.Sprintf("127.0.0.1:%d", port),
		"--acme-host", host, "--acme-email", "admin@" + host, "--acme-directory", a.directory, "--acme-ca", a.ca}, flags...)...)
	eventually(t, "the server", func() (struct{}, error) {
		for lines := bufio.NewScanner(strings.NewReader(out.String())); lines.Scan(); {
			if lines.Text() == fmt.Sprintf("listening on https://%s:%d", host, port) {
				return struct{}{}, nil
			}
		}
		return struct{}{}, fmt.Errorf("it does not listen")
	})
	return stop
}

// fetch makes a request as a client does who knows nothing but the authority's root.
func fetch(t *testing.T, port int, roots *x509.CertPool) *x509.Certificate {
	t.Helper()
	client := &http.Client{Timeout: wait, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
		},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(fmt.Sprintf("https://%s:%d/a.json?ns=test", host, port))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || strings.TrimSpace(string(body)) != "null" {
		t.Fatalf("%d %q, %v", resp.StatusCode, body, err)
	}
	return resp.TLS.PeerCertificates[0]
}

// By TLS-ALPN-01, on the port that serves; and the certificate outlives the process and
// the authority.
func TestOnTheServersPort(t *testing.T) {
	p := ports(t, 2)
	a := pebble(t, p[1], p[0])
	data := filepath.Join(t.TempDir(), "data")
	stop := serve(t, data, p[0], a)
	first := fetch(t, p[0], a.roots)
	if len(first.DNSNames) != 1 || first.DNSNames[0] != host {
		t.Errorf("the certificate is for %v", first.DNSNames)
	}
	private(t, filepath.Join(data, "acme"))
	stop()
	a.stop()
	stop = serve(t, data, p[0], a)
	defer stop()
	if again := fetch(t, p[0], a.roots); !again.Equal(first) {
		t.Error("after a restart it is another certificate")
	}
}

// By HTTP-01, on a port of plain HTTP, where everyone else is sent to HTTPS. The authority
// does not reach the port that serves.
func TestOnPlainHTTP(t *testing.T) {
	p := ports(t, 3)
	a := pebble(t, p[1], p[2])
	stop := serve(t, filepath.Join(t.TempDir(), "data"), p[0], a, "--http-listen", fmt.Sprintf("127.0.0.1:%d", p[1]))
	defer stop()
	fetch(t, p[0], a.roots)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/a.json?ns=test", p[1]))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := fmt.Sprintf("https://%s:%d/a.json?ns=test", host, p[0])
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusPermanentRedirect || got != want {
		t.Errorf("%d to %q, want %s", resp.StatusCode, got, want)
	}
}

// private checks that keys are for the server's user alone.
func private(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others: %v", name, info.Mode())
		}
		files++
		return nil
	})
	if err != nil || files < 3 { // the folder, the account's key, the certificate with its key
		t.Errorf("%d files in %s, %v", files, dir, err)
	}
}
