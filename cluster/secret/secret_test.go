package secret

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func parse(t testing.TB, texts ...[]byte) *Keys {
	t.Helper()
	k, err := Parse(bytes.Join(texts, []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func identity(t testing.TB, k *Keys, node string, now func() time.Time) *Identity {
	t.Helper()
	id, err := k.Identity(node, now)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// meet lets a client meet a server over a real connection and exchanges some bytes each way.
func meet(t testing.TB, server, client *tls.Config) (ofServer, ofClient error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	echo := func(c net.Conn, first bool) error {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		b := []byte("some bytes of a program")
		if first {
			if _, err := c.Write(b); err != nil {
				return err
			}
		}
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			return err
		}
		if !first {
			_, err = c.Write(b)
			return err
		}
		return nil
	}
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			if server != nil {
				c = tls.Server(c, server)
			}
			err = echo(c, false)
			c.Close()
		}
		done <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if client != nil {
		c = tls.Client(c, client)
	}
	ofClient = echo(c, true)
	return <-done, ofClient
}

func TestNodesOfOneClusterMeet(t *testing.T) {
	k := New()
	a, b := identity(t, parse(t, k), "00000000000000aa", nil), identity(t, parse(t, k), "00000000000000bb", nil)
	if s, c := meet(t, a.Server(), b.Client()); s != nil || c != nil {
		t.Fatal(s, c)
	}
}

func TestOthersAreRefused(t *testing.T) {
	ours, theirs := parse(t, New()), parse(t, New())
	us, them := identity(t, ours, "0a", nil), identity(t, theirs, "0b", nil)
	past := identity(t, ours, "0c", func() time.Time { return time.Now().Add(-2 * validity) })
	noCert := us.Client()
	noCert.GetClientCertificate = nil
	trusting := them.Client() // would take our certificate for good, and shows one of another cluster
	trusting.InsecureSkipVerify, trusting.VerifyConnection = true, nil
	old := past.Client()
	old.Time = nil
	oldServer := past.Server()
	oldServer.Time = nil
	otherName := us.Client()
	otherName.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return ours.issueFor(t, "someone else"), nil
	}
	tests := []struct {
		name           string
		server, client *tls.Config
		inServer       string // in the explained error of either side; "" is not looked at
		inClient       string
	}{
		{"the client has another secret", us.Server(), them.Client(), "another cluster", "another cluster"},
		{"the client trusts everyone", us.Server(), trusting, "another cluster", "another cluster"},
		{"no certificate", us.Server(), noCert, "secret is missing", "secret is missing"},
		{"an expired certificate of the client", us.Server(), old, "expired", ""},
		{"an expired certificate of the server", oldServer, us.Client(), "", "expired"},
		{"a certificate for another name", us.Server(), otherName, "not one of a node", ""},
		{"plaintext to a server with TLS", us.Server(), nil, "does not encrypt", ""},
		{"TLS to a server without", nil, us.Client(), "", "does not encrypt"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, c := meet(t, test.server, test.client)
			if test.server != nil && s == nil || test.client != nil && c == nil {
				t.Fatalf("let in: server %v, client %v", s, c)
			}
			if test.inServer != "" && !strings.Contains(fmt.Sprint(Explain(s)), test.inServer) {
				t.Errorf("server: %v", Explain(s))
			}
			if test.inClient != "" && !strings.Contains(fmt.Sprint(Explain(c)), test.inClient) {
				t.Errorf("client: %v", Explain(c))
			}
		})
	}
}

// issueFor makes a certificate of the authority for another name.
func (k *Keys) issueFor(t *testing.T, name string) *tls.Certificate {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := k.authorities[0]
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(nil, template, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func TestRotation(t *testing.T) {
	k1, k2 := New(), New()
	steps := []*Keys{parse(t, k1), parse(t, k1, k2), parse(t, k2, k1), parse(t, k2)}
	for i, a := range steps {
		for j, b := range steps {
			s, c := meet(t, identity(t, a, "0a", nil).Server(), identity(t, b, "0b", nil).Client())
			neighbours := max(i, j)-min(i, j) <= 1
			if both := s == nil && c == nil; neighbours && !both {
				t.Errorf("nodes at steps %d and %d do not meet: %v, %v", i, j, s, c)
			} else if max(i, j)-min(i, j) == 3 && both {
				t.Errorf("nodes at steps %d and %d meet", i, j)
			}
		}
	}
}

func TestCertificatesAreRenewed(t *testing.T) {
	now := time.Now()
	id := identity(t, parse(t, New()), "0a", func() time.Time { return now })
	first, _ := id.certificate()
	now = now.Add(validity - renewal - time.Minute)
	if c, _ := id.certificate(); c != first {
		t.Error("renewed too early")
	}
	_, _, _, until, err := id.PEM()
	now = now.Add(2 * time.Minute)
	if c, _ := id.certificate(); c == first || err != nil || until.After(now) || !c.Leaf.NotAfter.After(now.Add(validity-time.Hour)) {
		t.Error("not renewed")
	}
}

func TestPEM(t *testing.T) {
	k := parse(t, New(), New())
	id := identity(t, k, "0a", nil)
	authorities, certificate, key, _, err := id.PEM()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) || strings.Count(string(authorities), "BEGIN") != 2 {
		t.Fatalf("%s", authorities)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: Name}); err != nil {
		t.Error(err)
	}
}

// Every node derives the same authority from a secret, and another one from another secret.
func TestAuthorityIsDetermined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SliceOfN(rapid.Byte(), Bytes, Bytes).Draw(t, "secret")
		a, err := newAuthority(s)
		if err != nil {
			t.Fatal(err)
		}
		b, err := newAuthority(bytes.Clone(s))
		if err != nil || !bytes.Equal(a.cert.Raw, b.cert.Raw) {
			t.Fatal("two authorities of one secret", err)
		}
		s[rapid.IntRange(0, Bytes-1).Draw(t, "i")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if c, err := newAuthority(s); err != nil || c.cert.Equal(a.cert) || a.cert.CheckSignature(c.cert.SignatureAlgorithm, c.cert.RawTBSCertificate, c.cert.Signature) == nil {
			t.Fatal("one authority of two secrets", err)
		}
	})
}

func TestParse(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "abc", strings.Repeat("a", 44), "ä" + strings.Repeat("a", 41)} {
		_, err := Parse([]byte(text))
		if err == nil {
			t.Errorf("%q is a secret", text)
		} else if text != "" && text[0] != '#' && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows what is in the file: %v", err)
		}
	}
	parse(t, []byte(" "+strings.Repeat("a", 42)+"A= \r\n\n"))
}

func FuzzParse(f *testing.F) {
	f.Add(New())
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := Parse(b); err == nil && len(k.authorities) == 0 {
			t.Fatal("no secret")
		}
	})
}
