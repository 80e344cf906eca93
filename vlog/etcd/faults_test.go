package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"rebase/test/engines"
	"rebase/vlog"
	"rebase/vlog/logtest"
)

// The suite on three members, of which every one answers reads, also one that lags.
func TestConformanceOnThree(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the suite runs on one member")
	}
	logtest.Run(t, newBench(engines.EtcdCluster(t, 3).Client(t)).subject())
}

// rig is three members, two processes with a Loglet in common, and appenders that do not rest.
type rig struct {
	t       testing.TB
	members engines.EtcdMembers
	handles []*Loglet
	h       *history
	stop    chan struct{}
	wg      sync.WaitGroup
	acks    atomic.Int64
	sealed  atomic.Bool
}

func newRig(t testing.TB, writers int) *rig {
	members := engines.EtcdCluster(t, 3)
	b := newBench(members.Client(t))
	r := &rig{t: t, members: members, h: newHistory(), stop: make(chan struct{})}
	r.handles = []*Loglet{b.create(t)}
	second := newBench(members.Client(t))
	second.opts.Prefix = b.opts.Prefix
	r.handles = append(r.handles, second.again(t, r.handles[0]))
	for _, l := range r.handles {
		t.Cleanup(func() { l.Close() })
	}
	for w := range writers {
		r.wg.Go(func() {
			for i := 1; ; i++ {
				select {
				case <-r.stop:
					return
				default:
				}
				after := r.sealed.Load()
				err := r.h.append(bg, r.handles[w%2], w, i)
				if errors.Is(err, vlog.ErrSealed) {
					return
				}
				if err != nil || after {
					t.Errorf("append: %v; begun after the seal: %v", err, after)
					return
				}
				r.acks.Add(1)
			}
		})
	}
	return r
}

// proceed waits until n more appends have been acknowledged.
func (r *rig) proceed(n int64) {
	r.t.Helper()
	for target, began := r.acks.Load()+n, time.Now(); r.acks.Load() < target; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			r.t.Fatalf("no progress: %d of %d", r.acks.Load(), target)
		}
	}
}

func (r *rig) finish() {
	r.t.Helper()
	close(r.stop)
	r.wg.Wait()
	for _, l := range r.handles {
		r.h.check(r.t, l)
	}
}

// Members are killed and paused one after the other, the leader among them, while two processes append and follow.
func TestFaults(t *testing.T) {
	t.Parallel()
	r := newRig(t, 6)
	followed := make(chan int)
	for _, l := range r.handles {
		go func() {
			n := 0
			for {
				tail, err := l.WaitTail(bg, vlog.Position(n+2))
				if err != nil {
					t.Errorf("wait: %v", err)
					break
				}
				for n+1 < int(tail.Next) {
					es, err := l.Read(bg, vlog.Position(n+1), tail.Next, 1<<20)
					if err != nil || len(es) == 0 {
						t.Errorf("read at %d: %d entries, %v", n+1, len(es), err)
						followed <- n
						return
					}
					n += len(es)
				}
				if tail.Sealed {
					break
				}
			}
			followed <- n
		}()
	}
	r.proceed(200)
	for i := range 2 {
		leader := r.members.Leader(t)
		leader.Kill()
		r.proceed(100)
		leader.Restart(t)
		leader.Await(t)
		r.proceed(50)
		if i == 0 {
			leader = r.members.Leader(t)
			leader.Pause()
			r.proceed(40)
			leader.Continue()
			leader.Await(t)
			r.proceed(50)
		}
	}
	// Without a majority everything waits, and goes on when it is back.
	r.members[0].Kill()
	r.members[1].Kill()
	short, cancel := context.WithTimeout(bg, 300*time.Millisecond)
	if _, err := r.handles[0].Tail(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("tail without a majority: %v", err)
	}
	if err := r.handles[1].Seal(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("seal without a majority: %v", err)
	}
	cancel()
	r.members[0].Restart(t)
	r.members[1].Restart(t)
	if tail, err := r.handles[0].Tail(bg); err != nil {
		t.Fatal(err)
	} else if !tail.Sealed { // the seal may have been on its way
		r.proceed(100)
		if err := r.handles[0].Seal(bg); err != nil {
			t.Fatal(err)
		}
	}
	r.finish()
	for range r.handles {
		if n := <-followed; n != len(r.h.acked)+len(r.h.open) {
			t.Logf("followed %d entries; %d acknowledged, %d open", n, len(r.h.acked), len(r.h.open))
			if n < len(r.h.acked) {
				t.Error("a follower has missed entries")
			}
		}
	}
}

