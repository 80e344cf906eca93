package zookeeper

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rebase/test/engines"
	"rebase/vlog/logtest"
)

// TestTLS: the servers' encrypted port, by Options.Dial.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "zookeeper"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	store, trust := filepath.Join(t.TempDir(), "store.pem"), filepath.Join(t.TempDir(), "trust.pem")
	if err := os.WriteFile(store, append(keyPEM, certPEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(trust, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", engines.FreePort(t))
	_, port, _ := net.SplitHostPort(address)
	engines.ZooKeeper(t, 1, "secureClientPort="+port, "secureClientPortAddress=127.0.0.1",
		"serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory", "ssl.clientAuth=none",
		"ssl.keyStore.location="+store, "ssl.keyStore.type=PEM", "ssl.trustStore.location="+trust, "ssl.trustStore.type=PEM")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	w := newWorld([]string{address})
	w.opts.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(ctx, "tcp", address)
	}
	w.opts.User, w.opts.Password = "rebase", "secret"
	l := w.create(t)
	if _, err := l.Append(bg, make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
	if got := logtest.All(t, w.open(t, l), 1); len(got) != 1 || len(got[0]) != 3<<20 {
		t.Fatalf("%d entries", len(got))
	}
}
