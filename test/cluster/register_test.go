package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rebase/test/harness"
	"rebase/tree"
)

// registers are clients that read, write and conditionally write a few places. Every value is written once.
type registers struct {
	c     *cluster
	path  string
	start time.Time
	stop  chan struct{}
	done  sync.WaitGroup
	value atomic.Int64

	mu      sync.Mutex
	ops     []*registerOp
	strange map[string]int // answers that are neither ok nor a refusal
}

// registerOp is an operation on one key. Times are nanoseconds since the start.
type registerOp struct {
	client int
	node   string
	key    string
	kind   byte  // 'r', 'w', or 'c' for a conditional write
	from   int64 // of 'c': what must be there
	value  int64 // read or written; 0 is nothing
	called int64
	ended  int64 // open if unknown
	sure   bool  // it is known that it was done; else it may be, at any time after it was called
}

const (
	registerPause = 4 * time.Millisecond
	opsOfAKey     = 150 // then a new one takes its place: what porcupine has to order stays small
	keysAtATime   = 3
	registerTime  = 3 * time.Second // after which an operation is in doubt
)

// openRegisters makes clients work, one of REST and one of the protocol at home on each of the nodes.
func openRegisters(c *cluster, path string, seed uint64) *registers {
	r := &registers{c: c, path: path, start: time.Now(), stop: make(chan struct{}), strange: map[string]int{}}
	for i, n := range c.all() {
		for j := range 2 {
			id := 2*i + j
			rng := rand.New(rand.NewPCG(seed, uint64(id)))
			r.done.Go(func() { r.run(id, j == 0, n, rng) })
		}
	}
	return r
}

func (r *registers) close() {
	close(r.stop)
	r.done.Wait()
}

// register is a client's way to the server. known is false if it is open what has happened, and the connection, if there is one, is of no use any more.
type register interface {
	// read returns the value, 0 for none, and what a conditional write needs.
	read(key string) (value int64, tag string, err error)
	write(key string, value int64, tag string) outcome
	close()
}

type outcome struct {
	ok      bool
	refused bool // the condition was not true
	status  string
}

func (r *registers) run(id int, rest bool, node *node, rng *rand.Rand) {
	connect := func() register {
		if rest {
			return &restRegister{r: r, node: node, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: registerTime}}
		}
		return &wsRegister{r: r, node: node}
	}
	reg := connect()
	defer func() { reg.close() }()
	for {
		select {
		case <-r.stop:
			return
		default:
		}
		r.mu.Lock()
		gen := len(r.ops) / (opsOfAKey * keysAtATime)
		r.mu.Unlock()
		key := fmt.Sprintf("k%d-%d", gen, rng.IntN(keysAtATime))
		if !r.operate(reg, id, node.name, key, rng.IntN(4)) {
			reg.close()
			all := r.c.all()
			node = all[rng.IntN(len(all))]
			reg = connect()
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(registerPause)
	}
}

// operate does one thing, or reads and then writes on condition. It returns false if the client should go elsewhere.
func (r *registers) operate(reg register, id int, node, key string, what int) bool {
	op := &registerOp{client: id, node: node, key: key, kind: 'r', called: r.now()}
	tag, at := "", int64(0)
	if what != 0 {
		var err error
		if at, tag, err = reg.read(key); err != nil {
			return false // as if it had not been
		}
		op.value = at
		r.record(op, true)
		if what == 1 {
			return true
		}
	}
	w := &registerOp{client: id, node: node, key: key, kind: 'w', value: r.value.Add(1)}
	if what > 1 {
		w.kind, w.from = 'c', at
	} else {
		tag = ""
	}
	w.called = r.now()
	o := reg.write(key, w.value, tag)
	switch {
	case o.ok:
		r.record(w, true)
	case o.refused && w.kind == 'c':
		// What was there instead is not told: nothing is learned.
	default:
		r.record(w, false)
		r.mu.Lock()
		r.strange[o.status]++
		r.mu.Unlock()
		return false
	}
	return true
}

func (r *registers) now() int64 { return int64(time.Since(r.start)) }

