package rtdb

import (
	"io"
	"net"
	"testing"
	"time"
)

func TestDeliveredIsWhatTheOtherKernelAcknowledged(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ws := newWS(nil, server, nil)
	if !ws.delivered() {
		t.Error("nothing was written, and that has not arrived")
	}
	// Nobody reads: the kernels' buffers fill until a write does not end.
	server.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	for err == nil {
		_, err = server.Write(make([]byte, 1<<20))
	}
	if ws.delivered() {
		t.Error("what does not fit into the other end's buffer counts as arrived")
	}
	go io.Copy(io.Discard, client)
	for !ws.delivered() { // the test's own time limit ends it
		time.Sleep(time.Millisecond)
	}
	server.Close()
	if ws.delivered() {
		t.Error("a closed socket has delivered")
	}
}
