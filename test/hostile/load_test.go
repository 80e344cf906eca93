package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rebase/test/harness"
)

// pipeline sends n requests and returns how many were answered with which status.
func (a *target) pipeline(c *harness.Conn, n int, request func(i int) (action, body string)) map[string]int {
	a.t.Helper()
	go func() {
		for i := range n {
			action, body := request(i)
			if _, err := c.Send(action, []byte(body)); err != nil {
				return
			}
		}
	}()
	got := map[string]int{}
	for answers := 0; answers < n; {
		c.SetReadDeadline(time.Now().Add(patience))
		m, err := c.Next()
		if err != nil {
			a.t.Fatalf("after %d of %d answers: %v", answers, n, err)
		}
		if m.Request != 0 {
			answers++
			got[m.Status]++
		}
	}
	return got
}

func TestHalfOpenSockets(t *testing.T) {
	// What a connection may hold of an unfinished message is bounded, what all may
	// hold together is not: the bound grows with their number.
	each := size(200, 2000)
	a := attacked(t, 500*mib+int64(each)*3*mib/2)
	raise(t, 4*each+200)
	var open []net.Conn
	for _, first := range []string{"", "G", "GET /.ws?v=5 HTTP/1.1\r\nHost: x\r\nUpgr", "PUT /x.json?ns=hostile HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"} {
		for range each / 2 {
			c, err := net.Dial("tcp", a.Addr)
			if err != nil {
				t.Fatal(err)
			}
			c.Write([]byte(first))
			open = append(open, c)
		}
	}
	a.serves()
	for i := range each { // half a frame, half a message
		c := a.dial()
		switch i % 3 {
		case 0:
			c.Write([]byte{0x81})
		case 1:
			frame := harness.AppendFrame(nil, harness.Text, true, make([]byte, 1<<20))
			c.Write(frame[:len(frame)/2])
		case 2:
			c.WriteFrame(harness.Text, []byte("900"))
			c.WriteFrame(harness.Text, bytes.Repeat([]byte("x"), 16<<10))
		}
	}
	a.serves()
	if size(0, 1) == 1 { // those that never finish their head are closed
		for _, c := range open[:each] {
			c.SetReadDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1024)); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("a connection without a request stays open")
			}
		}
	}
	for _, c := range open {
		c.Close()
	}
	a.serves()
}

// A listener that reads nothing while others write costs a bounded queue; when it
// reads again, it ends with what is there.
func TestSlowReader(t *testing.T) {
	a := attacked(t, 900*mib)
	slow := a.dial()
	slow.Conn.(*net.TCPConn).SetReadBuffer(128 << 10) // so that the kernel takes little for it
	if m := a.call(slow, "q", `{"p":"/slow","h":""}`); m.Status != "ok" {
		t.Fatalf("%+v", m)
	}
	const value = 100 << 10
	writes := size(200<<20, 1<<30) / value
	var writers sync.WaitGroup
	const clients = 4
	for w := range clients {
		c := a.dial()
		writers.Go(func() {
			got := a.pipeline(c, writes/clients, func(i int) (string, string) {
				return "p", fmt.Sprintf(`{"p":"/slow/w%d/k%d","d":"%d %s"}`, w, i%4, i, strings.Repeat("x", value))
			})
			if got["ok"] != writes/clients {
				t.Errorf("writer %d: %v", w, got)
			}
		})
	}
	writers.Wait()
	a.serves()
	c := a.dial()
	if m := a.call(c, "p", `{"p":"/slow/end","d":true}`); m.Status != "ok" {
		t.Fatalf("%+v", m)
	}
	// The reader keeps what it is told, as a client does.
	have := map[string]string{}
	slow.SetReadDeadline(time.Now().Add(patience))
	read := 0
	for have["end"] == "" {
		m, err := slow.Next()
		if err != nil {
			t.Fatalf("after %d MiB: %v", read/mib, err)
		}
		read += len(m.Data)
		applyPush(t, have, "slow", m)
	}
	for w := range clients {
		for k := range 4 {
			last := writes/clients - 1
			for last%4 != k {
				last--
			}
			key := fmt.Sprintf("w%d/k%d", w, k)
			if got := have[key]; !strings.HasPrefix(got, fmt.Sprintf(`"%d `, last)) {
				t.Errorf("%s: ends as %.20q instead of %d", key, got, last)
			}
		}
	}
	t.Logf("%d MiB written, %d MiB read by the slow one", writes*value/mib, read/mib)
	if resyncs := a.metric("rebase_resyncs_total"); resyncs == 0 {
		t.Error("the slow reader was never too slow: nothing was tested")
	}
}