// The log is sealed while the leader dies, under appends. Nothing is acknowledged that began after the seal, and what was
// acknowledged lies below the one final tail.
func TestSealWhileTheLeaderDies(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.proceed(100)
	leader := r.members.Leader(t)
	leader.Kill()
	var wg sync.WaitGroup
	tails := make([]vlog.Tail, len(r.handles))
	for i, l := range r.handles {
		wg.Go(func() {
			if err := l.Seal(bg); err != nil {
				t.Errorf("seal: %v", err)
			}
			r.sealed.Store(true)
			tail, err := l.Tail(bg)
			if err != nil || !tail.Sealed {
				t.Errorf("tail = %+v, %v", tail, err)
			}
			tails[i] = tail
		})
	}
	wg.Wait()
	leader.Restart(t)
	r.finish()
	for i, l := range r.handles {
		if tail, err := l.Tail(bg); err != nil || tail != tails[0] || tail != tails[i] {
			t.Errorf("the final tail was %+v, %+v and is %+v, %v", tails[0], tails[i], tail, err)
		}
	}
}

// The seal does not wait for a writer that hangs.
func TestSealWhileAWriterHangs(t *testing.T) {
	t.Parallel()
	etcd := engines.Etcd(t)
	plain := newBench(etcd.Client(t))
	b, _ := over(t, plain, etcd.Client(t), 1)
	hanging := &hanger{KV: b.client.KV.(*unreliable).KV, release: make(chan struct{})}
	l := plain.create(t)
	defer l.Close()
	b.client.KV = hanging.KV
	stuck := b.again(t, l)
	b.client.KV = hanging
	appended := make(chan error)
	go func() {
		_, err := stuck.Append(bg, []byte("hangs"))
		appended <- err
	}()
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	wantTail(t, l, 1, true)
	close(hanging.release)
	if err := <-appended; !errors.Is(err, vlog.ErrSealed) {
		t.Fatalf("the append that hung: %v", err)
	}
	wantTail(t, l, 1, true)
	stuck.Close()
}

// hanger holds transactions back until it is released.
type hanger struct {
	clientv3.KV
	release chan struct{}
}

func (h *hanger) Txn(ctx context.Context) clientv3.Txn {
	<-h.release
	return h.KV.Txn(ctx)
}

// While etcd is away calls wait, for as long as their context allows; Close does not.
func TestAway(t *testing.T) {
	t.Parallel()
	etcd := engines.Etcd(t)
	b := newBench(etcd.Client(t))
	var log lines
	b.opts.Logger = log.logger()
	l := b.create(t)
	mustAppend(t, l, "before")
	etcd.Kill()
	short, cancel := context.WithTimeout(bg, 200*time.Millisecond)
	defer cancel()
	_, appendErr := l.Append(short, []byte("open"))
	_, tailErr := l.Tail(short)
	_, waitErr := l.WaitTail(short, 3)
	_, trimErr := l.Trim(short, 1)
	_, readErr := b.again2(t, l, short)
	for i, err := range []error{appendErr, tailErr, waitErr, trimErr, readErr, l.Seal(short)} {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("call %d while etcd is away: %v", i, err)
		}
	}
	done := make(chan error)
	go func() {
		_, err := l.Append(bg, []byte("after"))
		done <- err
	}()
	etcd.Restart(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(logtest.All(t, l, 1)); got != "[before open after]" && got != "[before after]" {
		t.Fatalf("log is %s", got)
	}
	etcd.Kill()
	go func() {
		_, err := l.Append(bg, []byte("cut off"))
		done <- err
	}()
	for {
		l.mu.Lock()
		busy := l.committing
		l.mu.Unlock()
		if busy {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, vlog.ErrClosed) {
		t.Errorf("append under way at Close: %v", err)
	}
}

// again2 opens l another time with a context.
func (b *bench) again2(_ testing.TB, l *Loglet, ctx context.Context) (vlog.Loglet, error) {
	id, _, _ := parseIndex(b.opts.Prefix, l.keys.index)
	return Provider(b.opts)(ctx, vlog.LogletSpec{ID: id, Config: l.Config()})
}

// A full etcd makes the log wait. Trimming works, and makes room together with what an operator does.
func TestFull(t *testing.T) {
	t.Parallel()
	etcd := engines.EtcdCluster(t, 1, "--quota-backend-bytes", fmt.Sprint(24<<20))[0]
	client := etcd.Client(t)
	b := newBench(client)
	var log lines
	b.opts.Logger = log.logger()
	l := b.create(t)
	defer l.Close()
	var last atomic.Uint64
	done := make(chan error, 1)
	go func() {
		for i := range 60 {
			p, err := l.Append(bg, pattern(i, 900_000))
			if err != nil {
				done <- err
				return
			}
			last.Store(uint64(p))
		}
		done <- nil
	}()
	trims := 0
	for finished := false; !finished; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			finished = true
		case <-time.After(20 * time.Millisecond):
			if !l.health.isFull() {
				continue
			}
			trims++
			if first, err := l.Trim(bg, vlog.Position(last.Load()+1)); err != nil || uint64(first) < last.Load() {
				t.Fatalf("trim of a full log = %d, %v", first, err)
			}
			// The operator's part. etcd carries the compaction out behind its answer.
			ctx, cancel := context.WithTimeout(bg, 10*time.Second)
			time.Sleep(200 * time.Millisecond)
			if _, err := client.Defragment(ctx, etcd.ClientURL); err != nil {
				t.Fatal(err)
			}
			if _, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
	}
	if trims == 0 {
		t.Fatal("54 MB went into 24")
	}
	if !log.contains("quota is full") || !log.contains("takes writes again") {
		t.Errorf("the operator was told:\n%s", &log)
	}
}

