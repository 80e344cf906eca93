package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"rebase/test/engines"
	"rebase/vlog"
	"rebase/vlog/logtest"
)

// unreliable is a way to etcd on which requests and answers are lost, repeated and late.
type unreliable struct {
	clientv3.KV
	mu   sync.Mutex
	rng  *rand.Rand
	late sync.WaitGroup
	hits map[string]int
}

var errInjected = status.Error(codes.Unavailable, "injected")

func (u *unreliable) draw() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.rng.IntN(12)
}

func (u *unreliable) count(what string) {
	u.mu.Lock()
	u.hits[what]++
	u.mu.Unlock()
}

func (u *unreliable) Txn(ctx context.Context) clientv3.Txn { return &lossyTxn{u: u, ctx: ctx} }

func (u *unreliable) Get(ctx context.Context, key string, o ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if u.draw() == 0 {
		return nil, errInjected
	}
	return u.KV.Get(ctx, key, o...)
}

func (u *unreliable) Delete(ctx context.Context, key string, o ...clientv3.OpOption) (*clientv3.DeleteResponse, error) {
	switch u.draw() {
	case 0:
		return nil, errInjected
	case 1:
		if _, err := u.KV.Delete(ctx, key, o...); err != nil {
			return nil, err
		}
		return nil, errInjected
	}
	return u.KV.Delete(ctx, key, o...)
}

type lossyTxn struct {
	u                *unreliable
	ctx              context.Context
	conditions       []clientv3.Cmp
	then, elseBranch []clientv3.Op
}

func (t *lossyTxn) If(cs ...clientv3.Cmp) clientv3.Txn   { t.conditions = cs; return t }
func (t *lossyTxn) Then(ops ...clientv3.Op) clientv3.Txn { t.then = ops; return t }
func (t *lossyTxn) Else(ops ...clientv3.Op) clientv3.Txn { t.elseBranch = ops; return t }

func (t *lossyTxn) send(ctx context.Context) (*clientv3.TxnResponse, error) {
	return t.u.KV.Txn(ctx).If(t.conditions...).Then(t.then...).Else(t.elseBranch...).Commit()
}

func (t *lossyTxn) Commit() (*clientv3.TxnResponse, error) {
	switch t.u.draw() {
	case 0:
		t.u.count("request lost")
		return nil, errInjected
	case 1:
		t.u.count("answer lost")
		if _, err := t.send(t.ctx); err != nil {
			return nil, err
		}
		return nil, errInjected
	case 2:
		t.u.count("repeated")
		if _, err := t.send(t.ctx); err != nil {
			return nil, err
		}
	case 3:
		t.u.count("late")
		t.u.late.Add(1)
		go func() {
			defer t.u.late.Done()
			time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			t.send(ctx)
		}()
		return nil, errInjected
	}
	return t.send(t.ctx)
}

// over returns a bench whose requests go an unreliable way.
func over(t testing.TB, b *bench, client *clientv3.Client, seed uint64) (*bench, *unreliable) {
	u := &unreliable{KV: client.KV, rng: rand.New(rand.NewPCG(seed, 1)), hits: map[string]int{}}
	client.KV = u
	t.Cleanup(func() {
		u.late.Wait()
		client.KV = u.KV
	})
	return &bench{client: client, opts: Options{Client: func([]string) (*clientv3.Client, error) { return client, nil }, Prefix: b.opts.Prefix, Logger: b.opts.Logger}}, u
}

// history checks what several writers have appended. An entry is "writer/number"; each writer waits for one before the next.
type history struct {
	mu    sync.Mutex
	acked map[string]vlog.Position
	open  map[string]bool // their outcome is not known
}

func newHistory() *history {
	return &history{acked: map[string]vlog.Position{}, open: map[string]bool{}}
}

// append appends an entry and notes what became of it.
func (h *history) append(ctx context.Context, l *Loglet, writer, number int) error {
	body := fmt.Sprintf("%d/%d", writer, number)
	p, err := l.Append(ctx, []byte(body))
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.acked[body] = p
	} else {
		h.open[body] = true
	}
	return err
}

