package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A request that does not end is cut off when the time for it is up. The server has ended as
// it was told to: that is no failure, and its data are closed in order.
func TestShutdownCutsOffWhatDoesNotEnd(t *testing.T) {
	var out bytes.Buffer
	s := start(t, Options{Logger: testLogger(&out)})
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The answer "100 Continue" says that the body is being waited for.
	io.WriteString(conn, "PUT /x.json?ns=a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("ending failed: %v", err)
	}
	if !strings.Contains(out.String(), `msg="cut off what had not finished in time" what=requests`) {
		t.Errorf("logged: %s", out.String())
	}
}
