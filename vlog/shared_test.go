package vlog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rebase/vlog"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
)

// Several processes that share a chain: what one does to it while the other is in the middle of something.

// pair is two Logs, as of two processes, over one register and one storage.
func pair(t testing.TB, w *world) (a, b *vlog.Log) {
	a, b = w.open(t), w.open(t)
	t.Cleanup(func() {
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return a, b
}

func reconfigure(t testing.TB, l *vlog.Log, config string) {
	t.Helper()
	if err := l.Reconfigure(bg, vlog.Segment{Kind: "mem", Config: []byte(config)}); err != nil {
		t.Fatal(err)
	}
}

func TestConformanceOfTwoProcesses(t *testing.T) {
	worlds := map[logtest.Log]*world{}
	var mu sync.Mutex
	open := func(t testing.TB, w *world) logtest.Log {
		mu.Lock()
		defer mu.Unlock()
		l := w.open(t)
		worlds[l] = w
		return l
	}
	logtest.Run(t, logtest.Subject{
		New:     func(t testing.TB) logtest.Log { return open(t, newWorld()) },
		Another: func(t testing.TB, l logtest.Log) logtest.Log { return open(t, worlds[l]) },
	})
}

// A reader that waits at a tail which another process seals must go on in the next segment, and in the one after that.
func TestWaitingReaderFollowsTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newWorld())
		mustAppend(t, a, "a")
		got := make(chan string)
		go func() {
			for p := vlog.Position(2); p < 5; p++ {
				tail, err := b.WaitTail(bg, p+1)
				if err != nil {
					t.Error(err)
				}
				es, err := b.Read(bg, p, tail.Next, 1<<20)
				if err != nil || len(es) == 0 || es[0].Pos != p {
					t.Errorf("read at %d = %v, %v", p, es, err)
				}
				got <- string(es[0].Payload)
			}
		}()
		for i := range 3 {
			synctest.Wait()
			reconfigure(t, a, fmt.Sprint(i))
			synctest.Wait() // the reader has met the seal, and found nothing yet
			mustAppend(t, a, fmt.Sprint(i))
			if s := <-got; s != fmt.Sprint(i) {
				t.Fatalf("the reader got %q", s)
			}
		}
	})
}

// silent is a Loglet that can say nothing any more: its servers were taken away while this process was elsewhere.
type silent struct {
	vlog.Loglet
	off *atomic.Bool
}

func (s silent) hang(ctx context.Context) error {
	if !s.off.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s silent) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	if err := s.hang(ctx); err != nil {
		return 0, err
	}
	return s.Loglet.Append(ctx, payloads...)
}

func (s silent) WaitTail(ctx context.Context, p vlog.Position) (vlog.Tail, error) {
	if err := s.hang(ctx); err != nil {
		return vlog.Tail{}, err
	}
	return s.Loglet.WaitTail(ctx, p)
}

func (s silent) Tail(ctx context.Context) (vlog.Tail, error) { return s.WaitTail(ctx, 0) }

func (s silent) Seal(ctx context.Context) error {
	if err := s.hang(ctx); err != nil {
		return err
	}
	return s.Loglet.Seal(ctx)
}

func (s silent) Read(ctx context.Context, from, to vlog.Position, n int) ([]vlog.Entry, error) {
	if err := s.hang(ctx); err != nil {
		return nil, err
	}
	return s.Loglet.Read(ctx, from, to, n)
}

func TestLogletThatNeverAnswersAgain(t *testing.T) {
	for _, call := range []string{"append", "tail", "wait", "read", "reconfigure", "trim"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				a := w.open(t)
				defer a.Close()
				o := w.options()
				var off atomic.Bool
				plain := o.Providers["mem"]
				o.Providers["mem"] = func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
					l, err := plain(ctx, spec)
					if err == nil && spec.ID == 1 {
						l = silent{l, &off}
					}
					return l, err
				}
				b, err := vlog.Open(bg, o)
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				mustAppend(t, a, "a")
				mustAppend(t, b, "b")
				off.Store(true)
				reconfigure(t, a, "next")
				mustAppend(t, a, "c")
				if _, err := a.Trim(bg, 3); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(bg, time.Minute)
				defer cancel()
				switch call {
				case "append":
					_, err = b.Append(ctx, []byte("d"))
				case "tail":
					var tail vlog.Tail
					if tail, err = b.Tail(ctx); err == nil && tail.Next != 4 {
						t.Errorf("tail %+v", tail)
					}
				case "wait":
					_, err = b.WaitTail(ctx, 4)
				case "read":
					if _, err = b.Read(ctx, 1, 3, 100); errors.Is(err, vlog.ErrTrimmed) {
						err = nil
					}
				case "reconfigure":
					if err = b.Reconfigure(ctx, vlog.Segment{Kind: "mem", Config: []byte("b")}); errors.Is(err, vlog.ErrOvertaken) {
						err = nil
					}
				case "trim":
					_, err = b.Trim(ctx, 100)
				}
				if err != nil {
					t.Error(err)
				}
				if id := b.Chain().Active().ID; id < 2 {
					t.Errorf("the chain in use ends with loglet %d", id)
				}
			})
		})
	}
}