func TestThousandsOfConnections(t *testing.T) {
	n := size(2000, 10_000)
	a := attacked(t, int64(n)*64<<10+200*mib)
	raise(t, n+500)
	idle := a.metric(`rebase_connections{transport="ws"}`)
	var peaks [3]int64
	for wave := range peaks {
		conns := make([]*harness.Conn, n)
		var wait sync.WaitGroup
		const dialers = 8
		for d := range dialers {
			wait.Go(func() {
				for i := d; i < n; i += dialers {
					c, err := harness.Dial(a.Addr, ns, "")
					if err != nil {
						t.Error(err)
						return
					}
					conns[i] = c
					c.SetDeadline(time.Now().Add(patience))
					if m, err := c.Call("q", []byte(`{"p":"/all","h":""}`)); err != nil || m.Status != "ok" {
						t.Errorf("%+v, %v", m, err)
						return
					}
				}
			})
		}
		wait.Wait()
		if t.Failed() {
			return
		}
		c := a.dial()
		if m := a.call(c, "p", fmt.Sprintf(`{"p":"/all","d":%d}`, wave+1)); m.Status != "ok" {
			t.Fatalf("%+v", m)
		}
		for i, c := range conns { // everyone hears of it
			m, err := c.Next()
			if err != nil || m.Action != "d" || !bytes.Contains(m.Data, fmt.Appendf(nil, `%d`, wave+1)) {
				t.Fatalf("connection %d: %+v, %v", i, m, err)
			}
		}
		c.Close()
		peaks[wave] = a.rss()
		for _, c := range conns {
			c.Close()
		}
		a.until("all connections are gone", func() bool { return a.metric(`rebase_connections{transport="ws"}`) <= idle })
	}
	// The server forgets a connection wholly when its next check would have been due.
	if heap := "go_memstats_heap_alloc_bytes"; size(0, 1) == 1 {
		before := a.metric(heap)
		time.Sleep(100 * time.Second)
		t.Logf("heap after the last wave %.0f MiB, later %.0f MiB", before/mib, a.metric(heap)/mib)
	}
	t.Logf("%d connections three times: %d, %d, %d MiB in all", n, peaks[0]/mib, peaks[1]/mib, peaks[2]/mib)
	if peaks[2] > peaks[0]+peaks[0]/4+50*mib {
		t.Error("memory does not come back")
	}
	if left := a.metric("rebase_live_listeners"); left > 1 {
		t.Errorf("%v listeners are left", left)
	}
}

// raise allows this process so many files.
func raise(t *testing.T, n int) {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	if l.Cur >= uint64(n) {
		return
	}
	l.Cur, l.Max = uint64(n), max(l.Max, uint64(n))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Skipf("needs %d open files: %v", n, err)
	}
}

// Clients that ask and never read the answers are not read either, after a while.
func TestFloodsWithoutReading(t *testing.T) {
	stuck := make([]bool, size(20, 200))
	a := attacked(t, 600*mib+int64(len(stuck))*3*mib)
	c := a.dial()
	if m := a.call(c, "p", `{"p":"/flood","d":"`+strings.Repeat("x", 200<<10)+`"}`); m.Status != "ok" {
		t.Fatalf("%+v", m)
	}
	requests := []string{
		`"a":"g","b":{"p":"/flood","q":{}}`,
		`"a":"q","b":{"p":"/flood","h":""}`,
		`"a":"p","b":{"p":"/flood2","d":{".sv":"timestamp"}}`,
		`"a":"s","b":{}`,
		`"a":"nonsense"`,
	}
	var floods sync.WaitGroup
	for i := range stuck {
		c := a.dial()
		c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		frame := harness.AppendFrame(nil, harness.Text, true, []byte(`{"t":"d","d":{"r":1,`+requests[i%len(requests)]+`}}`))
		batch := bytes.Repeat(frame, 100)
		floods.Go(func() {
			for range (64 << 20) / len(batch) {
				c.SetWriteDeadline(time.Now().Add(2 * time.Second))
				if _, err := c.Write(batch); err != nil {
					stuck[i] = errors.Is(err, os.ErrDeadlineExceeded)
					return
				}
			}
		})
	}
	floods.Wait()
	held := 0
	for _, s := range stuck {
		if s {
			held++
		}
	}
	t.Logf("%d of %d floods were held up", held, len(stuck))
	if held < len(stuck)*2/5 {
		t.Error("floods of reads are taken without end")
	}
	a.serves()
}

