package embedded

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"rebase/test/engines"
)

var bg = context.Background()

// lines collects what is logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(bg, 40*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func options(t testing.TB, name string, tls func(name string) *TLS) Options {
	o := Options{
		Dir: filepath.Join(t.TempDir(), name), Name: name, Cluster: "test", Listen: fmt.Sprintf("http://127.0.0.1:%d", engines.FreePort(t)),
		Heartbeat: 50 * time.Millisecond, Election: 500 * time.Millisecond,
	}
	if tls != nil {
		o.Listen = strings.Replace(o.Listen, "http:", "https:", 1)
		o.TLS = tls(name)
	}
	return o
}

func start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := Start(soon(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// join adds a member to the cluster that from is in, and gives it its vote.
func join(t testing.TB, from *Server, o Options) *Server {
	t.Helper()
	initial, id, err := Add(soon(t), from.Client(), o.Name, o.Listen)
	if err != nil {
		t.Fatal(err)
	}
	again, same, err := Add(soon(t), from.Client(), o.Name, o.Listen)
	if err != nil || same != id || again != initial {
		t.Fatalf("a second Add = %q, %x, %v; the first %q, %x", again, same, err, initial, id)
	}
	o.InitialCluster = initial
	s := start(t, o)
	if s.ID() != id {
		t.Fatalf("the member is %x, and was added as %x", s.ID(), id)
	}
	if err := Promote(soon(t), from.Client(), id); err != nil {
		t.Fatal(err)
	}
	if err := Promote(soon(t), s.Client(), id); err != nil {
		t.Fatalf("a second Promote: %v", err)
	}
	return s
}

func put(t testing.TB, s *Server, key, value string) {
	t.Helper()
	var err error
	for range 100 {
		ctx, cancel := context.WithTimeout(bg, 2*time.Second)
		_, err = s.Client().Put(ctx, key, value)
		cancel()
		if err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("put: %v", err)
}

func get(t testing.TB, s *Server, key string) string {
	t.Helper()
	r, err := s.Client().Get(soon(t), key)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if len(r.Kvs) == 0 {
		return ""
	}
	return string(r.Kvs[0].Value)
}

// kill stops a member as a crash does as far as the others can tell: it hands nothing over.
func kill(s *Server) {
	s.etcd.Server.HardStop()
	s.Close()
}

func testCluster(t *testing.T, tls func(string) *TLS) {
	all := map[string]Options{}
	for _, name := range []string{"a", "b", "c", "d"} {
		all[name] = options(t, name, tls)
	}
	a := start(t, all["a"])
	put(t, a, "k", "1")
	b := join(t, a, all["b"])
	c := join(t, b, all["c"])
	if got := get(t, c, "k"); got != "1" {
		t.Fatalf("the third member has %q", got)
	}
	members, err := Members(soon(t), c.Client())
	if err != nil || len(members) != 3 {
		t.Fatalf("members %v, %v", members, err)
	}
	for _, m := range members {
		if m.Learner || m.Name == "" {
			t.Errorf("member %+v", m)
		}
	}

	// One dies and is replaced by another in a new folder.
	dead := b.ID()
	kill(b)
	put(t, a, "k", "2")
	if err := Remove(soon(t), a.Client(), dead); err != nil {
		t.Fatal(err)
	}
	if err := Remove(soon(t), a.Client(), dead); err != nil {
		t.Fatalf("a second Remove: %v", err)
	}
	d := join(t, c, all["d"])
	if got := get(t, d, "k"); got != "2" {
		t.Fatalf("the new member has %q", got)
	}

	// All stop and start again from their folders, whatever the list says that they are given.
	for _, s := range []*Server{d, c, a} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("second close: %v", err)
		}
		select {
		case <-s.Done():
		default:
			t.Fatal("closed, and not done")
		}
		if s.Err() != nil {
			t.Fatal(s.Err())
		}
	}
	again := map[string]*Server{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, name := range []string{"a", "c", "d"} {
		wg.Go(func() {
			s, err := Start(soon(t), all[name])
			if err != nil {
				t.Errorf("restart %s: %v", name, err)
				return
			}
			mu.Lock()
			again[name] = s
			mu.Unlock()
		})
	}
	wg.Wait()
	defer func() {
		for _, s := range again {
			s.Close()
		}
	}()
	if t.Failed() {
		return
	}
	for name, s := range again {
		if got := get(t, s, "k"); got != "2" {
			t.Errorf("%s has %q after the restart", name, got)
		}
	}

	// A planned stop of the leader hands over: the others have a leader the moment it is gone.
	var leader *Server
	for _, s := range again {
		if s.Leader() {
			leader = s
		}
	}
	if leader == nil {
		t.Fatal("there is no leader")
	}
	term := leader.etcd.Server.Term()
	old := leader.ID()
	if err := leader.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range again {
		if s != leader {
			// A term more is the hand-over; an election that it had to wait for would begin with no leader.
			if id := s.LeaderID(); id == 0 || id == old || s.etcd.Server.Term() != term+1 {
				t.Errorf("after a planned stop the leader is %x in term %d; it was %x in %d", id, s.etcd.Server.Term(), old, term)
			}
		}
	}

	// Who is removed stops and says why.
	for _, s := range again {
		if s == leader {
			continue
		}
		if err := Remove(soon(t), s.Client(), leader.ID()); err != nil {
			t.Fatal(err)
		}
		break
	}
	var rest []*Server
	for _, s := range again {
		if s != leader {
			rest = append(rest, s)
		}
	}
	if err := Remove(soon(t), rest[0].Client(), rest[1].ID()); err != nil {
		t.Fatal(err)
	}
	<-rest[1].Done()
	if !errors.Is(rest[1].Err(), ErrRemoved) {
		t.Fatalf("the removed member stopped with %v", rest[1].Err())
	}
	put(t, rest[0], "k", "3")
}

func TestCluster(t *testing.T) {
	t.Parallel() // etcd takes a change of the members only some seconds after the one before
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		testCluster(t, nil)
	})
	t.Run("tls", func(t *testing.T) {
		t.Parallel()
		testCluster(t, newAuthority(t).issue)
	})
}