// An entry that a repair has found beyond the end of a segment is not part of the log: its position is the next segment's.
func TestNothingIsReadBeyondTheEnd(t *testing.T) {
	w := newWorld()
	a, b := pair(t, w)
	mustAppend(t, a, "a")
	if _, err := b.Tail(bg); err != nil {
		t.Fatal(err)
	}
	var grow *growing
	o := w.options()
	plain := o.Providers["mem"]
	o.Providers["mem"] = func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		l, err := plain(ctx, spec)
		if err == nil && spec.ID == 1 {
			grow = &growing{Loglet: l}
			l = grow
		}
		return l, err
	}
	c, err := vlog.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reconfigure(t, a, "next")
	grow.zombie.Store(true)
	if es, err := c.Read(bg, 1, 100, 1000); err != nil || len(es) != 1 {
		t.Fatalf("read = %v, %v", es, err)
	}
	if es, err := c.Read(bg, 2, 100, 1000); err != nil || len(es) != 0 {
		t.Fatalf("read beyond the end = %v, %v", es, err)
	}
	mustAppend(t, a, "b")
	if got := logtest.All(t, c, 1); fmt.Sprint(got) != "[a b]" {
		t.Fatalf("log is %q", got)
	}
}

// growing has an entry more than it was sealed with.
type growing struct {
	vlog.Loglet
	zombie atomic.Bool
}

func (g *growing) Tail(ctx context.Context) (vlog.Tail, error) {
	t, err := g.Loglet.Tail(ctx)
	if g.zombie.Load() {
		t.Next++
	}
	return t, err
}

func (g *growing) Read(ctx context.Context, from, to vlog.Position, n int) ([]vlog.Entry, error) {
	es, err := g.Loglet.Read(ctx, from, to, n)
	if t, _ := g.Loglet.Tail(ctx); err == nil && g.zombie.Load() && to > t.Next {
		es = append(es, vlog.Entry{Pos: t.Next, Payload: []byte("zombie")})
	}
	return es, err
}

// A Loglet that has lost what the chain says was written is not taken for one with sparse positions.
func TestLossIsNotTakenForAGap(t *testing.T) {
	w := newWorld()
	a := w.open(t)
	mustAppend(t, a, "a")
	mustAppend(t, a, "b")
	reconfigure(t, a, "next")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	o := w.options()
	plain := o.Providers["mem"]
	o.Providers["mem"] = func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		if spec.ID == 1 {
			l := mem.New()
			return l, errors.Join(func() error { _, err := l.Append(bg, []byte("a")); return err }(), l.Seal(bg))
		}
		return plain(ctx, spec)
	}
	b, err := vlog.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var corrupt *vlog.CorruptError
	if es, err := b.Read(bg, 2, 3, 100); !errors.As(err, &corrupt) {
		t.Fatalf("read of what is lost = %v, %v", es, err)
	}
}

// stuck is a Loglet whose seal waits, as for a majority.
type stuck struct{ vlog.Loglet }

