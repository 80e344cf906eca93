package rtdb

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rebase/tree"
)

// mirror is what a client knows by the pushes for its listens without a tag.
type mirror struct{ root *tree.Node }

type pushed struct {
	T string
	D struct {
		A string
		R *int
		B struct {
			P string
			D json.RawMessage
			T *int
			S string
		}
	}
}

func (m *mirror) apply(t testing.TB, text string) pushed {
	t.Helper()
	var p pushed
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	if p.T != "d" || p.D.R != nil || p.D.B.T != nil {
		return p
	}
	set := func(path string, data []byte) {
		at, priority, err := tree.ParseWritePath(path)
		if err != nil {
			t.Fatal(err)
		}
		v, err := tree.ParseJSON(data)
		if err != nil {
			t.Fatal(err)
		}
		if priority {
			m.root = m.root.SetPriority(at, v)
		} else {
			m.root = m.root.Set(at, v)
		}
	}
	switch p.D.A {
	case "d":
		set(p.D.B.P, p.D.B.D)
	case "m":
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(p.D.B.D, &parts); err != nil {
			t.Fatal(err)
		}
		for rel, data := range parts {
			set(p.D.B.P+"/"+rel, data)
		}
	}
	return p
}

// TestSlowClientIsResynchronised: a client that does not read misses changes, but its answers still come after what they confirm, and it
// ends with the present data, in all its listens.
func TestSlowClientIsResynchronised(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxQueuedPushBytes = 256 << 10 })
	p := r.dial()
	p.listen("/v")
	n := p.request("q", `{"p":"/v","h":"-","q":{"i":".key","l":1,"vf":"r"},"t":5}`)
	p.expect(`{"t":"d","d":{"a":"d","b":{"p":"v","d":null,"t":5}}}`, answerText(n, "ok", "{}"))

	other := r.dial()
	other.listen("/w") // must not be held up

	filler := strings.Repeat("x", 100_000)
	write := func(from, to int) {
		for i := from; i < to; i++ {
			r.set(tree.Path(fmt.Sprintf("v/k%d", i%7)), fmt.Sprintf(`{"i":%d,"filler":%q}`, i, filler))
		}
	}
	write(0, 150)
	mine := p.request("p", `{"p":"/v/a_mine","d":"mine"}`)
	waitFor(t, "the write is carried out", func() bool { return r.export("v/a_mine") != "null" })
	write(150, 300)
	r.set("w", `1`)
	other.expect(data("w", "1"))
	if r.count.resyncs.Load() == 0 {
		t.Fatal("nothing was dropped: the test is too weak for this machine's socket buffers")
	}

	var m mirror
	pushes, tagged := 0, ""
	answered := false
	r.set("v/last", `true`)
	for !answered || m.root.At("v/last") == nil || !strings.Contains(tagged, "last") {
		text := p.read()
		switch q := m.apply(t, text); {
		case q.D.R != nil:
			if *q.D.R != mine || q.D.B.S != "ok" {
				t.Fatalf("unexpected answer %s", text)
			}
			answered = true
			if m.root.At("v/a_mine").Str() != "mine" {
				t.Fatal("the answer came before the data")
			}
		case q.D.B.T != nil:
			tagged = text
		default:
			pushes++
		}
	}
	if pushes >= 300 {
		t.Fatal("nothing was left out")
	}
	if got, want := string(tree.AppendExport(nil, m.root.At("v"))), r.export("v"); got != want {
		t.Fatal("the client's data differ from the server's")
	}
	// From here on changes flow as before.
	r.set("v/last", `false`)
	p.expect(data("v/last", "false"), `{"t":"d","d":{"a":"d","b":{"p":"v/last","d":false,"t":5}}}`)
}

