package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestSlowBodiesEnd: a client that does not send what it has announced is cut off; one that sends steadily is not, and neither is one whose
// answer takes long.
func TestSlowBodiesEnd(t *testing.T) {
	const grace = 200 * time.Millisecond
	results := make(chan error, 1)
	srv := httptest.NewServer(hurryBodies(grace, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if err == nil {
			select {
			case <-time.After(3 * grace):
			case <-r.Context().Done():
				err = r.Context().Err()
			}
		}
		results <- err
	})))
	defer srv.Close()
	dial := func(length int) net.Conn {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", length)
		return c
	}
	slow := dial(1000)
	fmt.Fprint(slow, "x")
	if err := <-results; err == nil {
		t.Error("a body that stalls is waited for")
	}
	// 8 KiB are two seconds' worth, whenever they come within them.
	steady := dial(8 << 10)
	for range 8 {
		time.Sleep(grace / 3)
		fmt.Fprint(steady, strings.Repeat("x", 1<<10))
	}
	if err := <-results; err != nil {
		t.Errorf("a steady body, and an answer that takes long: %v", err)
	}
	if res, err := http.ReadResponse(bufio.NewReader(steady), nil); err != nil || res.StatusCode != 200 {
		t.Errorf("%v %v", res, err)
	}
}