func TestThousandsOfListens(t *testing.T) {
	a := attacked(t, 500*mib)
	c := a.dial()
	n := size(5000, 50_000)
	if got := a.pipeline(c, n, func(i int) (string, string) {
		return "q", fmt.Sprintf(`{"p":"/many/l%d","h":""}`, i)
	}); got["ok"] != n {
		t.Fatalf("%v", got)
	}
	if live := a.metric("rebase_live_listeners"); live < float64(n) {
		t.Errorf("%v listeners", live)
	}
	if m := a.call(c, "p", fmt.Sprintf(`{"p":"/many/l%d","d":1}`, n-1)); m.Status != "ok" {
		t.Errorf("%+v", m)
	}
	a.serves()
	if got := a.pipeline(c, n, func(i int) (string, string) {
		return "n", fmt.Sprintf(`{"p":"/many/l%d"}`, i)
	}); got["ok"] != n {
		t.Fatalf("%v", got)
	}
	a.until("all listens have ended", func() bool { return a.metric("rebase_live_listeners") <= 1 })
	a.serves()
}

func TestThousandsOfQueries(t *testing.T) {
	a := attacked(t, 700*mib)
	c := a.dial()
	var list []string
	for i := range 300 {
		list = append(list, fmt.Sprintf(`"c%03d":{"n":%d}`, i, i))
	}
	if m := a.call(c, "p", `{"p":"/list","d":{`+strings.Join(list, ",")+`}}`); m.Status != "ok" {
		t.Fatalf("%+v", m)
	}
	n := size(2000, 20_000)
	order := []string{".key", ".value", ".priority", "n"}
	if got := a.pipeline(c, n, func(i int) (string, string) {
		return "q", fmt.Sprintf(`{"p":"/list","q":{"i":%q,"l":%d,"vf":"%s","sp":%q},"t":%d,"h":""}`,
			order[i%4], 1+i%17, []string{"l", "r"}[i/4%2], fmt.Sprintf("c%03d%d", i%250, i), i+1)
	}); got["ok"] != n {
		t.Fatalf("%v", got)
	}
	w := a.dial()
	for i := range 20 {
		if m := a.call(w, "p", fmt.Sprintf(`{"p":"/list/c%03d0","d":{"n":"%d"}}`, 200+i, i)); m.Status != "ok" {
			t.Fatalf("%+v", m)
		}
	}
	a.serves()
	c.Close()
	a.until("all views are gone", func() bool { return a.metric("rebase_live_views") == 0 })
	a.serves()
}

func TestHugeDisconnectQueues(t *testing.T) {
	a := attacked(t, 1200*mib) // each operation writes the whole queue again, and the store holds several tables of that
	c := a.dial()
	n := size(3000, 10_001)
	got := a.pipeline(c, n, func(i int) (string, string) {
		return "o", fmt.Sprintf(`{"p":"/gone/k%d","d":1}`, i)
	})
	if want := min(n, 10_000); got["ok"] != want {
		t.Errorf("%v, want %d", got, want)
	}
	a.serves()
	c.Close()
	last := min(n, 10_000) - 1
	a.until("the queue has run", func() bool {
		text, _, err := a.get(fmt.Sprintf("/gone/k%d.json?ns=%s", last, ns))
		return err == nil && strings.TrimSpace(text) == "1"
	})
	// Large values: what one client can have queued must have a bound.
	c = a.dial()
	value := strings.Repeat("x", 1<<20)
	m := size(100, 2000)
	got = a.pipeline(c, m, func(i int) (string, string) {
		return "o", fmt.Sprintf(`{"p":"/gone/big%d","d":%q}`, i, value)
	})
	t.Logf("%d values of 1 MiB: %v", m, got)
	if got["ok"] == m {
		t.Errorf("all %d values of 1 MiB were queued: there is no bound", m)
	}
	a.serves()
}

