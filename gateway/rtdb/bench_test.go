package rtdb

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"rebase/db"
	"rebase/live"
	"rebase/query"
	"rebase/tree"
)

// The clients of these benchmarks live in another process, so that only the server's CPU time and memory are counted. The process is
// this test binary with crowdEnv set.
const crowdEnv = "RTDB_CROWD"

// crowd opens connections that listen to one path and counts the pushes that come. It prints "ready", and "done" when
// all connections have received the given number of pushes.
func crowd(spec string) error {
	f := strings.Fields(spec) // address, connections, pushes for each
	n, _ := strconv.Atoi(f[1])
	want, _ := strconv.Atoi(f[2])
	var ready, done sync.WaitGroup
	ready.Add(n)
	done.Add(n)
	dial := make(chan struct{}, 64)
	conns := make([]net.Conn, n) // one that nobody refers to is closed by the garbage collector
	for i := range n {
		go func() {
			defer done.Done()
			dial <- struct{}{}
			c, err := net.Dial("tcp", f[0])
			if err != nil {
				fmt.Fprintln(os.Stderr, i, err)
				os.Exit(1)
			}
			conns[i] = c
			fmt.Fprintf(c, "GET /.ws?v=5&ns=test HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
			r := bufio.NewReaderSize(c, 2048)
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					fmt.Fprintln(os.Stderr, i, err)
					os.Exit(1)
				}
				if line == "\r\n" {
					break
				}
			}
			frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(`{"t":"d","d":{"r":1,"a":"q","b":{"p":"/bench","h":""}}}`))))
			c.Write(frame)
			for range 2 { // hello and the answer; the location is empty, so there are no data
				if err := skipFrame(r); err != nil {
					fmt.Fprintln(os.Stderr, i, err)
					os.Exit(1)
				}
			}
			ready.Done()
			<-dial
			for range want {
				if err := skipFrame(r); err != nil {
					fmt.Fprintln(os.Stderr, i, err)
					os.Exit(1)
				}
			}
		}()
	}
	ready.Wait()
	fmt.Println("ready")
	if want > 0 {
		done.Wait()
		fmt.Println("done")
	}
	io.Copy(io.Discard, os.Stdin) // until the benchmark ends
	for _, c := range conns {
		c.Close()
	}
	return nil
}

func skipFrame(r *bufio.Reader) error {
	var h [4]byte
	if _, err := io.ReadFull(r, h[:2]); err != nil {
		return err
	}
	n := int(h[1])
	if n == 126 {
		if _, err := io.ReadFull(r, h[2:]); err != nil {
			return err
		}
		n = int(binary.BigEndian.Uint16(h[2:]))
	}
	_, err := r.Discard(n)
	return err
}

// startCrowd starts the clients and returns a function that waits until they have received everything.
func startCrowd(b *testing.B, addr string, n, pushes int) (wait func()) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", crowdEnv, addr, n, pushes))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	await := func(word string) {
		if !lines.Scan() || lines.Text() != word {
			b.Fatalf("the clients said %q instead of %q", lines.Text(), word)
		}
	}
	b.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	await("ready")
	return func() { await("done") }
}

func rss() int {
	text, _ := os.ReadFile("/proc/self/statm")
	f := strings.Fields(string(text))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(f[1])
	return pages * os.Getpagesize()
}

// BenchmarkFanOut writes b.N small values to a path that many clients listen to, as fast as the database takes them ("flood") or at a
// steady rate, and tells the server's CPU time per delivery, the writes themselves included.
func BenchmarkFanOut(b *testing.B) {
	for _, way := range []string{"shared", "textbook"} {
		for _, n := range []int{100, 1000} {
			for _, rate := range []int{0, 500, 5000} {
				name := fmt.Sprintf("%s/listeners=%d/flood", way, n)
				if rate > 0 {
					name = fmt.Sprintf("%s/listeners=%d/rate=%d", way, n, rate)
				}
				b.Run(name, func(b *testing.B) { benchFanOut(b, way, n, rate) })
			}
		}
	}
}

