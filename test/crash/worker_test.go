package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/test/harness"
	"rebase/tree"
)

const ns = "crash"

// worker is a client that keeps a record of what it did. It owns the nodes at
// tops/<name>; the counter and the transaction at /shared are everybody's.
type worker struct {
	t      *testing.T
	name   string
	rng    *rand.Rand
	resend bool // sends unanswered writes again, as the SDKs do
	rest   bool // speaks REST
	blobs  bool // writes large values
	failed bool // the server has failed and said so; it may do so only if it is allowed to
	fails  bool // allowed to fail
	n      int  // operations so far

	mu        sync.Mutex
	confirmed *state // with every acknowledged operation
	ahead     *state // with the pending ones, too
	pending   []*op  // not acknowledged, in order
	session   string // the last one
	again     []*op  // to be sent again
	moved     *sync.Cond
	repeating int // operations sent again and not yet answered
	broken    bool
	proposals uint64 // acknowledged in this session, as the server numbers them

	known     *int64 // the shared node's value, if it has just been read
	txnAcked  int    // successful transactions since the last check
	txnDoubt  int    // and those whose answer did not come
	acked     int    // operations, for the report
	inDoubt   int
	reapplied int
}

var tops = []string{"data", "left", "right/far/away", "count", "txn", "presence", "ended"}

func newWorker(t *testing.T, name string, seed uint64) *worker {
	w := &worker{t: t, name: name, rng: rand.New(rand.NewPCG(seed, uint64(len(name))<<32|uint64(name[len(name)-1]))),
		confirmed: &state{leaves: map[string]string{}}, ahead: &state{leaves: map[string]string{}}}
	w.moved = sync.NewCond(&w.mu)
	return w
}

func (w *worker) own(leaves map[string]string) map[string]string {
	mine := map[string]string{}
	for p, v := range leaves {
		for _, top := range tops {
			rest, ok := strings.CutPrefix(p, top+"/"+w.name)
			if ok && (rest == "" || rest[0] == '/') {
				mine[p] = v
			}
		}
	}
	return mine
}

// run works until the server is gone or stop is closed; a worker that is stopped
// drains, and leaves its connection for the server to find broken.
func (w *worker) run(addr string, stop <-chan struct{}) {
	if w.rest {
		w.runREST(addr, stop)
		return
	}
	for {
		if again := w.runSession(addr, stop); !again {
			return
		}
	}
}

func (w *worker) runSession(addr string, stop <-chan struct{}) (again bool) {
	previous := ""
	if w.resend {
		previous = w.session
	}
	c, err := harness.Dial(addr, ns, previous)
	if err != nil {
		w.mu.Lock()
		w.broken = true
		w.moved.Broadcast()
		w.mu.Unlock()
		return false
	}
	defer c.Close()
	w.mu.Lock()
	w.session, w.broken, w.failed, w.proposals = c.Session, false, false, 0
	w.mu.Unlock()
	read := make(chan struct{})
	go func() {
		defer close(read)
		w.read(c)
	}()
	defer func() {
		c.Close()
		<-read
	}()
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	for _, o := range w.again {
		w.send(c, o)
	}
	w.again = nil
	w.register(c)
	leaveAfter := -1
	if w.resend && w.rng.IntN(2) == 0 {
		leaveAfter = 200 + w.rng.IntN(800) // then come back as the same client
	}
	window := 1 + w.rng.IntN(48)
	if w.blobs {
		window = 4
	}
	for i := 0; i != leaveAfter && !stopped(); i++ {
		if !w.send(c, w.next()) {
			return false
		}
		w.mu.Lock()
		for len(w.pending) >= window && !w.broken {
			w.moved.Wait()
		}
		w.mu.Unlock()
	}
	// Drain: nothing is in doubt when the connection is dropped.
	w.mu.Lock()
	for len(w.pending) > 0 && !w.broken {
		w.moved.Wait()
	}
	broken := w.broken
	w.mu.Unlock()
	if broken || stopped() {
		return false
	}
	// The greeting of the next session tells that this one has ended.
	c.Close()
	<-read
	next, err := harness.Dial(addr, ns, c.Session)
	if err != nil {
		return false
	}
	next.Close()
	w.mu.Lock()
	w.confirmed.endSession()
	w.ahead.endSession()
	w.session = next.Session
	w.mu.Unlock()
	return true
}

// send records an operation and sends it; false: the connection is broken.
func (w *worker) send(c *harness.Conn, o *op) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.applyTo(w.ahead)
	w.pending = append(w.pending, o)
	if o.txn {
		w.txnDoubt++
	}
	var err error
	o.request, err = c.Send(o.action, o.body)
	return err == nil && !w.broken
}

// read takes answers until the connection breaks.
func (w *worker) read(c *harness.Conn) {
	for {
		m, err := c.Next()
		w.mu.Lock()
		if err != nil {
			w.broken = true
			w.moved.Broadcast()
			w.mu.Unlock()
			return
		}
		switch {
		case m.Request == 0:
		case !w.failed:
			w.answered(m)
		case m.Status == "ok" && w.wrote(m.Request):
			w.t.Errorf("worker %s: request %d is acknowledged after the server has failed", w.name, m.Request)
		}
		w.mu.Unlock()
	}
}

