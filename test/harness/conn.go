package harness

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// Conn is a client's connection. One goroutine may read while others write.
type Conn struct {
	net.Conn
	Session string // the server's name for the session

	br   *bufio.Reader
	wmu  sync.Mutex
	next int64
}

// Frame types of RFC 6455, section 5.2.
const (
	Continuation = 0
	Text         = 1
	Binary       = 2
	Close        = 8
	Ping         = 9
	Pong         = 10
)

// ErrClosed is returned by reads when the server has closed the connection as the
// protocol wants it: with a close frame.
type ErrClosed struct {
	Code   int
	Reason string
}

func (e *ErrClosed) Error() string {
	return fmt.Sprintf("closed by the server: %d %s", e.Code, e.Reason)
}

// Dial opens a connection to a namespace and reads the server's greeting. previous
// is the session that the client had before, "" for none.
func Dial(addr, ns, previous string) (*Conn, error) {
	return DialWithin(addr, ns, previous, time.Minute)
}

// DialWithin is Dial with a bound for the time that it takes.
func DialWithin(addr, ns, previous string, patience time.Duration) (*Conn, error) {
	query := "v=5&ns=" + ns
	if previous != "" {
		query += "&ls=" + previous
	}
	deadline := time.Now().Add(patience)
	c, err := upgrade(addr, query, deadline)
	if err != nil {
		return nil, err
	}
	c.SetReadDeadline(deadline)
	m, err := c.Next()
	if err != nil {
		c.Conn.Close()
		return nil, fmt.Errorf("no greeting: %w", err)
	}
	c.SetReadDeadline(time.Time{})
	var hello struct{ S string }
	if m.Type != "h" || json.Unmarshal(m.Data, &hello) != nil || hello.S == "" {
		c.Conn.Close()
		return nil, fmt.Errorf("not a greeting: %+v", m)
	}
	c.Session = hello.S
	return c, nil
}

// Upgrade opens a WebSocket and leaves the greeting to be read.
func Upgrade(addr, query string) (*Conn, error) {
	return upgrade(addr, query, time.Now().Add(time.Minute))
}

func upgrade(addr, query string, deadline time.Time) (*Conn, error) {
	nc, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(deadline)
	fmt.Fprintf(nc, "GET /.ws?%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", query, addr)
	c := &Conn{Conn: nc, br: bufio.NewReaderSize(nc, 4<<10)}
	status, err := c.br.ReadString('\n')
	for line := status; err == nil && line != "\r\n"; {
		line, err = c.br.ReadString('\n')
	}
	if err == nil && !bytes.Contains([]byte(status), []byte(" 101 ")) {
		err = fmt.Errorf("no upgrade: %s", status)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	nc.SetDeadline(time.Time{})
	return c, nil
}

// AppendFrame appends a client's frame; its mask is zero.
func AppendFrame(dst []byte, op byte, fin bool, payload []byte) []byte {
	if fin {
		op |= 0x80
	}
	dst = append(dst, op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n < 1<<16:
		dst = append(dst, 0x80|126, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	dst = append(dst, 0, 0, 0, 0)
	return append(dst, payload...)
}

// WriteFrame sends one frame.
func (c *Conn) WriteFrame(op byte, payload []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_, err := c.Write(AppendFrame(nil, op, true, payload))
	return err
}

// Send sends a request and returns its number. body is JSON.
func (c *Conn) Send(action string, body []byte) (int64, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.next++
	msg := fmt.Appendf(nil, `{"t":"d","d":{"r":%d,"a":%q,"b":`, c.next, action)
	msg = append(append(msg, body...), "}}"...)
	_, err := c.Write(AppendFrame(nil, Text, true, msg))
	return c.next, err
}

// Message is a message from the server.
type Message struct {
	Type    string          // of a control message
	Request int64           // the request that it answers, 0 if none
	Status  string          // of an answer
	Action  string          // of a push
	Data    json.RawMessage // of an answer or a control message; the body of a push
}

// Next returns the next message. It answers pings.
func (c *Conn) Next() (Message, error) {
	text, err := c.NextText()
	if err != nil {
		return Message{}, err
	}
	return parse(text)
}

func parse(text []byte) (m Message, err error) {
	var envelope struct {
		T string
		D json.RawMessage
	}
	if err := json.Unmarshal(text, &envelope); err != nil {
		return m, fmt.Errorf("the server sent %q: %w", text, err)
	}
	if envelope.T == "c" {
		var control struct {
			T string
			D json.RawMessage
		}
		err = json.Unmarshal(envelope.D, &control)
		return Message{Type: control.T, Data: control.D}, err
	}
	var d struct {
		R *int64
		A string
		B json.RawMessage
	}
	if err := json.Unmarshal(envelope.D, &d); err != nil {
		return m, fmt.Errorf("the server sent %q: %w", text, err)
	}
	if d.R == nil {
		return Message{Action: d.A, Data: d.B}, nil
	}
	var b struct {
		S string
		D json.RawMessage
	}
	err = json.Unmarshal(d.B, &b)
	return Message{Request: *d.R, Status: b.S, Data: b.D}, err
}

// NextText returns the text of the next message.
func (c *Conn) NextText() ([]byte, error) {
	var text []byte
	for segments := 1; segments > 0; {
		op, payload, err := c.readFrame()
		switch {
		case err != nil:
			return nil, err
		case op == Ping:
			if err := c.WriteFrame(Pong, payload); err != nil {
				return nil, err
			}
		case op == Pong:
		case op == Close:
			closed := &ErrClosed{Code: 1005}
			if len(payload) >= 2 {
				closed.Code, closed.Reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
			}
			return nil, closed
		case op != Text:
			return nil, fmt.Errorf("a frame of type %d from the server", op)
		default:
			if n, err := strconv.Atoi(string(payload)); err == nil && len(text) == 0 && len(payload) <= 6 {
				segments = n
				continue
			}
			text = append(text, payload...)
			segments--
		}
	}
	return text, nil
}

func (c *Conn) readFrame() (op byte, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(c.br, head[:2]); err != nil {
		return 0, nil, err
	}
	if head[0]&0x80 == 0 || head[1]&0x80 != 0 {
		return 0, nil, errors.New("the server sends fragments or masks")
	}
	op = head[0] & 0x0f
	n := uint64(head[1])
	switch n {
	case 126:
		if _, err := io.ReadFull(c.br, head[:2]); err != nil {
			return 0, nil, err
		}
		n = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		if _, err := io.ReadFull(c.br, head[:8]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(head[:8])
	}
	if n > 1<<30 {
		return 0, nil, fmt.Errorf("a frame of %d bytes from the server", n)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.br, payload)
	return op, payload, err
}

// Call sends a request and reads until it is answered; what else comes is dropped.
func (c *Conn) Call(action string, body []byte) (Message, error) {
	r, err := c.Send(action, body)
	if err != nil {
		return Message{}, err
	}
	for {
		m, err := c.Next()
		if err != nil || m.Request == r {
			return m, err
		}
	}
}
