package drive

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/coder/websocket"

	"rebase/tree"
)

// wsClient speaks the protocol of the SDKs, one request at a time.
type wsClient struct {
	o    *Options
	conn *websocket.Conn
	next int
}

func newWS(o *Options) *wsClient { return &wsClient{o: o} }

func (c *wsClient) close() {
	if c.conn != nil {
		c.conn.CloseNow()
		c.conn = nil
	}
}

// connect dials if there is no connection. Nothing has been asked for then, so its errors are refusals.
func (c *wsClient) connect(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	u, err := url.Parse(c.o.URL)
	if err != nil {
		return &refusal{err}
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	u.Path = "/.ws"
	query := url.Values{"v": {"5"}}
	if c.o.Namespace != "" {
		query.Set("ns", c.o.Namespace)
	}
	u.RawQuery = query.Encode()
	conn, _, err := websocket.Dial(ctx, u.String(), nil)
	if err != nil {
		return &refusal{err}
	}
	conn.SetReadLimit(maxAnswer)
	c.conn, c.next = conn, 0
	text, err := c.read(ctx)
	var hello struct{ D struct{ T string } }
	if err == nil && (json.Unmarshal(text, &hello) != nil || hello.D.T != "h") {
		err = fmt.Errorf("the server greets with %.80s", text)
	}
	if err == nil && c.o.Token != "" {
		cred, _ := json.Marshal(map[string]string{"cred": c.o.Token})
		_, err = c.send(ctx, "auth", cred)
	}
	if err != nil {
		c.close()
		return &refusal{err}
	}
	return nil
}

// read returns the next message. Long ones come in several frames, with their number before them.
func (c *wsClient) read(ctx context.Context) ([]byte, error) {
	_, text, err := c.conn.Read(ctx)
	if err != nil || len(text) > 6 {
		return text, err
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return text, nil
	}
	text = nil
	for range n {
		_, part, err := c.conn.Read(ctx)
		if err != nil {
			return nil, err
		}
		text = append(text, part...)
	}
	return text, nil
}

// answer is what the server says to a request.
type answer struct {
	S string
	D json.RawMessage
}

// send sends a request and waits for its answer. When it does not come, the connection is of no more use: what comes
// late would be taken for another's.
func (c *wsClient) send(ctx context.Context, action string, body []byte) (json.RawMessage, error) {
	c.next++
	msg := fmt.Appendf(nil, `{"t":"d","d":{"r":%d,"a":%q,"b":%s}}`, c.next, action, body)
	if err := c.conn.Write(ctx, websocket.MessageText, msg); err != nil {
		c.close()
		return nil, err
	}
	for {
		text, err := c.read(ctx)
		if err != nil {
			c.close()
			return nil, err
		}
		var m struct {
			T string
			D struct {
				R int
				B answer
			}
		}
		if err := json.Unmarshal(text, &m); err != nil {
			c.close()
			return nil, fmt.Errorf("the server sends %.80s: %w", text, err)
		}
		if m.T != "d" || m.D.R != c.next {
			continue
		}
		switch s := m.D.B.S; {
		case s == "ok":
			return m.D.B.D, nil
		case s == "datastale" || s == "permission_denied" || strings.HasPrefix(s, "invalid"):
			return nil, refused("%s: %s", action, s)
		default: // which may mean anything
			return nil, fmt.Errorf("%s: %s", action, s)
		}
	}
}

func (c *wsClient) call(ctx context.Context, action string, body any) (json.RawMessage, error) {
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, &refusal{err}
	}
	return c.send(ctx, action, text)
}

func (c *wsClient) get(ctx context.Context, path string, tagged bool) ([]byte, string, error) {
	value, err := c.call(ctx, "g", map[string]any{"p": "/" + path, "q": map[string]any{}})
	if err != nil || !tagged {
		return value, "", err
	}
	if len(value) == 0 {
		value = []byte("null")
	}
	n, err := tree.ParseJSON(value)
	if err != nil {
		return nil, "", &refusal{err}
	}
	return value, hashTag + tree.Hash(n), nil
}

// hashTag makes a tag of every hash: that of nothing is empty.
const hashTag = "hash:"

func (c *wsClient) put(ctx context.Context, path, tag string, value []byte) error {
	body := map[string]any{"p": "/" + path, "d": json.RawMessage(value)}
	if hash, ok := strings.CutPrefix(tag, hashTag); ok {
		body["h"] = hash
	}
	_, err := c.call(ctx, "p", body)
	return err
}

func (c *wsClient) patch(ctx context.Context, path string, values []byte) error {
	_, err := c.call(ctx, "m", map[string]any{"p": "/" + path, "d": json.RawMessage(values)})
	return err
}