// TestMain checks that nothing runs on when all members have been closed.
func TestMain(m *testing.M) {
	before := goleak.IgnoreCurrent()
	code := m.Run()
	if code == 0 {
		var err error
		for range 20 { // connections that a killed member had are let go of after etcd's read timeout of five seconds
			if err = goleak.Find(before); err == nil {
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	var log lines
	o := options(t, "a", nil)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a := start(t, o)

	taken := options(t, "b", nil)
	taken.Listen = o.Listen
	if _, err := Start(soon(t), taken); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), o.Listen) {
		t.Errorf("an address in use: %v", err)
	}
	foreign := o
	foreign.Cluster = "other"
	if _, err := Start(soon(t), foreign); !errors.Is(err, ErrForeign) {
		t.Errorf("a folder of another cluster: %v", err)
	}
	renamed := o
	renamed.Name = "x"
	if _, err := Start(soon(t), renamed); !errors.Is(err, ErrForeign) {
		t.Errorf("a folder of another member: %v", err)
	}
	unmarked := options(t, "c", nil)
	if err := os.MkdirAll(filepath.Join(unmarked.Dir, "member"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(soon(t), unmarked); !errors.Is(err, ErrForeign) {
		t.Errorf("a folder of another etcd: %v", err)
	}
	for _, wrong := range []Options{{}, {Dir: "x"}, {Dir: "x", Name: "x", Listen: "1.2.3.4:5"}, {Dir: "x", Name: "x", Listen: "https://1.2.3.4:5"},
		{Dir: "x", Name: "x", Listen: "http://1.2.3.4:5", TLS: &TLS{}}, {Dir: "x", Name: "x", Listen: "http://1.2.3.4:5", Election: time.Millisecond}} {
		if _, err := Start(soon(t), wrong); err == nil {
			t.Errorf("started with %+v", wrong)
		}
	}
	if _, err := os.Stat("x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left a folder: %v", err)
	}

	// A second member that does not come up: the first goes on. Then without it there is no majority.
	second := options(t, "b", nil)
	b := join(t, a, second)
	if _, _, err := Add(soon(t), a.Client(), "b", "http://127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "remove it first") {
		t.Errorf("add under the name of a member: %v", err)
	}
	if _, _, err := Add(soon(t), a.Client(), "c", second.Listen); err == nil {
		t.Error("add at the address of a member")
	}
	b.Close()
	a.Close()
	short, cancel := context.WithTimeout(bg, 2*time.Second)
	defer cancel()
	if _, err := Start(short, o); !errors.Is(err, ErrNoQuorum) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "of 2 members") {
		t.Errorf("start without a majority: %v", err)
	}
	if !strings.Contains(log.String(), "etcd: ") {
		t.Errorf("etcd has logged nothing:\n%s", log.String())
	}
	if strings.Contains(log.String(), "level=INFO") {
		t.Error("etcd's chatter is logged")
	}
	// In parallel with its other half it starts.
	o.NoWait = true
	a, err := Start(soon(t), o)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b = start(t, second)
	if err := a.Ready(soon(t)); err != nil {
		t.Fatal(err)
	}
	put(t, b, "k", "v")
}

// Who does not have a certificate of the authority, or has one under another name, is not let in.
func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t)
	a := start(t, options(t, "a", ours.issue))
	for name, tls := range map[string]func(string) *TLS{
		"another authority": newAuthority(t).issue,
		"another name":      ours.issueAs("somebody"),
	} {
		o := options(t, "b", tls)
		initial, id, err := Add(soon(t), a.Client(), o.Name, o.Listen)
		if err != nil {
			t.Fatal(err)
		}
		o.InitialCluster = initial
		short, cancel := context.WithTimeout(bg, 3*time.Second)
		if s, err := Start(short, o); err == nil {
			t.Errorf("with %s it got in", name)
			s.Close()
		}
		cancel()
		if err := Remove(soon(t), a.Client(), id); err != nil {
			t.Fatal(err)
		}
	}
}

