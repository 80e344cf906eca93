package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"github.com/gobwas/ws"
)

// conn is a client connection, as thin as it can be: what a client costs is missing from the
// server it is measured with. Reading and writing may be done by two goroutines.
type conn struct {
	c   net.Conn
	br  *bufio.Reader
	buf []byte // of the message being read

	wmu  sync.Mutex
	wbuf []byte
	r    int // last request number
}

// Target is a namespace of a server.
type Target struct {
	URL       string // http://host:port
	Namespace string
}

func (t Target) hostPort() (string, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return "", err
	}
	if u.Host == "" || (u.Scheme != "http" && u.Scheme != "ws") {
		return "", fmt.Errorf("target %q: want http://HOST:PORT", t.URL)
	}
	return u.Host, nil
}

// dial opens a connection and reads the server's hello.
func dial(ctx context.Context, t Target, bufSize int) (*conn, error) {
	host, err := t.hostPort()
	if err != nil {
		return nil, err
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse("ws://" + host + "/.ws?v=5&ns=" + url.QueryEscape(t.Namespace))
	if err != nil {
		return nil, err
	}
	br, _, err := (ws.Dialer{}).Upgrade(nc, u)
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	c := &conn{c: nc, br: bufio.NewReaderSize(nc, bufSize)}
	if br != nil { // the server's first frames came with its answer
		early, _ := br.Peek(br.Buffered())
		c.br = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), nc), bufSize)
	}
	hello, err := c.read()
	if err != nil || !bytes.Contains(hello, []byte(`"t":"h"`)) {
		nc.Close()
		return nil, fmt.Errorf("no hello: %q: %w", hello, err)
	}
	return c, nil
}

func (c *conn) close() { c.c.Close() }

// read returns the next message; it is good until the next call. Pings are answered.
func (c *conn) read() ([]byte, error) {
	segments := 1
	c.buf = c.buf[:0]
	for segments > 0 {
		start := len(c.buf)
		op, err := c.readFrame()
		if err != nil {
			return nil, err
		}
		part := c.buf[start:]
		switch {
		case op == ws.OpPing:
			if err := c.writeFrame(ws.OpPong, part); err != nil {
				return nil, err
			}
			c.buf = c.buf[:start]
		case op == ws.OpClose:
			return nil, io.EOF
		case op == ws.OpPong:
			c.buf = c.buf[:start]
		case start == 0 && len(part) <= 6 && isNumber(part):
			segments, _ = strconv.Atoi(string(part))
			c.buf = c.buf[:0]
		default:
			segments--
		}
	}
	return c.buf, nil
}

func isNumber(b []byte) bool {
	for _, d := range b {
		if d < '0' || d > '9' {
			return false
		}
	}
	return len(b) > 0
}

// readFrame appends one frame's payload to buf.
func (c *conn) readFrame() (ws.OpCode, error) {
	head, err := c.br.Peek(2)
	if err != nil {
		return 0, err
	}
	op := ws.OpCode(head[0] & 0x0f)
	n := int(head[1] & 0x7f)
	c.br.Discard(2)
	if head[1]&0x80 != 0 {
		return 0, errors.New("the server masks its frames")
	}
	switch n {
	case 126:
		b, err := c.br.Peek(2)
		if err != nil {
			return 0, err
		}
		n = int(binary.BigEndian.Uint16(b))
		c.br.Discard(2)
	case 127:
		b, err := c.br.Peek(8)
		if err != nil {
			return 0, err
		}
		n = int(binary.BigEndian.Uint64(b))
		c.br.Discard(8)
	}
	start := len(c.buf)
	c.buf = slices.Grow(c.buf, n)[:start+n]
	_, err = io.ReadFull(c.br, c.buf[start:])
	return op, err
}

// writeFrame sends one frame, masked with zeros: the mask's value matters to nobody here.
func (c *conn) writeFrame(op ws.OpCode, payload []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	b := append(c.wbuf[:0], 0x80|byte(op))
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	b = append(b, payload...)
	c.wbuf = b
	_, err := c.c.Write(b)
	return err
}

// request sends a request and returns its number. body is the JSON of its members.
func (c *conn) request(action, body string) (int, error) {
	c.r++
	msg := fmt.Appendf(nil, `{"t":"d","d":{"r":%d,"a":%q,"b":{%s}}}`, c.r, action, body)
	return c.r, c.writeFrame(ws.OpText, msg)
}

// call sends a request and reads until it is answered; pushes go to onPush.
func (c *conn) call(action, body string, onPush func([]byte)) error {
	r, err := c.request(action, body)
	if err != nil {
		return err
	}
	for {
		msg, err := c.read()
		if err != nil {
			return err
		}
		if n, ok := answered(msg); ok && n == r {
			if !bytes.Contains(msg, []byte(`"s":"ok"`)) {
				return fmt.Errorf("%s %s: %s", action, body, msg)
			}
			return nil
		}
		if onPush != nil {
			onPush(msg)
		}
	}
}

// answered finds the request number of an answer; pushes have none.
func answered(msg []byte) (int, bool) {
	const member = `"r":`
	head := msg
	if len(head) > 64 {
		head = head[:64]
	}
	i := bytes.Index(head, []byte(member))
	if i < 0 {
		return 0, false
	}
	n := 0
	for _, d := range msg[i+len(member):] {
		if d < '0' || d > '9' {
			break
		}
		n = 10*n + int(d-'0')
	}
	return n, true
}
