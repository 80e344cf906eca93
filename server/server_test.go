package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a server and shuts it down with the test, if that has not done so.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	s, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// client is an HTTP client that leaves no connection behind.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func want(t *testing.T, method, url, body string, status int, answer string) {
	t.Helper()
	if code, text := call(t, method, url, body); code != status || text != answer {
		t.Fatalf("%s %s: %d %s, want %d %s", method, url, code, text, status, answer)
	}
}

func TestDataOutlivesTheServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "if", "missing")
	s := start(t, Options{Data: dir})
	want(t, "PUT", s.URL()+"/a/b.json", `{"c":1}`, 200, `{"c":1}`)
	stop(t, s)
	if _, err := http.Get(s.URL() + "/a.json"); err == nil {
		t.Error("a server that has ended answers")
	}

	var log bytes.Buffer
	s = start(t, Options{Data: dir, Logger: testLogger(&log)})
	want(t, "GET", s.URL()+"/a.json", "", 200, `{"b":{"c":1}}`)
	stop(t, s)
	if strings.Contains(log.String(), "replayed") {
		t.Errorf("an orderly end left something to replay:\n%s", &log)
	}
}

// What was acknowledged survives a power cut; a whole server, on a file system
// that forgets what was not synced.
func TestPowerCut(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := start(t, Options{Data: "data", FS: fs})
	for i := range 50 {
		url := fmt.Sprintf("%s/k%d.json?print=silent", s.URL(), i)
		want(t, "PUT", url, fmt.Sprint(i), 204, "")
	}
	after := fs.CrashClone(vfs.CrashCloneCfg{})
	stop(t, s)

	s = start(t, Options{Data: "data", FS: after})
	for i := range 50 {
		want(t, "GET", fmt.Sprintf("%s/k%d.json", s.URL(), i), "", 200, fmt.Sprint(i))
	}
}

func TestRoutes(t *testing.T) {
	s := start(t, Options{Demo: true, Version: "9.9"})
	for _, c := range []struct {
		method, path, body string
		status             int
		contains           string
	}{
		{"GET", "/_rebase/health", "", 200, `"ok"`},
		{"GET", "/_rebase/ready", "", 200, `"ready"`},
		{"GET", "/_rebase/version", "", 200, `"9.9"`},
		{"GET", "/_rebase/metrics", "", 200, "rebase_db_position"},
		{"GET", "/_rebase/demo/", "", 200, "<!doctype html>"},
		{"GET", "/_rebase/demo", "", 301, ""},
		{"GET", "/_rebase/nothing", "", 404, ""},
		// A database may have nodes of any name, and paths are not cleaned.
		{"PUT", "/_rebase/health.json", "1", 200, "1"},
		{"GET", "/_rebase.json", "", 200, `{"health":1}`},
		{"PUT", "//x//y.json", "2", 200, "2"},
		{"GET", "/x/y.json", "", 200, "2"},
		{"GET", "/.ws", "", http.StatusUpgradeRequired, ""},
		{"GET", "/nothing", "", 400, ""},
	} {
		code, text := call(t, c.method, s.URL()+c.path, c.body)
		if code != c.status || !strings.Contains(text, c.contains) {
			t.Errorf("%s %s: %d %.200s, want %d with %q", c.method, c.path, code, text, c.status, c.contains)
		}
	}
	stop(t, s)

	s = start(t, Options{})
	if code, _ := call(t, "GET", s.URL()+"/_rebase/demo/", ""); code != 404 {
		t.Errorf("the demo page is served though nobody asked for it: %d", code)
	}
}

// What operators are told to watch is there.
func TestMetrics(t *testing.T) {
	s := start(t, Options{})
	want(t, "PUT", s.URL()+"/a.json", "1", 200, "1")
	_, text := call(t, "GET", s.URL()+"/_rebase/metrics", "")
	for _, name := range []string{
		`rebase_connections{transport="ws"} 0`, "rebase_messages_received_total 0", "rebase_messages_sent_total 0",
		"rebase_db_proposals_total 1", "rebase_db_replays_suppressed_total 0", "rebase_log_group_entries_count",
		"rebase_log_sync_seconds_bucket", "rebase_apply_seconds_count", "rebase_log_disk_bytes", "rebase_store_disk_bytes",
		"rebase_live_listeners 0", "rebase_live_views 0", "rebase_resyncs_total 0", "rebase_rest_streams 0",
		`rebase_rest_requests_total{method="PUT",status="200"} 1`, "go_goroutines", `rebase_info{version=`,
	} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no metric %s", name)
		}
	}
}

// dial opens a WebSocket as an SDK does and returns it behind the hello.
func dial(t *testing.T, s *Server) *websocket.Conn {
	t.Helper()
	url := "ws" + strings.TrimPrefix(s.URL(), "http") + "/.ws?v=5&ns=default"
	c, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: client(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	expect(t, c, `"t":"h"`)
	return c
}

func expect(t *testing.T, c *websocket.Conn, part string) {
	t.Helper()
	_, text, err := c.Read(t.Context())
	if err != nil || !strings.Contains(string(text), part) {
		t.Fatalf("%s, %v; want %s", text, err, part)
	}
}

func send(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// A shutdown disconnects clients, and what they have left to be done then is done.
func TestShutdownRunsOnDisconnect(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Data: dir})
	c := dial(t, s)
	send(t, c, `{"t":"d","d":{"r":1,"a":"o","b":{"p":"/gone","d":"yes"}}}`)
	expect(t, c, `"s":"ok"`)
	stop(t, s)
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("the connection is still open")
	}
	s = start(t, Options{Data: dir})
	want(t, "GET", s.URL()+"/gone.json", "", 200, `"yes"`)
}

