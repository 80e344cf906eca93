package cluster

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rebase/cluster/secret"
)

// port starts a peer port that tells what has arrived at it.
func port(t *testing.T, id *secret.Identity) (p *peerPort, refused *atomic.Int64, native chan string) {
	t.Helper()
	refused, native = new(atomic.Int64), make(chan string, 10)
	p, err := listenPeers("127.0.0.1:0", id, slog.New(slog.DiscardHandler), refused)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.close() })
	mux := http.NewServeMux()
	mux.Handle("GET /hello", answer(func(_ context.Context, _ struct{}) (any, error) { return "hello", nil }))
	p.serve(func(c net.Conn) {
		defer c.Close()
		b := make([]byte, 9)
		_, err := io.ReadFull(c, b)
		native <- fmt.Sprint(string(b), err)
	}, guard(id != nil, mux))
	return p, refused, native
}

func TestPeerPortSorts(t *testing.T) {
	keys, err := secret.Parse(secret.New())
	if err != nil {
		t.Fatal(err)
	}
	id, err := keys.Identity("0a", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]*secret.Identity{"plaintext": nil, "TLS": id} {
		t.Run(name, func(t *testing.T) {
			p, refused, native := port(t, id)
			addr := p.listener.Addr().String()
			dial := func() net.Conn {
				c, err := dialPeer(t.Context(), addr, id)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				c.SetDeadline(time.Now().Add(20 * time.Second))
				return c
			}
			c := dial()
			for _, part := range []string{"RB", "L1 and m", "ore"} { // however it is cut up
				fmt.Fprint(c, part)
				time.Sleep(time.Millisecond)
			}
			if got := <-native; got != "RBL1 and <nil>" {
				t.Errorf("the native node got %q", got)
			}

			c = dial()
			fmt.Fprintf(c, "GET /hello HTTP/1.1\r\nHost: %s\r\nRebase-Cluster: 1\r\n\r\n", addr)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != 200 {
				t.Fatal(res, err)
			}

			// One that ends without a word.
			c = dial()
			fmt.Fprint(c, "RB")
			c.Close()
			for end := time.Now().Add(20 * time.Second); refused.Load() == 0 && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			if refused.Load() != 1 {
				t.Errorf("%d refused", refused.Load())
			}

			// With the port end the connections on it.
			c = dial()
			fmt.Fprint(c, "GET")
			if err := p.close(); err != nil {
				t.Error(err)
			}
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Error("the connection is still there")
			}
		})
	}
}

// Who speaks plain HTTP to a port with TLS is told what is missing.
func TestPlaintextIsToldWhatIsMissing(t *testing.T) {
	keys, _ := secret.Parse(secret.New())
	id, err := keys.Identity("0a", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, _, native := port(t, id)
	for _, text := range []string{"POST /cluster/join HTTP/1.1\r\n\r\n", "RBL1 hello there\r\n"} {
		c, err := net.Dial("tcp", p.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, text)
		b, _ := io.ReadAll(c)
		c.Close()
		if !bytes.Contains(b, []byte("--cluster-secret-file")) {
			t.Errorf("%q is answered with %q", text, b)
		}
	}
	if len(native) > 0 {
		t.Error("plaintext got through")
	}
}

// A browser on this machine that is shown a hostile page must not be of use to it.
func TestWebPagesAreKeptOut(t *testing.T) {
	p, _, _ := port(t, nil)
	addr := p.listener.Addr().String()
	_, number, _ := net.SplitHostPort(addr)
	tests := []struct {
		name, host string
		header     string
		want       int
	}{
		{"a node", addr, "Rebase-Cluster: 1", 200},
		{"a node by name", "localhost:" + number, "Rebase-Cluster: 1", 200},
		{"a node on IPv6", "[::1]:" + number, "Rebase-Cluster: 1", 200},
		{"a form or an image", addr, "Accept: */*", 403},
		{"a script with an origin", addr, "Rebase-Cluster: 1\r\nOrigin: http://evil.example", 403},
		{"a page of a name that leads here", "evil.example:" + number, "Rebase-Cluster: 1", 403},
	}
	for _, test := range tests {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /hello HTTP/1.1\r\nHost: %s\r\n%s\r\nConnection: close\r\n\r\n", test.host, test.header)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		c.Close()
		if err != nil || res.StatusCode != test.want || res.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v %v", test.name, res, err)
		}
	}
}

func TestRequestsAreBounded(t *testing.T) {
	h := answer(func(_ context.Context, q joinRequest) (any, error) { return q.Replace, nil })
	for body, want := range map[string]int{
		`{"replace":"x"}`: 200, `{`: 400, `{"record":{"id":"1"}}`: 400,
		`{"replace":"` + strings.Repeat("x", maxAPIBody) + `"}`: 400,
	} {
		r, _ := http.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		w := &recorder{header: http.Header{}}
		h.ServeHTTP(w, r)
		if w.status != want {
			t.Errorf("%.20s: %d %s", body, w.status, w.body.String())
		}
	}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(s int)           { r.status = s }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