func benchFanOut(b *testing.B, way string, n, rate int) {
	r := newRig(b, func(o *Options) { o.MaxQueuedPushBytes = 1 << 30 })
	addr := strings.TrimPrefix(r.http.URL, "http://")
	if way == "textbook" {
		addr = textbook(b, r)
	}
	wait := startCrowd(b, addr, n, b.N)
	s := r.db.NewSession("test", "", db.Root)
	inFlight := make(chan struct{}, 64)
	var failed atomic.Bool
	before := cpuTime()
	begin := time.Now()
	b.ResetTimer()
	for i := range b.N {
		if rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		}
		inFlight <- struct{}{}
		s.Propose(&db.Op{Kind: db.OpSet, Path: "bench/n", Value: tree.NewInt(int64(i))}, func(r db.Result) {
			if r.Err != nil {
				failed.Store(true)
			}
			<-inFlight
		})
	}
	wait()
	b.StopTimer()
	if failed.Load() {
		b.Fatal("a write failed")
	}
	deliveries := float64(b.N) * float64(n)
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/deliveries/1000, "cpu-µs/delivery")
	b.ReportMetric(deliveries/time.Since(begin).Seconds(), "deliveries/s")
	s.End()
}

// BenchmarkIdle tells the server's memory per idle connection with one listen. Run it with -benchtime 10000x: b.N is the number of
// connections.
func BenchmarkIdle(b *testing.B) {
	for _, way := range []string{"shared", "textbook"} {
		b.Run(way, func(b *testing.B) {
			r := newRig(b)
			addr := strings.TrimPrefix(r.http.URL, "http://")
			if way == "textbook" {
				addr = textbook(b, r)
			}
			debug.FreeOSMemory()
			before := rss()
			startCrowd(b, addr, b.N, 0)
			debug.FreeOSMemory()
			debug.FreeOSMemory()
			b.ReportMetric(float64(rss()-before)/float64(b.N), "rss-B/conn")
			b.ReportMetric(float64(rss()), "rss-B")
			b.ReportMetric(float64(r.srv.Clients()), "clients")
		})
	}
}

// textbook is a server made in the usual way: the handler of a connection stays and reads, a second goroutine takes
// messages from a channel and writes them one by one.
func textbook(b *testing.B, r *rig) (addr string) {
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		conn, rw, _, err := ws.UpgradeHTTP(req, w)
		if err != nil {
			return
		}
		defer conn.Close()
		t := &textbookConn{out: make(chan frame, 256)}
		t.out <- controlFrame("h", helloText(1, "x", "s"))
		go func() {
			for f := range t.out {
				if _, err := conn.Write(f); err != nil {
					return
				}
			}
		}()
		var l *live.Listener
		for {
			h, err := ws.ReadHeader(rw.Reader)
			if err != nil || h.OpCode != ws.OpText {
				break
			}
			text := make([]byte, h.Length)
			if _, err := io.ReadFull(rw.Reader, text); err != nil {
				break
			}
			ws.Cipher(text, h.Mask, 0)
			m, err := parseMessage(text)
			if err != nil || m.action != "q" {
				break
			}
			if l, err = r.hub.Listen("test", "bench", query.Query{}, db.Root, t); err != nil {
				break
			}
			if _, _, _, err = l.Initial(0); err != nil {
				break
			}
			t.out <- answerFrame(m.id, "ok", emptyObj)
			l.Start()
		}
		if l != nil {
			l.Close()
		}
		close(t.out)
	})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go srv.Serve(ln)
	b.Cleanup(func() { srv.Shutdown(context.Background()) })
	return ln.Addr().String()
}

type textbookConn struct{ out chan frame }

func (t *textbookConn) Deliver(ev *live.Event, _ *live.Listener) {
	t.out <- ev.Memo(live.MemoWS, encodeEvent).(*push).frame(nil)
}
