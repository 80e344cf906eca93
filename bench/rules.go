package bench

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// The rules of a chat: twenty rules, on three levels, and one look into another part of the tree for each message that is
// written and each room that is listened to.
//
//go:embed rules.json
var chatRules []byte

// underRules measures what rules cost: the same work by the same users, in turns on a database with rules and on one without.
func underRules(ctx context.Context, s *server, r *Report, connections, listeners int, d time.Duration) error {
	const rounds = 3
	var chats [2]*chat // without rules, and with them
	for i := range chats {
		c, err := newChat(ctx, s, fmt.Sprintf("%s-chat%d", s.target.Namespace, i), connections, listeners, i == 1)
		if err != nil {
			return err
		}
		defer c.close()
		chats[i] = c
	}
	for range rounds {
		for _, c := range chats {
			if err := c.messages(ctx, s, d/rounds/2); err != nil {
				return err
			}
		}
		for _, c := range chats {
			if err := c.typing(ctx, s, d/rounds/2); err != nil {
				return err
			}
		}
	}
	free, ruled := chats[0], chats[1]
	name := fmt.Sprintf("rules: %d durable writers", connections)
	r.add(name, "without rules", free.written.rate(), "1/s", "")
	r.add(name, "under 20 rules", ruled.written.rate(), "1/s", "")
	r.add(name, "share of throughput lost", 1-ruled.written.rate()/free.written.rate(), "", "<= 0.2")
	if free.written.cpu > 0 {
		r.add(name, "server CPU per write, without", free.written.cost(), "µs", "")
		r.add(name, "server CPU per write, under rules", ruled.written.cost(), "µs", "")
	}
	name = fmt.Sprintf("rules: fan-out to %d", listeners)
	r.add(name, "deliveries without rules", free.delivered.rate(), "1/s", "")
	r.add(name, "deliveries under 20 rules", ruled.delivered.rate(), "1/s", "")
	r.add(name, "share of throughput lost", 1-ruled.delivered.rate()/free.delivered.rate(), "", "<= 0.2")
	return nil
}

// tally is how much was done in how much time.
type tally struct {
	n         float64
	took, cpu time.Duration
}

func (t *tally) rate() float64 { return t.n / t.took.Seconds() }
func (t *tally) cost() float64 { return t.cpu.Seconds() * 1e6 / t.n }

// measure counts what f does.
func (t *tally) measure(s *server, f func() (n float64, err error)) error {
	before, _ := s.cpu()
	begin := time.Now()
	n, err := f()
	t.took += time.Since(begin)
	after, _ := s.cpu()
	t.n += n
	t.cpu += after - before
	return err
}

// chat is a room in which all users are members.
type chat struct {
	users     []*conn
	listeners []*listener
	writer    *writer
	running   sync.WaitGroup

	written, delivered tally
}

func newChat(ctx context.Context, s *server, namespace string, users, listeners int, rules bool) (c *chat, err error) {
	c = &chat{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	at := Target{s.target.URL, namespace}
	if err := c.prepare(ctx, at, max(users, listeners), rules); err != nil {
		return nil, err
	}
	for i := range users {
		u, err := dialAs(ctx, at, 4<<10, i)
		if err != nil {
			return nil, err
		}
		c.users = append(c.users, u)
	}
	for i := range listeners {
		u, err := dialAs(ctx, at, 64<<10, i)
		if err != nil {
			return nil, err
		}
		l := &listener{conn: u}
		c.listeners = append(c.listeners, l)
		if err := u.call("q", `"p":"/rooms/r/typing","h":""`, nil); err != nil {
			return nil, err
		}
		c.running.Go(l.run)
	}
	u, err := dialAs(ctx, at, 64<<10, 0)
	if err != nil {
		return nil, err
	}
	c.writer = newWriterOn(u, "/rooms/r/typing")
	return c, nil
}

// prepare makes the room and its members, and puts the rules in force.
func (c *chat) prepare(ctx context.Context, t Target, users int, rules bool) error {
	body := []byte(`{"rooms/r":{"owner":"u0","title":"room"}`)
	for i := range users {
		body = fmt.Appendf(body, `,"members/r/u%d":true`, i)
	}
	if err := put(ctx, http.MethodPatch, t, "/.json", append(body, '}')); err != nil || !rules {
		return err
	}
	return put(ctx, http.MethodPut, t, "/.settings/rules.json", chatRules)
}

// put sends a request of the administrator of an open server.
func put(ctx context.Context, method string, t Target, path string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, t.URL+path+"?ns="+t.Namespace, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer owner")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)); res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	return nil
}

// dialAs is dial as the user ui, by the kind of token that an open server believes.
func dialAs(ctx context.Context, t Target, bufSize, i int) (*conn, error) {
	c, err := dial(ctx, t, bufSize)
	if err != nil {
		return nil, err
	}
	e := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iss":"bench","sub":"u%d","user_id":"u%d","iat":0,"exp":3600,"firebase":{"sign_in_provider":"custom"}}`, i, i)
	token := e([]byte(`{"alg":"none","type":"JWT"}`)) + "." + e([]byte(claims)) + "."
	if err := c.call("auth", `"cred":"`+token+`"`, nil); err != nil {
		c.close()
		return nil, fmt.Errorf("auth: %w", err)
	}
	return c, nil
}

// messages has all users write messages.
func (c *chat) messages(ctx context.Context, s *server, d time.Duration) error {
	text := string(bytes.Repeat([]byte{'v'}, payloadBytes))
	return c.written.measure(s, func() (float64, error) {
		begin := time.Now()
		rate, _, err := writeRound(ctx, c.users, d, func(i, r int) string {
			return fmt.Sprintf(`"p":"/rooms/r/messages/c%dk%d","d":{"author":"u%d","text":"%s"}`, i, r, i, text)
		})
		return rate * time.Since(begin).Seconds(), err
	})
}

// typing has one user write to what everybody listens to, as fast as they take it.
func (c *chat) typing(ctx context.Context, s *server, d time.Duration) error {
	return c.delivered.measure(s, func() (float64, error) {
		from := c.writer.seq
		err := saturate(ctx, c.listeners, c.writer, d)
		return float64(c.writer.seq-from) * float64(len(c.listeners)), err
	})
}

func (c *chat) close() {
	for _, u := range c.users {
		u.close()
	}
	for _, l := range c.listeners {
		l.conn.close()
	}
	if c.writer != nil {
		c.writer.conn.close()
	}
	c.running.Wait()
}