// A change of the register by several at once, on an unreliable way and while the leader dies: every version has one successor.
func TestMetaUnderFaults(t *testing.T) {
	t.Parallel()
	members := engines.EtcdCluster(t, 3)
	plain := members.Client(t)
	type write struct {
		value          string
		after, version uint64
	}
	var mu sync.Mutex
	var acked []write
	var wg sync.WaitGroup
	for w := range uint64(3) {
		b, _ := over(t, newBench(plain), members.Client(t), w)
		wg.Go(func() {
			m := Meta(b.client, "/meta")
			for i := range 40 {
				_, version, err := m.Load(bg)
				if err != nil {
					t.Errorf("load: %v", err)
					return
				}
				value := fmt.Sprintf("%d/%d after %d", w, i, version)
				v, err := m.Store(bg, []byte(value), version)
				if err == nil {
					mu.Lock()
					acked = append(acked, write{value, version, v})
					mu.Unlock()
				}
			}
		})
	}
	leader := members.Leader(t)
	leader.Kill()
	wg.Wait()
	// The history of the key tells what was stored: each value under the version that it says it came after.
	first, err := plain.Get(bg, "/meta")
	if err != nil || len(first.Kvs) != 1 {
		t.Fatalf("get: %v", err)
	}
	stored := map[uint64]string{}
	previous := uint64(0)
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	for r := range plain.Watch(ctx, "/meta", clientv3.WithRev(first.Kvs[0].CreateRevision)) {
		for _, e := range r.Events {
			var w, i int
			var after uint64
			if _, err := fmt.Sscanf(string(e.Kv.Value), "%d/%d after %d", &w, &i, &after); err != nil || after != previous {
				t.Fatalf("%q was stored after version %d (%v)", e.Kv.Value, previous, err)
			}
			previous = uint64(e.Kv.ModRevision)
			stored[previous] = string(e.Kv.Value)
		}
		if previous >= uint64(first.Kvs[0].ModRevision) {
			break
		}
	}
	if len(acked) == 0 {
		t.Fatal("nothing was stored")
	}
	for _, w := range acked {
		if stored[w.version] != w.value {
			t.Errorf("%q was acknowledged as version %d, which is %q", w.value, w.version, stored[w.version])
		}
	}
}

// A client of no server that answers: Load waits for it, Store does not.
func TestMetaAway(t *testing.T) {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{fmt.Sprintf("http://127.0.0.1:%d", engines.FreePort(t))}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	short, cancel := context.WithTimeout(bg, 100*time.Millisecond)
	defer cancel()
	if _, _, err := Meta(client, "/meta").Load(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("load: %v", err)
	}
	if _, err := Meta(client, "/meta").Store(short, nil, 0); err == nil || errors.Is(err, vlog.ErrConflict) {
		t.Errorf("store: %v", err)
	}
}