func (stuck) Seal(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func stuckLog(t testing.TB, w *world) *vlog.Log {
	o := w.options()
	plain := o.Providers["mem"]
	o.Providers["mem"] = func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		l, err := plain(ctx, spec)
		if err == nil && spec.ID == 1 {
			l = stuck{l}
		}
		return l, err
	}
	l, err := vlog.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A seal that waits holds up neither those with a context nor Close.
func TestReconfigurationCanBeBrokenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := stuckLog(t, newWorld())
		first := make(chan error)
		go func() { first <- l.Reconfigure(bg, vlog.Segment{Kind: "mem", Config: []byte("x")}) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		if err := l.Reconfigure(ctx, vlog.Segment{Kind: "mem"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second reconfiguration: %v", err)
		}
		if st := l.Status(ctx); st.Err == nil || len(st.Segments) != 1 {
			t.Errorf("status: %+v", st)
		}
		mustAppend(t, l, "goes on")
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-first; !errors.Is(err, vlog.ErrClosed) {
			t.Errorf("the first reconfiguration: %v", err)
		}
	})
}

// While one waits for a seal that will never come, another process goes on without it.
func TestReconfigurationThatIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		l, other := stuckLog(t, w), w.open(t)
		defer l.Close()
		defer other.Close()
		done := make(chan error)
		go func() { done <- l.Reconfigure(bg, vlog.Segment{Kind: "mem", Config: []byte("mine")}) }()
		synctest.Wait()
		reconfigure(t, other, "theirs")
		var overtaken *vlog.OvertakenError
		if err := <-done; !errors.As(err, &overtaken) || string(overtaken.Chain.Active().Config) != "theirs" {
			t.Fatalf("reconfigure: %v", err)
		}
		if got := l.Chain().Active(); string(got.Config) != "theirs" {
			t.Fatalf("in use is %+v", got)
		}
		if err := l.ReconfigureFrom(bg, 1, vlog.Segment{Kind: "mem"}); !errors.Is(err, vlog.ErrOvertaken) {
			t.Fatalf("reconfigure from what was left: %v", err)
		}
	})
}

// shaky is a register that is out of reach now and then.
type shaky struct {
	vlog.MetaStore
	down atomic.Bool
}

var errDown = errors.New("no leader")

func (m *shaky) Load(ctx context.Context) ([]byte, uint64, error) {
	if m.down.Load() {
		return nil, 0, errDown
	}
	return m.MetaStore.Load(ctx)
}

func (m *shaky) Store(ctx context.Context, value []byte, v uint64) (uint64, error) {
	if m.down.Load() {
		return 0, errDown
	}
	return m.MetaStore.Store(ctx, value, v)
}

// Neither a register nor the servers of a new Loglet that are out of reach for a moment end a call.
func TestOutOfReachForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.open(t)
		meta := &shaky{MetaStore: w.meta}
		o := w.options()
		o.Meta = meta
		var unreachable atomic.Bool
		plain := o.Providers["mem"]
		o.Providers["mem"] = func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
			if unreachable.Load() {
				return nil, errors.New("no route to host")
			}
			return plain(ctx, spec)
		}
		b, err := vlog.Open(bg, o)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		for i, off := range []*atomic.Bool{&meta.down, &unreachable} {
			off.Store(true)
			reconfigure(t, a, fmt.Sprint(i))
			ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
			if _, err := b.Append(ctx, []byte("x")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("append without a register: %v", err)
			}
			cancel()
			var wg sync.WaitGroup
			wg.Go(func() { mustAppend(t, b, "b") })
			wg.Go(func() {
				if _, err := b.WaitTail(bg, vlog.Position(i+2)); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(3 * time.Second)
			off.Store(false)
			wg.Wait()
		}
		if got := logtest.All(t, b, 1); fmt.Sprint(got) != "[b b]" {
			t.Errorf("log is %q", got)
		}
		// A register out of reach does not seal the log.
		meta.down.Store(true)
		if err := b.Reconfigure(bg, vlog.Segment{Kind: "mem"}); !errors.Is(err, errDown) {
			t.Errorf("reconfigure without a register: %v", err)
		}
		mustAppend(t, b, "open")
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
}

// tracked counts what becomes of Loglets of which every Create makes another.
type tracked struct {
	*mem.Loglet
	config string
	w      *trackedWorld
}

type trackedWorld struct {
	mu        sync.Mutex
	made      int
	loglets   map[string]*mem.Loglet
	discarded map[string]bool
}

func (l *tracked) Config() []byte { return []byte(l.config) }

func (l *tracked) Discard(context.Context) error {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.w.discarded[l.config] = true
	return l.Close()
}

func (w *trackedWorld) provider(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	config := string(spec.Config)
	if spec.Create {
		w.made++
		config = fmt.Sprint("made ", w.made)
		w.loglets[config] = mem.New()
	}
	l := w.loglets[config]
	if l == nil || w.discarded[config] {
		return nil, vlog.ErrMissing
	}
	return &tracked{l.Another(), config, w}, nil
}

// Many race to reconfigure: one wins each time, the others are told so, and what they made is discarded, and nothing else is.
func TestRacingReconfigurations(t *testing.T) {
	w := newWorld()
	tw := &trackedWorld{loglets: map[string]*mem.Loglet{}, discarded: map[string]bool{}}
	var logs []*vlog.Log
	for range 4 {
		o := w.options()
		o.Providers["tracked"] = tw.provider
		l, err := vlog.Open(bg, o)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		logs = append(logs, l)
	}
	const rounds = 20
	var won atomic.Int64
	var wg sync.WaitGroup
	for _, l := range logs {
		wg.Go(func() {
			for i := range rounds {
				err := l.Reconfigure(bg, vlog.Segment{Kind: "tracked"})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, vlog.ErrOvertaken) {
					t.Error(err)
				}
				mustAppend(t, l, fmt.Sprint(i))
			}
		})
	}
	wg.Wait()
	for _, l := range logs {
		if _, err := l.Tail(bg); err != nil {
			t.Fatal(err)
		}
	}
	chain := logs[0].Chain()
	if n := len(chain.Segments) - 1; int64(n) != won.Load() || n+len(tw.discarded) != tw.made {
		t.Fatalf("%d segments were added, %d callers believe they did it; %d loglets were made, %d discarded", n, won.Load(), tw.made, len(tw.discarded))
	}
	for _, s := range chain.Segments {
		if tw.discarded[string(s.Config)] {
			t.Fatalf("%s is in the chain and was discarded", s.Config)
		}
	}
	if got := logtest.All(t, logs[0], 1); len(got) < 4*rounds {
		t.Fatalf("%d entries", len(got))
	}
}