// check reads the whole log: nothing acknowledged is missing or elsewhere, nothing is doubled, and no writer's entries
// have changed places.
func (h *history) check(t testing.TB, l *Loglet) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	last := map[int]int{}
	all := logtest.All(t, l, 1)
	for i, body := range all {
		p := vlog.Position(i + 1)
		if seen[body] {
			t.Fatalf("%s stands in the log twice, the second time at %d", body, p)
		}
		seen[body] = true
		var writer, number int
		if _, err := fmt.Sscanf(body, "%d/%d", &writer, &number); err != nil {
			t.Fatalf("%q at %d", body, p)
		}
		if number <= last[writer] {
			t.Fatalf("%s stands behind number %d", body, last[writer])
		}
		last[writer] = number
		if at, ok := h.acked[body]; ok && at != p {
			t.Fatalf("%s was acknowledged at %d and stands at %d", body, at, p)
		} else if !ok && !h.open[body] {
			t.Fatalf("%s at %d was never appended", body, p)
		}
	}
	for body, p := range h.acked {
		if !seen[body] {
			t.Fatalf("%s was acknowledged at %d and is not there", body, p)
		}
	}
	if tail, err := l.Tail(bg); err != nil || int(tail.Next) != len(all)+1 {
		t.Fatalf("%d entries and the tail is %+v, %v", len(all), tail, err)
	}
}

// Requests and answers are lost, repeated and late, between several processes and etcd. What etcd did all the same is not
// done again.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	etcd := engines.Etcd(t)
	plain := newBench(etcd.Client(t))
	for seed := range uint64(6) {
		l := plain.create(t)
		h := newHistory()
		var handles []*Loglet
		hits := map[string]int{}
		var ways []*unreliable
		for i := range uint64(2) {
			b, u := over(t, plain, etcd.Client(t), seed*10+i)
			handles = append(handles, b.again(t, l))
			ways = append(ways, u)
		}
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for i := range 30 {
					if err := h.append(bg, handles[w%2], w, i+1); err != nil {
						t.Errorf("append: %v", err)
					}
				}
			})
		}
		wg.Wait()
		for _, handle := range handles {
			h.check(t, handle)
		}
		// The same for the seal, and what is late arrives after it.
		for w, handle := range handles {
			wg.Go(func() {
				for i := 0; h.append(bg, handle, 10+w, i+1) == nil; i++ {
				}
			})
		}
		if err := handles[0].Seal(bg); err != nil {
			t.Fatal(err)
		}
		tail, err := l.Tail(bg)
		if err != nil || !tail.Sealed {
			t.Fatalf("tail = %+v, %v", tail, err)
		}
		wg.Wait()
		for _, u := range ways {
			u.late.Wait()
			for what, n := range u.hits {
				hits[what] += n
			}
		}
		if after, err := l.Tail(bg); err != nil || after != tail {
			t.Fatalf("the final tail was %+v and is %+v, %v", tail, after, err)
		}
		h.check(t, l)
		for _, what := range []string{"request lost", "answer lost", "repeated", "late"} {
			if hits[what] == 0 {
				t.Errorf("seed %d: no %s", seed, what)
			}
		}
		for _, handle := range append(handles, l) {
			if err := handle.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A large Append, a Trim and a removal bear it as well.
func TestLostAnswersOfLargeAppends(t *testing.T) {
	t.Parallel()
	etcd := engines.Etcd(t)
	plain := newBench(etcd.Client(t))
	b, u := over(t, plain, etcd.Client(t), 7)
	l := b.create(t)
	var want []string
	for i := range 4 {
		large := string(pattern(i, 2<<20+i))
		mustAppend(t, l, "small", large, "")
		want = append(want, "small", large, "")
	}
	other := plain.again(t, l)
	defer other.Close()
	got := logtest.All(t, other, 1)
	if len(got) != len(want) {
		t.Fatalf("%d entries", len(got))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("entry %d has %d bytes, want %d", i+1, len(got[i]), len(want[i]))
		}
	}
	if first, err := l.Trim(bg, 7); err != nil || first != 7 {
		t.Fatalf("trim = %d, %v", first, err)
	}
	if err := l.Remove(bg); err != nil {
		t.Fatal(err)
	}
	u.late.Wait() // what is late finds nothing that it could write to
	if keys := plain.keys(t, l); len(keys) != 0 {
		t.Fatalf("left: %q", keys)
	}
	if _, err := other.Append(bg, []byte("x")); !errors.Is(err, vlog.ErrClosed) {
		t.Fatalf("append to a removed loglet: %v", err)
	}
}