func (r *registers) record(op *registerOp, sure bool) {
	op.ended, op.sure = r.now(), sure
	r.mu.Lock()
	r.ops = append(r.ops, op)
	r.mu.Unlock()
}

// parse reads a value as it is stored.
func parse(text string) (int64, error) {
	if text = strings.TrimSpace(text); text == "null" || text == "" {
		return 0, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// restRegister speaks REST.
type restRegister struct {
	r      *registers
	node   *node
	client *http.Client
}

func (c *restRegister) close() { c.client.CloseIdleConnections() }

func (c *restRegister) do(method, key, body string, header map[string]string) (*http.Response, string, error) {
	url := fmt.Sprintf("http://%s/%s/%s.json?ns=%s&auth=%s", c.node.addr(), c.r.path, key, namespace, secret)
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	if req.GetBody = nil; body == "" {
		req.Body = nil
	}
	for name, value := range header {
		req.Header[name] = []string{value}
	}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := res.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return res, b.String(), nil // the status is what counts, and of reads the length
		}
	}
}

func (c *restRegister) read(key string) (int64, string, error) {
	res, text, err := c.do(http.MethodGet, key, "", map[string]string{"X-Firebase-ETag": "true"})
	if err != nil {
		return 0, "", err
	}
	if res.StatusCode != http.StatusOK || res.ContentLength >= 0 && res.ContentLength != int64(len(text)) {
		return 0, "", fmt.Errorf("status %s", res.Status)
	}
	v, err := parse(text)
	return v, res.Header.Get("ETag"), err
}

func (c *restRegister) write(key string, value int64, tag string) outcome {
	header := map[string]string{}
	if tag != "" {
		header["If-Match"] = tag
	}
	res, _, err := c.do(http.MethodPut, key, strconv.FormatInt(value, 10), header)
	if err != nil {
		return outcome{status: "no answer"}
	}
	return outcome{ok: res.StatusCode/100 == 2, refused: res.StatusCode == http.StatusPreconditionFailed, status: res.Status}
}

// wsRegister speaks the protocol of the SDKs.
type wsRegister struct {
	r    *registers
	node *node
	conn *harness.Conn
}

func (c *wsRegister) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *wsRegister) connect() error {
	if c.conn != nil {
		return nil
	}
	conn, err := harness.DialWithin(c.node.addr(), namespace, "", registerTime)
	if err != nil {
		return err
	}
	c.conn = conn
	_, err = c.call("auth", `{"cred":"`+secret+`"}`)
	return err
}

// call returns an error if no answer comes; the connection is closed then.
func (c *wsRegister) call(action, body string) (harness.Message, error) {
	c.conn.SetDeadline(time.Now().Add(registerTime))
	m, err := c.conn.Call(action, []byte(body))
	if err != nil {
		c.close()
	}
	return m, err
}

// hashOf is what a conditional write needs of a value.
func hashOf(value int64) string {
	if value == 0 {
		return ""
	}
	return tree.Hash(tree.NewInt(value))
}

func (c *wsRegister) read(key string) (int64, string, error) {
	if err := c.connect(); err != nil {
		return 0, "", err
	}
	m, err := c.call("g", fmt.Sprintf(`{"p":"/%s/%s","q":{}}`, c.r.path, key))
	if err != nil {
		return 0, "", err
	}
	if m.Status != "ok" {
		return 0, "", fmt.Errorf("status %s", m.Status)
	}
	v, err := parse(string(m.Data))
	return v, "hash:" + hashOf(v), err
}

func (c *wsRegister) write(key string, value int64, tag string) outcome {
	if err := c.connect(); err != nil {
		return outcome{refused: false, status: "not connected"}
	}
	body := fmt.Sprintf(`{"p":"/%s/%s","d":%d}`, c.r.path, key, value)
	if hash, ok := strings.CutPrefix(tag, "hash:"); ok {
		body = fmt.Sprintf(`{"p":"/%s/%s","d":%d,"h":%q}`, c.r.path, key, value, hash)
	}
	m, err := c.call("p", body)
	if err != nil {
		return outcome{status: "no answer"}
	}
	return outcome{ok: m.Status == "ok", refused: m.Status == "datastale", status: m.Status}
}