// TestARevocationDoesNotWaitForASlowClient: one that takes its data as slowly as it likes cannot put off the end of its credential.
func TestARevocationDoesNotWaitForASlowClient(t *testing.T) {
	r := newRig(t, closed, func(o *Options) { o.MaxQueuedPushBytes = 64 << 10 })
	r.rules(ownRules)
	p := r.dial()
	p.wantStatus("ok", "auth", `{"cred":"ann@"}`)
	for tag := range 8 {
		p.wantStatus("ok", "q", fmt.Sprintf(`{"p":"/own/ann","q":{"i":".key","l":%d,"vf":"r"},"t":%d,"h":""}`, tag+10, tag))
	}
	filler := strings.Repeat("x", 1<<20)
	for i := range 8 {
		r.set(tree.Path(fmt.Sprintf("own/ann/k%d", i)), fmt.Sprintf("%q", filler))
	}
	r.srv.mu.Lock()
	var c *client
	for _, c = range r.srv.clients {
	}
	r.srv.mu.Unlock()
	waiting := func() bool {
		for range 20 {
			if c.work.TryLock() {
				c.work.Unlock()
				return false
			}
			time.Sleep(5 * time.Millisecond)
		}
		return true
	}
	for !waiting() { // the resynchronisation begins when what was queued before has been taken
		p.read()
	}
	r.srv.Revoke("p", "ann", issued.Add(time.Second))
	waitFor(t, "the client is nobody, or gone", func() bool {
		c.mu.Lock()
		ended := c.ended
		c.mu.Unlock()
		c.access.mu.Lock()
		defer c.access.mu.Unlock()
		return ended || c.access.identity.UID == ""
	})
}

// TestOutbox drives the queue at random against a model of a client: whatever is dropped, no answer precedes the state it
// confirms, and in the end the client has the last state.
func TestOutbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o outbox
		o.epoch = 1
		epoch := uint32(1) // of the only listen
		state := 0         // the database
		var seq uint64
		seen, answered := -1, 0 // what the client has got
		if rapid.Bool().Draw(t, "initial") {
			epoch = o.bulk(frame("0"))
		}
		take := func(limit int) {
			for _, it := range o.take(nil, limit) {
				var kind byte = '='
				n := 0
				fmt.Sscanf(string(it.f), "%c%d", &kind, &n)
				if kind == 'a' {
					if n > seen {
						t.Fatalf("the answer to %d came while the client had %d", n, seen)
					}
					if n != answered+1 {
						t.Fatalf("the answer to %d came after the one to %d", n, answered)
					}
					answered = n
				} else if n < seen {
					t.Fatalf("the client went back from %d to %d", seen, n)
				} else {
					seen = n
				}
			}
			if o.taken < uint64(answered) {
				t.Fatal("taken lags")
			}
		}
		write := func() {
			state++
			o.push(frame(fmt.Sprintf("p%d", state)), epoch, 12)
			seq++
			o.answer(frame(fmt.Sprintf("a%d", state)), seq)
		}
		resync := func() {
			if !o.needsResync() {
				return
			}
			o.beginResync()
			at := state
			for range rapid.IntRange(0, 2).Draw(t, "writes while reading") {
				state++ // the hub keeps the pushes
				seq++
				o.answer(frame(fmt.Sprintf("a%d", state)), seq)
			}
			epoch = o.bulk(frame(fmt.Sprintf("f%d", at)))
			if rapid.Bool().Draw(t, "taken between") {
				take(1)
			}
			o.resynced()
			for n := at + 1; n <= state; n++ {
				o.push(frame(fmt.Sprintf("p%d", n)), epoch, 12)
			}
			o.caughtUp()
		}
		t.Repeat(map[string]func(*rapid.T){
			"write":  func(*rapid.T) { write() },
			"take":   func(t *rapid.T) { take(rapid.IntRange(1, 10).Draw(t, "limit")) },
			"resync": func(*rapid.T) { resync() },
		})
		for range 1000 {
			take(1 << 20)
			if !o.needsResync() {
				break
			}
			resync()
		}
		if state > 0 && (seen != state || answered != state) {
			t.Fatalf("the client ended with %d, answers up to %d, instead of %d", seen, answered, state)
		}
		if o.pushBytes != 0 || o.restBytes != 0 || o.mode != flowing {
			t.Fatalf("an empty outbox counts %d and %d bytes in mode %d", o.pushBytes, o.restBytes, o.mode)
		}
	})
}