// A stream would never end by itself.
func TestShutdownEndsStreams(t *testing.T) {
	s := start(t, Options{})
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/a.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	if line, err := r.ReadString('\n'); err != nil || line != "event: put\n" {
		t.Fatalf("%q, %v", line, err)
	}
	stop(t, s)
	if _, err := io.ReadAll(r); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream ended with %v", err)
	}
	stop(t, s) // again: the same
}

// A disk that fails makes the server fail, which readiness and Done tell.
func TestFailingDisk(t *testing.T) {
	var broken atomic.Bool
	failing := errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileWrite, errorfs.OpFileWriteAt:
			if broken.Load() {
				return errorfs.ErrInjected
			}
		}
		return nil
	})
	s := start(t, Options{Data: "data", FS: errorfs.Wrap(vfs.NewMem(), failing)})
	want(t, "PUT", s.URL()+"/a.json", "1", 200, "1")
	broken.Store(true)
	if code, text := call(t, "PUT", s.URL()+"/a.json", "2"); code < 500 {
		t.Errorf("a write to a failing disk: %d %s", code, text)
	}
	<-s.Done()
	if s.Err() == nil {
		t.Error("no error of a failed server")
	}
	if code, _ := call(t, "GET", s.URL()+"/_rebase/ready", ""); code != 503 {
		t.Errorf("ready: %d, want 503", code)
	}
	if code, _ := call(t, "GET", s.URL()+"/_rebase/health", ""); code != 200 {
		t.Errorf("health: %d, want 200", code)
	}
	broken.Store(false)
	s.Shutdown(context.Background()) // whose error is the disk's
}

// The log's files stay bounded under a load of writes.
func TestLogIsTrimmed(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Data: dir, SegmentBytes: 64 << 10, LogRetain: 128 << 10, CheckpointEvery: 5 * time.Millisecond})
	value := `"` + strings.Repeat("x", 16<<10) + `"`
	for i := range 100 {
		if code, text := call(t, "PUT", fmt.Sprintf("%s/k%d.json?print=silent", s.URL(), i%3), value); code != 204 {
			t.Fatal(code, text)
		}
	}
	written := s.metrics.appended.Load()
	if written < 100*16<<10 {
		t.Fatalf("only %d bytes were counted", written)
	}
	first := func() uint64 {
		_, err := s.data.log.Read(t.Context(), 1, 2, 1)
		if err == nil {
			return 1
		}
		var begins uint64
		fmt.Sscanf(err.Error(), "vlog: trimmed: the log begins at position %d", &begins)
		return begins
	}
	for first() < 50 {
		time.Sleep(5 * time.Millisecond) // the checkpoint comes in its own time; the test's time limit is the bound
	}
	stop(t, s)
	s = start(t, Options{Data: dir})
	want(t, "GET", s.URL()+"/k1.json?shallow=true", "", 200, value)
}

func TestStartErrors(t *testing.T) {
	taken := start(t, Options{})
	address := strings.TrimPrefix(taken.URL(), "http://")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	s := start(t, Options{Data: damaged})
	stop(t, s)
	if err := os.WriteFile(filepath.Join(damaged, "CHAIN"), []byte("not a chain, by any means"), 0o666); err != nil {
		t.Fatal(err)
	}
	lost := t.TempDir()
	s = start(t, Options{Data: lost})
	stop(t, s)
	if err := os.RemoveAll(filepath.Join(lost, "log")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    Options
		kind Kind
	}{
		"address in use":    {Options{Data: t.TempDir(), Listen: address}, KindAddress},
		"no port":           {Options{Data: t.TempDir(), Listen: "127.0.0.1", Access: AccessOpen}, KindAddress},
		"open to all":       {Options{Data: t.TempDir(), Listen: "0.0.0.0:0", Access: AccessOpen}, KindOpen},
		"data is a file":    {Options{Data: file}, KindData},
		"no data":           {Options{}, KindData},
		"damaged chain":     {Options{Data: damaged}, KindCorrupt},
		"log is missing":    {Options{Data: lost}, KindCorrupt},
		"certificate alone": {Options{Data: t.TempDir(), TLSCert: file}, KindTLS},
		"not a certificate": {Options{Data: t.TempDir(), TLSCert: file, TLSKey: file}, KindTLS},
	} {
		s, err := Start(context.Background(), c.o)
		if err == nil {
			t.Errorf("%s: started", name)
			stop(t, s)
			continue
		}
		var e *StartError
		if !errors.As(err, &e) || e.Kind != c.kind {
			t.Errorf("%s: %v is not of kind %d", name, err, c.kind)
		} else if e.Advice == "" && c.o.Data != "" {
			t.Errorf("%s: %v gives no advice", name, err)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:9000": true, "127.8.8.8:1": true, "localhost:0": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		":9000": false, "0.0.0.0:9000": false, "[::]:9000": false, "10.0.0.1:9000": false, "example.com:80": false,
		"localhost.example.com:80": false, "127.0.0.1": false, "": false,
	} {
		if got := loopback(address); got != want {
			t.Errorf("loopback(%q) = %t", address, got)
		}
	}
}
