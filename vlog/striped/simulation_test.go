package striped

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rebase/vlog"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
)

// seeds is how many histories TestSimulation makes; REBASE_SEEDS sets another number.
func seeds(t *testing.T) int {
	s := os.Getenv("REBASE_SEEDS")
	if s == "" {
		return 300
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("REBASE_SEEDS: %v", err)
	}
	return n
}

// slow is a stripe behind a slow network, in the time of synctest. Like a native loglet's, its sealed tail may grow: an append that the seal
// has overtaken may come to light when the tail is asked for again, though its appender was told that the stripe is sealed.
type slow struct {
	shared *slowLog
	delay  func() time.Duration
	ctx    context.Context
	close  context.CancelFunc
}

type slowLog struct {
	vlog.Loglet // mem, never sealed itself
	mu          sync.Mutex
	rng         *rand.Rand
	sealed      bool
	sealing     chan struct{}
	limbo       [][][]byte
	lowest      vlog.Position // the lowest tail told since the seal
}

func newSlowLog(rng *rand.Rand) *slowLog {
	return &slowLog{Loglet: mem.New(), rng: rng, sealing: make(chan struct{})}
}

func (s *slow) pause(ctx context.Context) error {
	s.shared.mu.Lock()
	d := s.delay()
	s.shared.mu.Unlock()
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return vlog.ErrClosed
	}
}

func (s *slow) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	if err := s.pause(ctx); err != nil {
		return 0, err
	}
	l := s.shared
	l.mu.Lock()
	if l.sealed {
		if l.rng.IntN(2) == 0 {
			l.limbo = append(l.limbo, payloads)
		}
		l.mu.Unlock()
		return 0, vlog.ErrSealed
	}
	p, err := l.Loglet.Append(context.Background(), payloads...)
	l.mu.Unlock()
	if err == nil {
		err = s.pause(ctx)
	}
	return p, err
}

func (s *slow) Tail(ctx context.Context) (vlog.Tail, error) {
	if err := s.pause(ctx); err != nil {
		return vlog.Tail{}, err
	}
	l := s.shared
	l.mu.Lock()
	t, err := l.Loglet.Tail(context.Background())
	t.Sealed = l.sealed
	if l.sealed {
		if l.lowest == 0 {
			l.lowest = t.Next
		} else if len(l.limbo) > 0 && l.rng.IntN(2) == 0 { // a repair
			if _, err = l.Loglet.Append(context.Background(), l.limbo[0]...); err == nil {
				t.Next += vlog.Position(len(l.limbo[0]))
			}
			l.limbo = l.limbo[1:]
		}
	}
	l.mu.Unlock()
	if err == nil {
		err = s.pause(ctx)
	}
	return t, err
}

func (s *slow) WaitTail(ctx context.Context, p vlog.Position) (vlog.Tail, error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	l := s.shared
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-l.sealing:
			cancel()
		case <-stop:
		}
	}()
	t, err := l.Loglet.WaitTail(waiting, p)
	if s.ctx.Err() != nil {
		return t, vlog.ErrClosed
	}
	l.mu.Lock()
	sealed := l.sealed
	l.mu.Unlock()
	if sealed { // observed behind the tail, which may have grown since
		return s.Tail(s.ctx)
	}
	if err != nil {
		return t, err
	}
	return t, s.pause(ctx)
}

func (s *slow) Read(ctx context.Context, from, to vlog.Position, n int) ([]vlog.Entry, error) {
	if err := s.pause(ctx); err != nil {
		return nil, err
	}
	return s.shared.Loglet.Read(ctx, from, to, n)
}

func (s *slow) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	return s.shared.Loglet.Trim(ctx, before)
}

func (s *slow) Seal(ctx context.Context) error {
	if err := s.pause(ctx); err != nil {
		return err
	}
	s.shared.mu.Lock()
	if !s.shared.sealed {
		s.shared.sealed = true
		close(s.shared.sealing)
	}
	s.shared.mu.Unlock()
	return s.pause(ctx)
}

func (s *slow) Close() error { s.close(); return nil }

// TestSimulation: writers on several handles, in stripes of differing speed, and a seal at some moment, which may be begun by one who dies after the first
// stripe. The histories are checked against a log that does one thing after the other.
func TestSimulation(t *testing.T) {
	for seed := range seeds(t) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, uint64(seed)) }) {
			return
		}
	}
}

type acked struct {
	body       string
	at         vlog.Position
	begin, end time.Time
}

type seen struct {
	tail   vlog.Tail
	begin  time.Time
	waited bool // by WaitTail, which need not know of what was acknowledged beyond what it was asked for
}

