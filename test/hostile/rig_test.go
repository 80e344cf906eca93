package hostile

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

const (
	ns       = "hostile"
	mib      = 1 << 20
	patience = time.Minute // for one answer
)

// size is a number of something: the first ordinarily, the second in a soak.
func size(ordinary, soak int) int {
	if os.Getenv("REBASE_HOSTILE") == "soak" {
		return soak
	}
	return ordinary
}

// target is a server under attack, with a client beside that behaves.
type target struct {
	*harness.Server
	t       *testing.T
	before  int64 // RSS before the attack
	control chan struct{}
	ended   sync.WaitGroup

	mu     sync.Mutex
	rounds int
	worst  time.Duration
	peak   int64 // RSS
}

// attacked starts a server and the control client. Its memory may grow by maxGrowth.
func attacked(t *testing.T, maxGrowth int64) *target {
	t.Helper()
	s := harness.MustStart(t, t.TempDir(), "--cache", "16MiB", "--log-level", "error")
	a := &target{Server: s, t: t, control: make(chan struct{})}
	a.before = a.rss()
	c := a.dial()
	a.ended.Go(func() { a.behave(c) })
	a.ended.Go(a.measure)
	t.Cleanup(func() {
		close(a.control)
		a.ended.Wait()
		select {
		case <-s.Exited():
			t.Errorf("the server has ended:\n%s", s.Output())
			return
		default:
		}
		grown := a.peak - a.before
		t.Logf("the control client had %d answers, the slowest after %v; memory %d MiB, at most %d MiB more",
			a.rounds, a.worst.Round(time.Millisecond), a.before/mib, grown/mib)
		if grown > maxGrowth {
			t.Errorf("the server's memory has grown by %d MiB; %d MiB are the bound", grown/mib, maxGrowth/mib)
		}
		if a.rounds < 2 {
			t.Errorf("the control client had only %d answers: nothing was tested", a.rounds)
		}
		if strings.Contains(s.Output(), "panic") {
			t.Errorf("a panic:\n%s", s.Output())
		}
	})
	return a
}

func (a *target) dial() *harness.Conn {
	a.t.Helper()
	return a.dialNS(ns)
}

func (a *target) dialNS(name string) *harness.Conn {
	a.t.Helper()
	c, err := harness.Dial(a.Addr, name, "")
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { c.Close() })
	return c
}

// behave is the control client: it writes, hears of it by its listen before the
// answer, and reads it.
func (a *target) behave(c *harness.Conn) {
	fail := func(format string, args ...any) {
		a.t.Errorf("control client: "+format, args...)
	}
	if m, err := c.Call("q", []byte(`{"p":"/control","h":""}`)); err != nil || m.Status != "ok" {
		fail("listen: %+v, %v", m, err)
		return
	}
	for n := 1; ; n++ {
		select {
		case <-a.control:
			return
		case <-time.After(10 * time.Millisecond):
		}
		begin := time.Now()
		c.SetDeadline(begin.Add(patience))
		r, err := c.Send("p", fmt.Appendf(nil, `{"p":"/control","d":%d}`, n))
		pushed := false
		for err == nil {
			var m harness.Message
			if m, err = c.Next(); err != nil {
				break
			}
			if m.Action == "d" {
				var push struct{ D int }
				if err := json.Unmarshal(m.Data, &push); err != nil || push.D != n {
					fail("pushed %s instead of %d", m.Data, n)
					return
				}
				pushed = true
			}
			if m.Request == r {
				if m.Status != "ok" || !pushed {
					fail("write %d: %+v, pushed %v", n, m, pushed)
					return
				}
				break
			}
		}
		var m harness.Message
		if err == nil {
			m, err = c.Call("g", []byte(`{"p":"/control","q":{}}`))
		}
		if err != nil {
			fail("round %d, after %v: %v", n, time.Since(begin), err)
			return
		}
		if string(m.Data) != strconv.Itoa(n) {
			fail("round %d: read %+v", n, m)
			return
		}
		a.mu.Lock()
		a.rounds++
		a.worst = max(a.worst, time.Since(begin))
		a.mu.Unlock()
	}
}

// measure watches the memory.
func (a *target) measure() {
	for {
		now := a.rss()
		a.mu.Lock()
		a.peak = max(a.peak, now)
		a.mu.Unlock()
		select {
		case <-a.control:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (a *target) rss() int64 {
	n, err := a.RSS()
	if err != nil {
		return 0 // it has ended, which is reported elsewhere
	}
	return n
}

// serves checks that the control client has been served since.
func (a *target) serves() {
	a.t.Helper()
	a.mu.Lock()
	from := a.rounds
	a.mu.Unlock()
	a.until("the control client is served", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.rounds > from+1
	})
}

func (a *target) until(what string, cond func() bool) {
	a.t.Helper()
	for begin := time.Now(); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > patience {
			a.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// metric reads a figure; labels are part of the name.
func (a *target) metric(name string) float64 {
	a.t.Helper()
	text, _, err := a.get("/_rebase/metrics")
	if err != nil {
		a.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			v, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				a.t.Fatal(err)
			}
			return v
		}
	}
	a.t.Fatalf("no metric %s", name)
	return 0
}

var httpClient = &http.Client{Timeout: patience}

func (a *target) get(path string) (body string, status int, err error) {
	res, err := httpClient.Get("http://" + a.Addr + path)
	if err != nil {
		return "", 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return string(text), res.StatusCode, err
}

// call sends a request that is to be answered.
func (a *target) call(c *harness.Conn, action, body string) harness.Message {
	a.t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	m, err := c.Call(action, []byte(body))
	if err != nil {
		a.t.Fatalf("%s %.200s: %v", action, body, err)
	}
	return m
}

// closes reads until the server closes the connection and returns the code, 0 if
// it did so without a word.
func (a *target) closes(c *harness.Conn) int {
	a.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	for {
		_, err := c.Next()
		if closed, ok := err.(*harness.ErrClosed); ok {
			return closed.Code
		}
		if err != nil {
			if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
				a.t.Error("the connection stays open")
			}
			return 0
		}
	}
}