func (w *worker) answered(m harness.Message) {
	if len(w.pending) == 0 || w.pending[0].request != m.Request {
		w.t.Errorf("worker %s: answer to request %d out of order", w.name, m.Request)
		return
	}
	o := w.pending[0]
	w.pending = w.pending[1:]
	w.moved.Broadcast()
	if w.fails && m.Status == "failure" {
		// Whether it is in the log is unknown; nothing behind it may be acknowledged.
		w.refused(fmt.Sprintf("%s: %s", m.Status, m.Data))
		w.pending = append([]*op{o}, w.pending...)
		return
	}
	if m.Status != "ok" && !(o.txn && m.Status == "datastale") {
		w.t.Errorf("worker %s: %s %.200s: %s %s", w.name, o.action, o.body, m.Status, m.Data)
		return
	}
	w.acked++
	if o.action != "g" {
		w.proposals++
	}
	if o.again {
		w.repeating--
	}
	if o.got != nil {
		o.got(m.Data)
	}
	if o.txn {
		w.txnDoubt--
		if m.Status == "ok" {
			w.txnAcked++
		}
	}
	o.applyTo(w.confirmed)
}

// wrote says whether a pending request is a write. The caller holds mu.
func (w *worker) wrote(request int64) bool {
	for _, o := range w.pending {
		if o.request == request {
			return o.action != "g"
		}
	}
	return false
}

// refused notes that the server can do no more. The caller holds mu.
func (w *worker) refused(why string) {
	if !w.failed {
		w.t.Logf("worker %s was told: %.200s", w.name, why)
	}
	w.failed, w.broken = true, true
	w.moved.Broadcast()
}

// register asks for what is to happen when the client is gone, and says that it is there.
func (w *worker) register(c *harness.Conn) {
	w.n++
	w.send(c, &op{n: w.n, action: "om",
		body:   fmt.Appendf(nil, `{"p":"/","d":{"presence/%s":null,"ended/%s":{".sv":{"increment":1}}}}`, w.name, w.name),
		queues: []change{{path: "presence/" + w.name}, {path: "ended/" + w.name, add: 1}}})
	w.n++
	// Not sent again: the end of its session undoes it, and every session says it anew.
	w.send(c, &op{n: w.n, action: "p",
		body:    fmt.Appendf(nil, `{"p":"/presence/%s","d":%d}`, w.name, w.n),
		changes: []change{{path: "presence/" + w.name, leaves: map[string]string{"": strconv.Itoa(w.n)}}}})
}

// next makes up an operation. The texts of writes that are sent again are unique.
func (w *worker) next() *op {
	w.n++
	id := strconv.Itoa(w.n)
	key := fmt.Sprintf("k%d", w.rng.IntN(16))
	o := &op{n: w.n, action: "p", resend: true}
	leaf := map[string]string{"": id}
	put := func(path, value string) { o.body = fmt.Appendf(nil, `{"p":"/%s","d":%s}`, path, value) }
	merge := func(value string) {
		o.action = "m"
		o.body = fmt.Appendf(nil, `{"p":"/","d":%s}`, value)
	}
	kind := w.rng.IntN(20)
	w.mu.Lock()
	known := w.known // of the shared node; the reader of answers sets it
	w.mu.Unlock()
	switch {
	case w.blobs && kind < 12:
		path := fmt.Sprintf("data/%s/blob%d", w.name, w.rng.IntN(3))
		value := strconv.Quote(strings.Repeat(string(rune('a'+w.rng.IntN(26))), 200<<10) + id)
		put(path, value)
		o.changes = []change{{path: path, leaves: map[string]string{"": value}}}
	case kind < 5: // a subtree
		path := "data/" + w.name + "/" + key
		put(path, fmt.Sprintf(`{"id":%s,"deep":{"er":"v%s"}}`, id, id))
		o.changes = []change{{path: path, leaves: map[string]string{"id": id, "deep/er": `"v` + id + `"`}}}
	case kind < 10: // far-apart places, all or none; and the counter of all
		merge(fmt.Sprintf(`{"left/%[1]s/%[2]s":%[3]s,"right/far/away/%[1]s/%[2]s":%[3]s,"data/%[1]s/m-%[2]s":%[3]s,"shared/count":{".sv":{"increment":1}}}`, w.name, key, id))
		for _, p := range []string{"left/" + w.name + "/", "right/far/away/" + w.name + "/", "data/" + w.name + "/m-"} {
			o.changes = append(o.changes, change{path: p + key, leaves: leaf})
		}
		o.shared = 1
	case kind < 12: // a counter of its own
		merge(fmt.Sprintf(`{"count/%[1]s":{".sv":{"increment":3}},"data/%[1]s/last":%[2]s}`, w.name, id))
		o.changes = []change{{path: "count/" + w.name, add: 3}, {path: "data/" + w.name + "/last", leaves: leaf}}
		if !w.resend {
			o.action = "p"
			put("count/"+w.name, `{".sv":{"increment":3}}`)
			o.changes = o.changes[:1]
		}
	case kind < 15: // delete
		merge(fmt.Sprintf(`{"data/%[1]s/%[2]s":null,"left/%[1]s/%[2]s":null,"data/%[1]s/last":%[3]s}`, w.name, key, id))
		o.changes = []change{{path: "data/" + w.name + "/" + key}, {path: "left/" + w.name + "/" + key}, {path: "data/" + w.name + "/last", leaves: leaf}}
	case kind < 18: // a transaction on its own node
		path := "txn/" + w.name
		hash := ""
		if old, ok := w.ahead.leaves[path]; ok {
			n, _ := strconv.ParseInt(old, 10, 64)
			hash = tree.Hash(tree.NewInt(n))
		}
		o.body = fmt.Appendf(nil, `{"p":"/%s","d":%s,"h":%q}`, path, id, hash)
		o.resend = false
		o.changes = []change{{path: path, leaves: leaf}}
	case known == nil: // read the shared node
		o.action, o.resend = "g", false // SDKs repeat reads after all writes
		o.body = []byte(`{"p":"/shared/txn","q":{}}`)
		o.got = func(data json.RawMessage) {
			n, _ := strconv.ParseInt(string(data), 10, 64)
			w.known = &n
		}
	default: // a transaction on it
		was := *known
		w.mu.Lock()
		w.known = nil
		w.mu.Unlock()
		hash := ""
		if was != 0 {
			hash = tree.Hash(tree.NewInt(was))
		}
		o.body = fmt.Appendf(nil, `{"p":"/shared/txn","d":%d,"h":%q}`, was+1, hash)
		o.txn, o.resend = true, false
	}
	return o
}