func TestAbandonedLongPolling(t *testing.T) {
	a := attacked(t, 500*mib)
	n := size(2000, 10_000)
	for i := range n {
		text, status, err := a.get(fmt.Sprintf("/.lp?start=t&ser=%d&cb=%d&v=5&ns=%s", i, i, ns))
		if err != nil || status != 200 || !strings.Contains(text, "pLPCommand('start'") {
			t.Fatalf("session %d: %d %v %.200s", i, status, err, text)
		}
	}
	if open := a.metric(`rebase_connections{transport="lp"}`); open < 1 {
		t.Errorf("%v sessions", open)
	}
	a.serves()
	if size(0, 1) == 1 {
		for begin := time.Now(); a.metric(`rebase_connections{transport="lp"}`) > 0; time.Sleep(time.Second) {
			if time.Since(begin) > 3*time.Minute {
				t.Fatal("abandoned sessions never end")
			}
		}
	}
}

func TestLongPollingGarbage(t *testing.T) {
	a := attacked(t, 400*mib)
	start := func() (id, pw string) {
		text, _, err := a.get("/.lp?start=t&ser=1&cb=1&v=5&ns=" + ns)
		_, args, ok := strings.Cut(text, "pLPCommand('start',")
		args, _, _ = strings.Cut(args, ")")
		parts := strings.Split(args, ",")
		if err != nil || !ok || len(parts) != 2 {
			t.Fatalf("%v: %.300s", err, text)
		}
		return strings.Trim(parts[0], `"'`), strings.Trim(parts[1], `"'`)
	}
	for _, q := range []string{
		"", "start=t", "start=t&ns=", "start=t&cb=1&ns=../x", "start=t&cb=alert(1)&ns=x", "start=t&cb=1&ns=" + strings.Repeat("n", 300),
		"start=x", "id=1&pw=2", "id=&pw=", "dframe=t", "disconn=t", "dframe=t&id=<script>&pw=x", "&&&===", "%zz=%", "start=t&start=t&cb=&ns=x",
		"start=t&cb=1&ns=x&ls=" + strings.Repeat("0", 4000), "id=a&id=b&pw",
	} {
		text, status, err := a.get("/.lp?" + strings.ReplaceAll(strings.ReplaceAll(q, "<", "%3C"), ">", "%3E"))
		if err != nil || status >= 500 {
			t.Errorf("%q: %d %v", q, status, err)
		}
		if strings.Contains(text, "<script>") && strings.Contains(q, "script") || strings.Contains(text, "alert(") {
			t.Errorf("%q comes back as a script: %.200s", q, text)
		}
	}
	for _, q := range []string{
		"seg0=0&ts0=1&d0=!!!!", "seg0=x&ts0=1&d0=", "seg0=0&ts0=0&d0=", "seg0=-1&ts0=1&d0=AAAA", "seg0=99999999999999999999&ts0=1", "seg0=5000&ts0=1&d0=AAAA",
		"seg0=0&ts0=1&d0=AAAA", "seg0=0&ts0=999999999&d0=AAAA", "seg0=0", "seg0=0&ts0=1&d0=e30.", "seg0=0&ts0=1&d0=" + strings.Repeat("A", 60000),
		"seg0=0&ts0=1&d0=eyJ0IjoiZCIsImQiOnsiciI6MSwiYSI6InoifX0.",
	} {
		id, pw := start()
		done := make(chan struct{})
		go func() { // a poll is held until there is an answer
			defer close(done)
			_, status, err := a.get(fmt.Sprintf("/.lp?id=%s&pw=%s&ser=2&ns=%s&%s", id, pw, ns, q))
			if err != nil || status >= 500 {
				t.Errorf("%q: %d %v", q, status, err)
			}
		}()
		time.Sleep(5 * time.Millisecond)
		if _, status, err := a.get(fmt.Sprintf("/.lp?disconn=t&id=%s&pw=%s", id, pw)); err != nil || status >= 500 {
			t.Errorf("goodbye: %d %v", status, err)
		}
		select {
		case <-done:
		case <-time.After(patience):
			t.Errorf("%q: the poll is held for ever", q)
		}
	}
	a.serves()
	a.until("all sessions have ended", func() bool { return a.metric(`rebase_connections{transport="lp"}`) <= 1 })
}
