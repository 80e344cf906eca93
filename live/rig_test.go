package live

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/db"
	"rebase/jsonscan"
	"rebase/query"
	"rebase/store"
	"rebase/tree"
	"rebase/vlog/mem"
)

// rig is a database with a hub, on memory.
type rig struct {
	t     testing.TB
	hub   *Hub
	db    *db.DB
	write *db.Session
}

func newRig(t testing.TB) *rig {
	s, err := store.Open("data", store.Options{FS: vfs.NewMem(), CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := New(slog.New(slog.DiscardHandler))
	d, err := db.Open(context.Background(), db.Options{Log: mem.New(), Store: s, Observer: h, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h.Attach(d)
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, hub: h, db: d, write: d.NewSession("test", "", db.Root)}
}

func (r *rig) do(op *db.Op) {
	r.t.Helper()
	if res := r.write.Do(context.Background(), op); res.Err != nil {
		r.t.Fatalf("%+v: %v", op, res.Err)
	}
}

func (r *rig) set(p tree.Path, json string) {
	r.t.Helper()
	r.do(&db.Op{Kind: db.OpSet, Path: p, Value: parse(r.t, json)})
}

// merge takes path=json pairs.
func (r *rig) merge(base tree.Path, pairs ...string) {
	r.t.Helper()
	op := &db.Op{Kind: db.OpMerge, Path: base}
	for _, pair := range pairs {
		p, v, _ := strings.Cut(pair, "=")
		op.Updates = append(op.Updates, db.Update{Path: tree.Path(p), Value: parse(r.t, v)})
	}
	r.do(op)
}

func parse(t testing.TB, s string) *tree.Node {
	t.Helper()
	n, err := tree.ParseJSON([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return n
}

func parseQuery(t testing.TB, s string) query.Query {
	t.Helper()
	if s == "" {
		return query.Query{}
	}
	q, err := query.ParseWire(jsonscan.New([]byte(s)))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return q
}

// client is a subscriber that keeps what it was told, and its view of the data.
type client struct {
	r    *rig
	l    *Listener
	mu   sync.Mutex
	got  []string
	data *tree.Node // the node at the listener's path, as an SDK would have it
	lost bool
}

func (r *rig) listen(p tree.Path, q string) *client {
	r.t.Helper()
	c := r.prepare(p, q)
	c.l.Start()
	return c
}

// prepare reads the initial data but does not start.
func (r *rig) prepare(p tree.Path, q string) *client {
	r.t.Helper()
	c := &client{r: r}
	var err error
	if c.l, err = r.hub.Listen("test", p, parseQuery(r.t, q), db.Root, c); err != nil {
		r.t.Fatal(err)
	}
	if c.data, _, _, err = c.l.Initial(0); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (c *client) Deliver(ev *Event, l *Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, text(ev))
	if ev.Kind == Lost || ev.Kind == Revoked {
		c.lost = c.lost || ev.Kind == Lost
		return
	}
	updates := ev.Updates
	if ev.Kind == Put {
		updates = []db.Update{{Priority: ev.Priority, Value: ev.Value}}
	}
	for _, u := range updates {
		at := ev.Path.Join(u.Path)
		switch {
		case !l.Path().Contains(at):
			c.data = u.Value.At(l.Path().Rel(at))
		case u.Priority:
			c.data = c.data.SetPriority(at.Rel(l.Path()), u.Value)
		default:
			c.data = c.data.Set(at.Rel(l.Path()), u.Value)
		}
	}
}

func text(ev *Event) string {
	switch ev.Kind {
	case Lost:
		return "lost"
	case Revoked:
		return "revoked"
	case Put:
		name := "put"
		if ev.Priority {
			name = "priority"
		}
		return fmt.Sprintf("%s /%s %s", name, ev.Path, tree.AppendExport(nil, ev.Value))
	}
	parts := []string{}
	for _, u := range ev.Updates {
		name := string(u.Path)
		if u.Priority {
			name += "/.priority"
		}
		parts = append(parts, fmt.Sprintf("%s=%s", name, tree.AppendExport(nil, u.Value)))
	}
	return fmt.Sprintf("merge /%s %s", ev.Path, strings.Join(parts, " "))
}

// want demands exactly these events since the last call.
func (c *client) want(events ...string) {
	c.r.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	got, want := strings.Join(c.got, "\n"), strings.Join(events, "\n")
	if got != want {
		c.r.t.Errorf("told:\n%s\nwant:\n%s", got, want)
	}
	c.got = nil
}

func (c *client) view() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(tree.AppendExport(nil, c.data))
}