// runREST writes by PUT, PATCH and DELETE, one after the other.
func (w *worker) runREST(addr string, stop <-chan struct{}) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-stop:
			return
		default:
		}
		w.n++
		id := strconv.Itoa(w.n)
		key := fmt.Sprintf("k%d", w.rng.IntN(16))
		leaf := map[string]string{"": id}
		o := &op{n: w.n}
		method, path := http.MethodPut, "data/"+w.name+"/"+key
		switch w.rng.IntN(4) {
		case 0:
			method, path = http.MethodPatch, ""
			o.body = fmt.Appendf(nil, `{"left/%[1]s/%[2]s":%[3]s,"right/far/away/%[1]s/%[2]s":%[3]s,"shared/count":{".sv":{"increment":1}}}`, w.name, key, id)
			o.changes = []change{{path: "left/" + w.name + "/" + key, leaves: leaf}, {path: "right/far/away/" + w.name + "/" + key, leaves: leaf}}
			o.shared = 1
		case 1:
			path = "count/" + w.name
			o.body = []byte(`{".sv":{"increment":2}}`)
			o.changes = []change{{path: path, add: 2}}
		case 2:
			method = http.MethodDelete
			o.changes = []change{{path: path}}
		default:
			o.body = fmt.Appendf(nil, `{"id":%s}`, id)
			o.changes = []change{{path: path, leaves: map[string]string{"id": id}}}
		}
		w.mu.Lock()
		w.pending = append(w.pending, o)
		w.mu.Unlock()
		req, err := http.NewRequest(method, "http://"+addr+"/"+path+".json?ns="+ns, bytes.NewReader(o.body))
		if err != nil {
			w.t.Error(err)
			return
		}
		res, err := client.Do(req)
		if err != nil {
			return
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if w.fails && res.StatusCode >= 500 {
			w.mu.Lock()
			w.refused(res.Status + " " + string(body))
			w.mu.Unlock()
			return
		}
		if res.StatusCode/100 != 2 {
			w.t.Errorf("worker %s: %s %s: %s %s", w.name, method, path, res.Status, body)
			return
		}
		w.mu.Lock() // the status alone acknowledges
		o.applyTo(w.confirmed)
		w.pending = w.pending[:0]
		w.acked++
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// settle compares with what is there after a restart, and makes it the base of
// what follows. It returns the worker's part in the shared counter.
func (w *worker) settle(leaves map[string]string) (shared int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, s, err := cut(w.confirmed, w.pending, w.own(leaves))
	if err != nil {
		return 0, fmt.Errorf("worker %s: %w", w.name, err)
	}
	if at, ok := s.leaves["presence/"+w.name]; ok {
		return 0, fmt.Errorf("worker %s: still present, as of %s", w.name, at)
	}
	w.inDoubt += len(w.pending)
	if w.resend {
		for i, o := range w.pending {
			if !o.resend {
				continue // an SDK gives it up
			}
			repeated := *o
			repeated.again = true
			if i < n { // the server must see that it has it
				repeated.changes, repeated.shared = nil, 0
				w.reapplied++
			}
			w.again = append(w.again, &repeated)
		}
	}
	w.pending, w.known, w.broken, w.failed = nil, nil, false, false
	w.repeating = len(w.again)
	w.confirmed, w.ahead = s, s.clone()
	return s.shared, nil
}
