package rtdb

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// halfFrame opens a WebSocket and sends the first half of a frame of n bytes.
func halfFrame(t *testing.T, host string, n int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	io.WriteString(c, "GET /.ws?v=5&ns=test HTTP/1.1\r\nHost: "+host+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	br := bufio.NewReader(c)
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", res, err)
	}
	head := binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, uint64(n))
	c.Write(append(head, 0, 0, 0, 0))
	c.Write(bytes.Repeat([]byte{'x'}, n/2))
	return c
}

// What has not arrived completely is bounded over all clients: one more is told to try again, and the memory comes free
// with the connections.
func TestUnfinishedMessagesShareABudget(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxUnfinishedBytes = 4 << 20 })
	host := strings.TrimPrefix(r.http.URL, "http://")
	const half = 1 << 20
	var conns []net.Conn
	left := func() int64 { return r.srv.unfinished.Left() }
	for i := range 3 {
		before := left()
		conns = append(conns, halfFrame(t, host, 2*half))
		for deadline := time.Now().Add(10 * time.Second); before-left() < half; {
			if time.Now().After(deadline) {
				t.Fatalf("connection %d: %d bytes are left of the budget", i, left())
			}
			time.Sleep(time.Millisecond)
			if left() < half {
				break
			}
		}
	}
	last := halfFrame(t, host, 8*half)
	last.SetReadDeadline(time.Now().Add(10 * time.Second))
	all, _ := io.ReadAll(last)
	if want := ws.NewCloseFrameBody(1013, ""); !bytes.Contains(all, want) {
		t.Errorf("the connection beyond the budget got %q, want a close frame with code 1013", all)
	}
	for _, c := range conns {
		c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); left() != 4<<20; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes of the budget did not come back", 4<<20-left())
		}
	}
}
