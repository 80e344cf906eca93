package rtdb

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// corked holds back what is written until it is told not to.
type corked struct {
	net.Conn
	cork bool
	held []byte
}

func (c *corked) Write(b []byte) (int, error) {
	if c.cork {
		c.held = append(c.held, b...)
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestLastMessageBeforeTheEndOfTLS: the last bytes and the end of the connection arrive together. (From TLS 1.3 on the library cannot tell.)
func TestLastMessageBeforeTheEndOfTLS(t *testing.T) {
	r := newRig(t)
	srv := httptest.NewTLSServer(http.HandlerFunc(r.route))
	defer srv.Close()
	raw, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	cork := &corked{Conn: raw}
	conn := tls.Client(cork, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	fmt.Fprintf(conn, "GET /.ws?v=5&ns=test HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	in := bufio.NewReader(conn)
	if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	if err := skipFrame(in); err != nil { // hello
		t.Fatal(err)
	}
	cork.cork = true
	text := []byte(`{"t":"d","d":{"r":1,"a":"p","b":{"p":"/a","d":"last"}}}`)
	conn.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(text))))
	conn.CloseWrite()
	raw.SetWriteDeadline(time.Time{}) // as CloseWrite leaves it, nothing can be written
	if _, err := raw.Write(cork.held); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the write is carried out", func() bool { return r.export("a") == `"last"` })
}
