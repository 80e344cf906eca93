package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rebase/test/harness"
)

// accounts are clients that all write to one ledger: entries under log/CLIENT/NUMBER, in each update one more in
// count/CLIENT and in total. As total numbers the writes in the order of the log, one that is lost, made twice or
// torn shows, whoever made it.
type accounts struct {
	c       *cluster
	path    string        // of the ledger
	stop    chan struct{} // closed: no new entries
	closed  chan struct{} // closed: all has been heard
	aborted chan struct{} // closed: the test is over
	writers sync.WaitGroup
	readers sync.WaitGroup

	mu       sync.Mutex
	problems []string

	clients   []*bookkeeper
	listeners []*listener
}

// bookkeeper is a client and its books.
type bookkeeper struct {
	a    *accounts
	name string
	rest bool

	mu        sync.Mutex
	changed   *sync.Cond
	node      *node // the one that it is connected to
	next      int   // number of the next entry
	pending   []entry
	acked     map[int]bool
	unsure    map[int]bool // what is not known, and not sent again
	acks      []ack
	refusals  map[string]int // answers that are neither ok nor a loss of the connection
	session   string
	broken    bool
	sentTo    *node // where the server has sent the client, if it has
	sessions  int   // that have been begun
	ended     int   // of them, those whose onDisconnect operation was acknowledged
	moves     int   // because of failures
	redirects int
}

type entry struct {
	n       int
	sent    time.Time
	request int64
	om      bool // an onDisconnect operation, and no entry
}

// ack is when a write was sent and when it was answered, and by which node.
type ack struct {
	sent, at time.Time
	node     string
}

const (
	pipelined  = 4
	pace       = 3 * time.Millisecond
	answerTime = 4 * time.Second // after which a client goes elsewhere
)

// openAccounts makes clients write, two of each kind at home on each of the nodes, and a listener on each.
func openAccounts(c *cluster, path string) *accounts {
	c.t.Helper()
	a := &accounts{c: c, path: path, stop: make(chan struct{}), closed: make(chan struct{}), aborted: make(chan struct{})}
	for _, n := range c.all() {
		for _, rest := range []bool{false, true} {
			name := n.name + map[bool]string{false: "-ws", true: "-rest"}[rest]
			b := &bookkeeper{a: a, name: name, rest: rest, node: n, acked: map[int]bool{}, unsure: map[int]bool{}, refusals: map[string]int{}}
			b.changed = sync.NewCond(&b.mu)
			a.clients = append(a.clients, b)
			a.writers.Go(b.run)
		}
		l := &listener{a: a, home: n, order: map[int64]string{}}
		a.listeners = append(a.listeners, l)
		a.readers.Go(l.run)
	}
	return a
}

// elsewhere is the node after one, in the order of names, of those that there are now.
func (a *accounts) elsewhere(from *node) *node {
	all := a.c.all()
	i := slices.Index(all, from)
	return all[(i+1)%len(all)]
}

// found notes what must not be. Only close reports it: clients may outlive a test that has failed.
func (a *accounts) found(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problems = append(a.problems, fmt.Sprintf(format, args...))
}

// abort ends the clients, whatever they have not been told.
func (a *accounts) abort() {
	for _, ch := range []chan struct{}{a.stop, a.closed, a.aborted} {
		select {
		case <-ch:
		default:
			close(ch)
		}
	}
	a.writers.Wait()
	a.readers.Wait()
}

// sentTo is the node that a reset names.
func (a *accounts) sentTo(host json.RawMessage) *node {
	var addr string
	if json.Unmarshal(host, &addr) == nil {
		for _, n := range a.c.all() {
			if n.addr() == addr {
				return n
			}
		}
	}
	a.found("a client is sent to %s, where no node is", host)
	return nil
}

func (a *accounts) stopped() bool {
	select {
	case <-a.stop:
		return true
	default:
		return false
	}
}