func simulate(t *testing.T, seed uint64) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 1 + rng.IntN(4)
		var logs []*slowLog
		var speeds []time.Duration
		for i := range n {
			logs = append(logs, newSlowLog(rand.New(rand.NewPCG(seed, uint64(10+i)))))
			speeds = append(speeds, time.Duration(1+rng.IntN(20))*100*time.Microsecond)
		}
		open := func() *Loglet {
			var stripes []vlog.Loglet
			for i, l := range logs {
				s := &slow{shared: l, delay: func() time.Duration { return time.Duration(1 + l.rng.Int64N(int64(speeds[i]))) }}
				s.ctx, s.close = context.WithCancel(bg)
				stripes = append(stripes, s)
			}
			return New(stripes...)
		}
		var mu sync.Mutex
		var acks []acked
		var tails []seen
		var wg sync.WaitGroup
		var handles []*Loglet
		sealAt := time.Duration(rng.IntN(60)) * time.Millisecond
		for h := range 1 + rng.IntN(3) {
			l := open()
			handles = append(handles, l)
			for w := range 1 + rng.IntN(4) {
				think := time.Duration(rng.IntN(3000)) * time.Microsecond
				wg.Go(func() {
					for i := 0; ; i++ {
						begin := time.Now()
						body := fmt.Sprintf("%d-%d/%04d", h, w, i)
						p, err := l.Append(bg, []byte(body), []byte(body+"+"))
						if errors.Is(err, vlog.ErrSealed) {
							return
						}
						if err != nil {
							t.Errorf("append: %v", err)
							return
						}
						mu.Lock()
						acks = append(acks, acked{body, p, begin, time.Now()})
						mu.Unlock()
						time.Sleep(think)
					}
				})
			}
			wg.Go(func() {
				for p := vlog.Position(1); ; {
					begin := time.Now()
					t1, err := l.WaitTail(bg, p+1)
					if err != nil {
						t.Errorf("wait: %v", err)
						return
					}
					mu.Lock()
					tails = append(tails, seen{t1, begin, true})
					mu.Unlock()
					if t1.Sealed {
						return
					}
					if t1.Next <= p {
						t.Errorf("waited for %d, got %d", p+1, t1.Next)
						return
					}
					p = t1.Next
					begin = time.Now()
					if t1, err = l.Tail(bg); err != nil {
						t.Errorf("tail: %v", err)
						return
					}
					mu.Lock()
					tails = append(tails, seen{t1, begin, false})
					mu.Unlock()
				}
			})
		}
		time.Sleep(sealAt)
		if rng.IntN(2) == 0 {
			// A sealer that dies after one stripe: whoever meets it completes the seal.
			l := logs[rng.IntN(n)]
			l.mu.Lock()
			l.sealed = true
			close(l.sealing)
			l.mu.Unlock()
		} else if err := handles[0].Seal(bg); err != nil {
			t.Errorf("seal: %v", err)
		}
		wg.Wait()
		// The tail that a chain would store.
		reader := open()
		handles = append(handles, reader)
		end, err := reader.Tail(bg)
		if err != nil || !end.Sealed {
			t.Fatalf("tail %+v, %v", end, err)
		}
		// What was told sealed earlier counts as well: the first that a chain has stored is the end.
		for _, s := range tails {
			if s.tail.Sealed {
				end.Next = min(end.Next, s.tail.Next)
			}
		}
		at := map[string]vlog.Position{}
		last := map[string]string{}
		for from := vlog.Position(1); from < end.Next; {
			es, err := reader.Read(bg, from, end.Next, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if len(es) == 0 {
				break
			}
			for _, e := range es {
				body := string(e.Payload)
				if e.Pos < from || at[body] != 0 {
					t.Errorf("%s is at %d, below %d, or at %d, too", body, e.Pos, from, at[body])
				}
				at[body] = e.Pos
				writer, _, _ := cut(body)
				if last[writer] >= body {
					t.Errorf("%s stands behind %s", body, last[writer])
				}
				last[writer] = body
				from = e.Pos + 1
			}
		}
		for _, a := range acks {
			if at[a.body] != a.at || at[a.body+"+"] != a.at+1 {
				t.Errorf("%s, acknowledged at %d, is at %d; the log ends at %d", a.body, a.at, at[a.body], end.Next)
			}
			for _, b := range acks {
				if a.end.Before(b.begin) && a.at >= b.at {
					t.Errorf("%s was acknowledged at %d before %s was begun, which is at %d", a.body, a.at, b.body, b.at)
				}
			}
			for _, s := range tails {
				if a.end.Before(s.begin) && s.tail.Next <= a.at && !s.waited {
					t.Errorf("tail %d after %d had been acknowledged", s.tail.Next, a.at)
				}
			}
		}
		for _, s := range tails {
			if !s.tail.Sealed && s.tail.Next > end.Next {
				t.Errorf("open tail %d beyond the end %d", s.tail.Next, end.Next)
			}
		}
		for _, h := range handles {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func cut(body string) (writer, number string, ok bool) {
	for i := range body {
		if body[i] == '/' {
			return body[:i], body[i+1:], true
		}
	}
	return body, "", false
}

// TestIdleStripes: a lone append beside others that the handle does not know of waits for nobody who does not come.
func TestIdleStripes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := []vlog.Loglet{mem.New(), mem.New(), mem.New()}
		// As another handle would have left it: slots 1 and 2 of the others are not filled.
		for range 5 {
			if _, err := logs[0].Append(bg, nothing); err != nil {
				t.Fatal(err)
			}
		}
		l := New(logs...)
		begin := time.Now()
		p, err := l.Append(bg, []byte("a"))
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := slotOf(p); s != 15 {
			t.Fatalf("append in slot %d", s)
		}
		if took := time.Since(begin); took != moment {
			t.Fatalf("it took %v of the clock, the wait for others is %v", took, moment)
		}
		for i := range 9 {
			begin := time.Now()
			if _, err := l.Append(bg, fmt.Append(nil, i)); err != nil || time.Since(begin) != 0 {
				t.Fatalf("append %d: %v, after %v; a handle that is alone leaves no hole", i, err, time.Since(begin))
			}
		}
		if got := allOf(t, l); fmt.Sprint(got) != "[a 0 1 2 3 4 5 6 7 8]" {
			t.Fatalf("the log is %q", got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func allOf(t *testing.T, l logtest.Log) (out []string) {
	t.Helper()
	for from := vlog.Position(1); ; {
		es, err := l.Read(bg, from, 1<<60, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(es) == 0 {
			return out
		}
		for _, e := range es {
			out = append(out, string(e.Payload))
			from = e.Pos + 1
		}
	}
}