// authority issues certificates for one name, as files.
type authority struct {
	t    testing.TB
	dir  string
	key  ed25519.PrivateKey
	cert *x509.Certificate
}

const commonName = "rebase-node"

func newAuthority(t testing.TB) *authority {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t, t.TempDir(), private, cert}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *authority) issue(name string) *TLS { return a.issueAs(commonName)(name) }

func (a *authority) issueAs(dns string) func(name string) *TLS {
	return func(name string) *TLS {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			a.t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{dns}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
		if err != nil {
			a.t.Fatal(err)
		}
		key, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			a.t.Fatal(err)
		}
		return &TLS{
			CA:          filepath.Join(a.dir, "ca.pem"),
			Certificate: a.write(name+"-"+dns+".pem", "CERTIFICATE", der),
			Key:         a.write(name+"-"+dns+".key", "PRIVATE KEY", key),
			Name:        commonName,
		}
	}
}

// A member that was filled up takes writes again once what fills it was deleted and compacted, without anybody's help.
func TestFull(t *testing.T) {
	t.Parallel()
	var log lines
	o := options(t, "a", nil)
	o.Quota, o.tidyEvery, o.Logger = 24<<20, 50*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
	a := start(t, o)
	value := strings.Repeat("x", 900_000)
	full := false
	for i := 0; i < 60 && !full; i++ {
		_, err := a.Client().Put(soon(t), fmt.Sprint("k", i), value)
		if full = err != nil; full && !is(err, rpctypes.ErrNoSpace) {
			t.Fatal(err)
		}
	}
	if !full {
		t.Fatal("54 MB went into 24")
	}
	d, err := a.Client().Delete(soon(t), "k", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Client().Compact(soon(t), d.Header.Revision); err != nil {
		t.Fatal(err)
	}
	put(t, a, "k", value)
	if !strings.Contains(log.String(), "made smaller") || !strings.Contains(log.String(), "takes writes again") {
		t.Errorf("logged:\n%s", log.String())
	}
}

// Who is to be added while another has no vote yet waits, and leaves nothing in etcd's log, which a member that starts again would take for a member.
func TestAddWaitsForTheOneBefore(t *testing.T) {
	var log lines
	o := options(t, "a", nil)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a := start(t, o)
	if _, _, err := Add(soon(t), a.Client(), "b", "http://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(bg, 500*time.Millisecond)
	defer cancel()
	if _, _, err := Add(ctx, a.Client(), "c", "http://127.0.0.1:2"); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("a second one at the same time: %v", err)
	}
	if s := log.String(); strings.Contains(s, "Validation on configuration change failed") {
		t.Errorf("it was proposed:\n%s", s)
	}
}

// A member that starts before the one it asks has heard that it was added tries again.
func TestJoinWhereNobodyHasHeardOfItYet(t *testing.T) {
	a := start(t, options(t, "a", nil))
	o := options(t, "b", nil)
	o.InitialCluster = fmt.Sprintf("a=%s,b=%s", a.opts.Advertise, o.Listen)
	added := make(chan error, 1)
	go func() {
		time.Sleep(700 * time.Millisecond)
		_, id, err := Add(soon(t), a.Client(), "b", o.Listen)
		if err == nil {
			err = Promote(soon(t), a.Client(), id)
		}
		added <- err
	}()
	b := start(t, o)
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	put(t, b, "k", "v")
}