// late is a register whose next write is reported as failed and happens later.
type late struct {
	mem.Meta
	mu      sync.Mutex
	armed   bool
	pending func() error
}

func (m *late) Store(ctx context.Context, value []byte, v uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.armed {
		return m.Meta.Store(ctx, value, v)
	}
	m.armed = false
	m.pending = func() error { _, err := m.Meta.Store(ctx, value, v); return err }
	return 0, errors.New("timed out")
}

// T8: a conditional write that was given up can still happen. It is written again, the same, and whichever comes first counts, once.
func TestConditionalWriteThatHappensLater(t *testing.T) {
	w := newWorld()
	meta := new(late)
	w.meta = meta
	a, b := pair(t, w)
	mustAppend(t, a, "a")
	meta.armed = true
	reconfigure(t, a, "x")
	mustAppend(t, a, "b")
	if err := meta.pending(); !errors.Is(err, vlog.ErrConflict) {
		t.Fatalf("the late write: %v", err)
	}
	mustAppend(t, b, "c")
	if n := len(b.Chain().Segments); n != 2 {
		t.Fatalf("%d segments", n)
	}
	if got := logtest.All(t, b, 1); fmt.Sprint(got) != "[a b c]" {
		t.Fatalf("log is %q", got)
	}
}

// Another Loglet takes the place of a sealed one; readers of all processes find it, also those that held the old one.
func TestReplace(t *testing.T) {
	w := newWorld()
	a, b := pair(t, w)
	mustAppend(t, a, "a")
	mustAppend(t, a, "b")
	reconfigure(t, a, "next")
	mustAppend(t, b, "c")
	archive := mem.New()
	if _, err := archive.Append(bg, []byte("a")); err != nil {
		t.Fatal(err)
	}
	next := vlog.Segment{Kind: "mem", Config: []byte("archive")}
	for _, wrong := range []uint64{2, 7} { // the active one, and none
		if err := a.Replace(bg, wrong, next, mem.New()); !errors.Is(err, vlog.ErrOvertaken) {
			t.Fatalf("replace of loglet %d: %v", wrong, err)
		}
	}
	for i := range 3 {
		fresh := archive.Another()
		err := a.Replace(bg, 1, next, fresh)
		if err == nil {
			t.Fatalf("case %d: it is too short, or open", i)
		}
		if _, err := fresh.Tail(bg); !errors.Is(err, vlog.ErrClosed) {
			t.Fatalf("case %d: it was not closed: %v", i, err)
		}
		if i == 0 {
			if _, err := archive.Append(bg, []byte("b")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := archive.Seal(bg); err != nil {
		t.Fatal(err)
	}
	stored, err := w.storage.Provider()(bg, vlog.LogletSpec{ID: 1, Config: next.Config, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stored.Append(bg, []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	if err := stored.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if err := a.Replace(bg, 1, next, stored); err != nil {
		t.Fatal(err)
	}
	if _, err := w.storage.Provider()(bg, vlog.LogletSpec{ID: 1, Config: []byte("log")}); !errors.Is(err, vlog.ErrMissing) {
		t.Fatalf("the old loglet's storage: %v", err)
	}
	mustAppend(t, a, "d")
	c := w.open(t)
	defer c.Close()
	for i, l := range []*vlog.Log{a, b, c} {
		if got := logtest.All(t, l, 1); fmt.Sprint(got) != "[a b c d]" {
			t.Fatalf("log %d is %q", i, got)
		}
	}
	st := c.Status(bg)
	if len(st.Segments) != 2 || string(st.Segments[0].Config) != "archive" || !st.Segments[0].Tail.Sealed || st.Segments[1].Tail.Next != 5 || st.Err != nil {
		t.Fatalf("status %+v", st)
	}
}

// unheard is a register whose next answer to a conditional write that has happened is lost, once meanwhile is over.
type unheard struct {
	mem.Meta
	meanwhile func()
}

func (m *unheard) Store(ctx context.Context, value []byte, ifVersion uint64) (uint64, error) {
	v, err := m.Meta.Store(ctx, value, ifVersion)
	if f := m.meanwhile; f != nil && err == nil {
		m.meanwhile = nil
		f()
		return 0, errors.New("timed out")
	}
	return v, err
}

// Who does not hear that his replacement was stored, and finds another's chain on top of it, has won all the same: the old storage goes.
func TestReplaceThatIsNotHeardOf(t *testing.T) {
	w := newWorld()
	meta := new(unheard)
	w.meta = meta
	a, b := pair(t, w)
	mustAppend(t, a, "a")
	reconfigure(t, a, "next")
	next := vlog.Segment{Kind: "mem", Config: []byte("archive")}
	stored, err := w.storage.Provider()(bg, vlog.LogletSpec{ID: 1, Config: next.Config, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stored.Append(bg, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := stored.Seal(bg); err != nil {
		t.Fatal(err)
	}
	meta.meanwhile = func() {
		mustAppend(t, b, "b")
		reconfigure(t, b, "last")
	}
	if err := a.Replace(bg, 1, next, stored); err != nil {
		t.Fatal(err)
	}
	if _, err := stored.Tail(bg); !errors.Is(err, vlog.ErrClosed) {
		t.Errorf("the handle that was given: %v", err)
	}
	if _, err := w.storage.Provider()(bg, vlog.LogletSpec{ID: 1, Config: []byte("log")}); !errors.Is(err, vlog.ErrMissing) {
		t.Errorf("the old loglet's storage: %v", err)
	}
	mustAppend(t, a, "c")
	for i, l := range []*vlog.Log{a, b} {
		if got := logtest.All(t, l, 1); fmt.Sprint(got) != "[a b c]" {
			t.Errorf("log %d is %q", i, got)
		}
	}
}

// What is told of reconfigurations.
func TestOnReconfigure(t *testing.T) {
	w := newWorld()
	var mu sync.Mutex
	events := map[string][]string{}
	open := func(name string) *vlog.Log {
		o := w.options()
		o.OnReconfigure = func(e vlog.Reconfigured) {
			mu.Lock()
			defer mu.Unlock()
			events[name] = append(events[name], fmt.Sprint(e.Kind, e.From.ID, e.To.ID, e.Version))
			if (e.Kind == vlog.Extended) != (e.Stalled > 0) || e.Stalled > e.Took || (e.Kind == vlog.Followed) != (e.Took == 0) {
				t.Errorf("%s took %v, stalled %v", e.Kind, e.Took, e.Stalled)
			}
		}
		l, err := vlog.Open(bg, o)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	a, b := open("a"), open("b")
	defer a.Close()
	defer b.Close()
	mustAppend(t, a, "a")
	reconfigure(t, a, "x")
	mustAppend(t, b, "b")
	if _, err := b.Trim(bg, 2); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(events); got != "map[a:[begin0 1 1 extend1 2 2] b:[follow0 1 1 follow1 2 2 truncate2 2 3]]" {
		t.Fatalf("events %s", got)
	}
}

// mute is a register that takes a chain and does not say so.
type mute struct {
	vlog.MetaStore
	on atomic.Bool
}

func (m *mute) Store(ctx context.Context, value []byte, v uint64) (uint64, error) {
	version, err := m.MetaStore.Store(ctx, value, v)
	if m.on.Load() {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return version, err
}

// Found by the simulation: who finds that the chain has changed while he waits for the answer to his own change was told that another had been faster.
func TestNotOvertakenByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		meta := &mute{MetaStore: w.meta}
		w.meta = meta
		l := w.open(t)
		defer l.Close()
		mustAppend(t, l, "a")
		meta.on.Store(true)
		reconfigure(t, l, "x")
		if c := l.Chain(); string(c.Active().Config) != "x" {
			t.Fatalf("chain is %+v", c)
		}
		mustAppend(t, l, "b")
	})
}

// Found by the simulation: a Loglet that the chain named when it was loaded is gone when it is opened, because another process has dropped it since.
func TestOpenWhileOthersTrim(t *testing.T) {
	w := newWorld()
	a := w.open(t)
	defer a.Close()
	mustAppend(t, a, "a")
	mustAppend(t, a, "b")
	reconfigure(t, a, "next")
	mustAppend(t, a, "c")
	o := w.options()
	plain := o.Providers["mem"]
	trimmed := false
	o.Providers["mem"] = func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		if spec.ID == 1 && !trimmed {
			trimmed = true
			if _, err := a.Trim(bg, 3); err != nil {
				t.Fatal(err)
			}
		}
		return plain(ctx, spec)
	}
	b, err := vlog.Open(bg, o)
	if err != nil || !trimmed {
		t.Fatal(trimmed, err)
	}
	defer b.Close()
	if got := logtest.All(t, b, 3); fmt.Sprint(got) != "[c]" {
		t.Fatalf("log is %q", got)
	}
}

// gone is a Loglet whose storage another process has deleted.
type gone struct {
	vlog.Loglet
	err *atomic.Pointer[error]
}

func (g gone) Read(ctx context.Context, from, to vlog.Position, n int) ([]vlog.Entry, error) {
	if err := g.err.Load(); err != nil {
		return nil, *err
	}
	return g.Loglet.Read(ctx, from, to, n)
}

// Found by the simulation: what was deleted because another Loglet has taken its place is neither trimmed nor lost, and as long as the register
// cannot be asked nobody knows.
func TestReaderOfWhatWasReplaced(t *testing.T) {
	for _, says := range []error{&vlog.TrimmedError{First: 3}, vlog.ErrMissing, &vlog.CorruptError{File: "x"}, errors.New("no such bucket")} {
		t.Run(fmt.Sprint(says), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				a := w.open(t)
				defer a.Close()
				meta := &shaky{MetaStore: w.meta}
				var broken atomic.Pointer[error]
				o := w.options()
				o.Meta = meta
				plain := o.Providers["mem"]
				o.Providers["mem"] = func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
					l, err := plain(ctx, spec)
					if err == nil && string(spec.Config) == "log" {
						l = gone{l, &broken}
					}
					return l, err
				}
				mustAppend(t, a, "a")
				mustAppend(t, a, "b")
				reconfigure(t, a, "next")
				b, err := vlog.Open(bg, o)
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				next := vlog.Segment{Kind: "mem", Config: []byte("archive")}
				stored, err := plain(bg, vlog.LogletSpec{ID: 1, Config: next.Config, Create: true})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := stored.Append(bg, []byte("a"), []byte("b")); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(stored.Seal(bg), a.Replace(bg, 1, next, stored)); err != nil {
					t.Fatal(err)
				}
				broken.Store(&says)
				meta.down.Store(true)
				time.AfterFunc(5*time.Second, func() { meta.down.Store(false) })
				if es, err := b.Read(bg, 1, 3, 100); err != nil || len(es) != 2 {
					t.Fatalf("read = %v, %v", es, err)
				}
			})
		})
	}
}