func (b *bookkeeper) run() {
	if b.rest {
		b.runREST()
		return
	}
	for {
		again := b.connect()
		b.mu.Lock()
		idle := len(b.pending) == 0
		b.mu.Unlock()
		if b.a.stopped() && (idle || !again) {
			return
		}
		select {
		case <-b.a.aborted:
			return
		default:
		}
		if again {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// connect is a session: what was not answered in the one before is sent again, then new entries. It returns true
// if the session has ended, and another is needed.
func (b *bookkeeper) connect() (again bool) {
	elsewhere := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		if to := b.sentTo; to != nil { // as SDKs do
			b.node, b.sentTo = to, nil
			b.redirects++
			return true
		}
		b.node = b.a.elsewhere(b.node)
		b.moves++
		return true
	}
	conn, err := harness.DialWithin(b.node.addr(), namespace, b.session, answerTime)
	if err != nil {
		return elsewhere()
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(answerTime))
	if m, err := conn.Call("auth", []byte(`{"cred":"`+secret+`"}`)); err != nil || m.Status != "ok" {
		return elsewhere()
	}
	b.mu.Lock()
	b.session, b.broken = conn.Session, false
	b.sessions++
	for i := range b.pending { // their age is that of the first attempt; a failure shows when an answer is waited for
		b.pending[i].request, _ = conn.Send("m", b.body(b.pending[i].n))
	}
	b.mu.Unlock()
	read := make(chan struct{})
	go func() {
		defer close(read)
		b.read(conn)
	}()
	b.mu.Lock()
	e := entry{om: true, sent: time.Now()}
	if e.request, err = conn.Send("om", fmt.Appendf(nil, `{"p":"/%s/ended","d":{"%s":{".sv":{"increment":1}}}}`, b.a.path, b.name)); err == nil {
		b.pending = append(b.pending, e)
	}
	for !b.broken && err == nil && !b.a.stopped() {
		if len(b.pending) >= pipelined {
			b.changed.Wait()
			continue
		}
		e := entry{n: b.next, sent: time.Now()}
		b.next++
		b.pending = append(b.pending, e)
		e.request, err = conn.Send("m", b.body(e.n))
		b.pending[len(b.pending)-1].request = e.request
		b.mu.Unlock()
		time.Sleep(pace)
		b.mu.Lock()
	}
	for len(b.pending) > 0 && !b.broken {
		b.changed.Wait()
	}
	broken := b.broken
	b.mu.Unlock()
	conn.Close()
	<-read
	b.mu.Lock()
	b.pending = slices.DeleteFunc(b.pending, func(e entry) bool { return e.om }) // SDKs say it anew
	b.mu.Unlock()
	if broken {
		return elsewhere()
	}
	return false
}

// read takes answers until the connection breaks, or one does not come for too long.
func (b *bookkeeper) read(conn *harness.Conn) {
	node := b.node.name
	for {
		conn.SetReadDeadline(time.Now().Add(answerTime))
		m, err := conn.Next()
		b.mu.Lock()
		if err != nil {
			b.broken = true
			b.changed.Broadcast()
			b.mu.Unlock()
			return
		}
		if m.Request != 0 {
			b.answered(m, node)
		} else if m.Type == "r" { // sent away
			b.broken, b.sentTo = true, b.a.sentTo(m.Data)
		}
		b.changed.Broadcast()
		gone := b.broken
		b.mu.Unlock()
		if gone {
			return
		}
	}
}

// answered is called with the lock.
func (b *bookkeeper) answered(m harness.Message, node string) {
	if len(b.pending) == 0 || b.pending[0].request != m.Request {
		b.a.found("%s: an answer out of order: %+v, waiting for %+v", b.name, m, b.pending)
		b.broken = true
		return
	}
	e := b.pending[0]
	b.pending = b.pending[1:]
	switch {
	case m.Status != "ok":
		b.refusals[m.Status]++
		if !e.om {
			b.unsure[e.n] = true
		}
	case e.om:
		b.ended++
	default:
		b.acked[e.n] = true
		b.acks = append(b.acks, ack{e.sent, time.Now(), node})
	}
}

func entryName(n int) string { return fmt.Sprintf("e%06d", n) }

// body is the update that makes an entry.
func (b *bookkeeper) body(n int) []byte {
	return fmt.Appendf(nil, `{"p":"/%s","d":%s}`, b.a.path, b.update(n))
}

func (b *bookkeeper) update(n int) []byte {
	return fmt.Appendf(nil, `{"log/%[1]s/%[2]s":%[3]d,"count/%[1]s":{".sv":{"increment":1}},"total":{".sv":{"increment":1}}}`, b.name, entryName(n), n)
}

// runREST makes each entry by one request, which is never made again.
func (b *bookkeeper) runREST() {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: answerTime}
	for !b.a.stopped() {
		n := b.next
		b.next++
		node, sent := b.node, time.Now()
		url := fmt.Sprintf("http://%s/%s.json?ns=%s&auth=%s&print=silent", node.addr(), b.a.path, namespace, secret)
		req, err := http.NewRequest(http.MethodPatch, url, strings.NewReader(string(b.update(n))))
		if err != nil {
			b.a.found("%v", err)
			return
		}
		req.GetBody = nil
		res, err := client.Do(req)
		status := ""
		if err == nil {
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			status = strconv.Itoa(res.StatusCode)
		}
		b.mu.Lock()
		switch {
		case err == nil && res.StatusCode/100 == 2:
			b.acked[n] = true
			b.acks = append(b.acks, ack{sent, time.Now(), node.name})
		default:
			b.unsure[n] = true
			if err == nil {
				b.refusals[status]++
			}
			b.node = b.a.elsewhere(b.node)
			b.moves++
			client.CloseIdleConnections()
		}
		b.mu.Unlock()
		time.Sleep(pipelined * pace)
	}
	client.CloseIdleConnections()
}

// listener hears of all that happens to the ledger, over a node, and over another one when that fails.
type listener struct {
	a    *accounts
	home *node

	mu      sync.Mutex
	order   map[int64]string // what had which number
	last    int64            // the highest number
	session string
	moves   int
}

func (l *listener) run() {
	node := l.home
	for {
		err := l.listen(node)
		if err == nil {
			return
		}
		select {
		case <-l.a.closed:
			return
		default:
		}
		l.moves++
		node = l.a.elsewhere(node)
		time.Sleep(20 * time.Millisecond)
	}
}

// listen is a session. It ends without an error when the accounts are closed and all has been heard.
func (l *listener) listen(node *node) error {
	conn, err := harness.DialWithin(node.addr(), namespace, l.session, answerTime)
	if err != nil {
		return err
	}
	defer conn.Close()
	l.session = conn.Session
	conn.SetReadDeadline(time.Now().Add(answerTime))
	if m, err := conn.Call("auth", []byte(`{"cred":"`+secret+`"}`)); err != nil || m.Status != "ok" {
		return fmt.Errorf("auth: %+v, %w", m, err)
	}
	listening, err := conn.Send("q", fmt.Appendf(nil, `{"p":"/%s","h":""}`, l.a.path))
	if err != nil {
		return err
	}
	closing := make(chan struct{})
	defer close(closing)
	go func() { // when the accounts are closed, the end is known by a number
		select {
		case <-l.a.closed:
			conn.Close()
		case <-closing:
		}
	}()
	for first := true; ; {
		// A listener that hears nothing cannot tell whether there is nothing to hear. It asks, as SDKs do.
		conn.SetReadDeadline(time.Now().Add(answerTime))
		m, err := conn.Next()
		if err != nil {
			select {
			case <-l.a.closed:
				return nil
			default:
				return err
			}
		}
		if m.Type == "r" {
			return fmt.Errorf("sent away: %s", m.Data)
		}
		if first && m.Request == listening { // there is nothing yet, or what was there would have come before
			if m.Status != "ok" {
				return fmt.Errorf("listening: %s %s", m.Status, m.Data)
			}
			l.initial(node, []byte("{}"))
			first = false
		}
		if m.Action == "" || m.Action == "sd" {
			continue
		}
		var push struct {
			P string
			D json.RawMessage
		}
		if err := json.Unmarshal(m.Data, &push); err != nil {
			return err
		}
		if first {
			if m.Action != "d" || push.P != l.a.path {
				l.a.found("listener at %s: the first push is %s of %s", node.name, m.Action, push.P)
			}
			l.initial(node, push.D)
			first = false
			continue
		}
		l.heardOf(node, push.P, push.D)
	}
}

// ledger is what is at the path of the accounts.
type ledger struct {
	Log   map[string]map[string]int
	Count map[string]int
	Ended map[string]int
	Total int64
}

func (l *ledger) entries() (n int64) {
	for _, m := range l.Log {
		n += int64(len(m))
	}
	return n
}

// initial takes what is there when the listener comes.
func (l *listener) initial(node *node, data json.RawMessage) {
	var all ledger
	if err := json.Unmarshal(data, &all); err != nil {
		l.a.found("listener at %s: %v in %.200s", node.name, err, data)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := all.entries(); n != all.Total {
		l.a.found("listener at %s is shown %d entries and the number %d", node.name, n, all.Total)
	}
	if all.Total < l.last {
		l.a.found("listener at %s, which has heard of write %d, is shown the past, as of write %d", node.name, l.last, all.Total)
	}
	l.last = max(l.last, all.Total)
}

// heardOf takes a change.
func (l *listener) heardOf(node *node, path string, data json.RawMessage) {
	var change map[string]json.RawMessage
	if path != l.a.path || json.Unmarshal(data, &change) != nil || change["total"] == nil {
		return // a session's end
	}
	total, err := strconv.ParseInt(string(change["total"]), 10, 64)
	name := ""
	for key := range change {
		if strings.HasPrefix(key, "log/") {
			name += key
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil || name == "":
		l.a.found("listener at %s hears of %s", node.name, data)
	case total != l.last+1:
		l.a.found("listener at %s hears of write %d after write %d", node.name, total, l.last)
	}
	l.last = max(l.last, total)
	l.order[total] = name
}

// close ends the clients, when all that they have sent is answered, and the listeners, when they have heard of it all.
// Then the books are compared with what every node has.
func (a *accounts) close() {
	t := a.c.t
	t.Helper()
	close(a.stop)
	done := make(chan struct{})
	go func() {
		a.writers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("the clients have not come to an end within %v", patience)
	}
	var first []byte
	var all ledger
	for i, n := range a.c.all() {
		text := a.settledLedger(n)
		if i == 0 {
			first = text
			if err := json.Unmarshal(text, &all); err != nil {
				t.Fatal(err)
			}
		} else if string(text) != string(first) {
			t.Errorf("%s and %s do not have the same", n.name, a.c.all()[0].name)
		}
	}
	deadline := time.Now().Add(back)
	for _, l := range a.listeners {
		for l.at() < all.Total && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if at := l.at(); at != all.Total {
			t.Errorf("the listener at home on %s has heard of %d of %d writes", l.home.name, at, all.Total)
		}
	}
	close(a.closed)
	a.readers.Wait()
	for i, problem := range append(a.problems, a.audit(&all)...) {
		if t.Error(problem); i == 20 {
			break
		}
	}
}

func (l *listener) at() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// settledLedger reads the ledger at a node when all sessions have ended.
func (a *accounts) settledLedger(n *node) []byte {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		text, status, err := request(n, http.MethodGet, fmt.Sprintf("/%s.json?ns=%s&auth=%s", a.path, namespace, secret), "", "", 10*time.Second)
		var all ledger
		switch {
		case err != nil || status != http.StatusOK:
			err = fmt.Errorf("reading the ledger at %s: %d %.100s, %v", n.name, status, text, err)
		case json.Unmarshal(text, &all) != nil:
			err = fmt.Errorf("the ledger at %s is %.200s", n.name, text)
		default:
			err = a.allEnded(&all)
		}
		if err == nil {
			return text
		}
		if time.Now().After(deadline) {
			a.c.t.Error(err)
			return text
		}
	}
}

// allEnded says whether every session that had asked for it has had its end noted.
func (a *accounts) allEnded(l *ledger) error {
	for _, b := range a.clients {
		if l.Ended[b.name] < b.ended {
			return fmt.Errorf("%s: %d sessions have asked for a note when they end, and there are %d notes", b.name, b.ended, l.Ended[b.name])
		}
	}
	return nil
}

// audit compares the books with the ledger.
func (a *accounts) audit(l *ledger) (problems []string) {
	found := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if n := l.entries(); n != l.Total {
		found("there are %d entries, and %d have been counted", n, l.Total)
	}
	for name := range l.Log {
		if !slices.ContainsFunc(a.clients, func(b *bookkeeper) bool { return b.name == name }) {
			found("there are entries of %s, who does not exist", name)
		}
	}
	for _, b := range a.clients {
		entries := l.Log[b.name]
		if len(entries) != l.Count[b.name] {
			found("%s: there are %d entries, and %d have been counted", b.name, len(entries), l.Count[b.name])
		}
		lost := 0
		for n := range b.acked {
			if v, ok := entries[entryName(n)]; !ok || v != n {
				lost++
			}
		}
		if lost > 0 {
			found("%s: %d of %d acknowledged writes are lost", b.name, lost, len(b.acked))
		}
		for name, n := range entries {
			if name != entryName(n) || !b.acked[n] && !b.unsure[n] {
				found("%s: there is an entry %s of %d that was never made", b.name, name, n)
			}
		}
		if e := l.Ended[b.name]; e < b.ended || e > b.sessions {
			found("%s: of %d sessions %d were promised a note at their end, and there are %d", b.name, b.sessions, b.ended, e)
		}
	}
	// One order for all.
	order := map[int64]string{}
	for _, l := range a.listeners {
		for n, name := range l.order {
			if order[n] == "" {
				order[n] = name
			} else if order[n] != name {
				found("write %d is %s to one listener, and %s to the one at home on %s", n, order[n], name, l.home.name)
			}
		}
	}
	seen := map[string]int64{}
	for _, n := range slices.Sorted(maps.Keys(order)) {
		if was, again := seen[order[n]]; again {
			found("%s was heard of as write %d, and again as write %d", order[n], was, n)
		}
		seen[order[n]] = n
	}
	return problems
}
