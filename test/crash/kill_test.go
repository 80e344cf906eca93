package crash

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"rebase/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// kills is how often the server is killed, over both tests.
func kills(t *testing.T, ordinary int) int {
	text := os.Getenv("REBASE_CRASH_KILLS")
	if text == "" {
		return ordinary
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return (n + 1) / 2
}

// fleet is a set of workers on one data folder.
type fleet struct {
	t       *testing.T
	data    string
	flags   []string
	rng     *rand.Rand
	workers []*worker
	server  *harness.Server
	txn     int64 // the shared node after the last check
}

func newFleet(t *testing.T, seed uint64, flags ...string) *fleet {
	f := &fleet{t: t, data: filepath.Join(t.TempDir(), "data"), flags: flags, rng: rand.New(rand.NewPCG(seed, 1))}
	for i, name := range []string{"a", "b", "c", "d", "e", "f"} {
		w := newWorker(t, name, seed)
		w.resend = i%2 == 1
		w.rest = i >= 4
		f.workers = append(f.workers, w)
	}
	return f
}

func (f *fleet) start() {
	f.t.Helper()
	f.server = harness.MustStart(f.t, f.data, f.flags...)
}

// work lets everybody write, kills the server when they are at it, and waits
// until all have noticed.
func (f *fleet) work() {
	f.t.Helper()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for _, w := range f.workers {
		all.Go(func() { w.run(f.server.Addr, stop) })
	}
	// What is sent again has to arrive: were the server killed before, it would know
	// nothing of it when it is sent again once more.
	for _, w := range f.workers {
		w.mu.Lock()
		for w.repeating > 0 && !w.broken {
			w.moved.Wait()
		}
		w.mu.Unlock()
	}
	time.Sleep(time.Duration(f.rng.IntN(600)) * time.Millisecond)
	f.server.Kill()
	close(stop)
	all.Wait()
}

// check compares what the restarted server has with the workers' records.
func (f *fleet) check() {
	f.t.Helper()
	leaves, err := flatten(export(f.t, f.server.Addr))
	if err != nil {
		f.t.Fatal(err)
	}
	want, txn, doubt := 0, f.txn, int64(0)
	for _, w := range f.workers {
		shared, err := w.settle(leaves)
		if err != nil {
			f.t.Fatal(err)
		}
		want += shared
		txn += int64(w.txnAcked)
		doubt += int64(w.txnDoubt)
		w.txnAcked, w.txnDoubt = 0, 0
	}
	if got := leaves["shared/count"]; got != strconv.Itoa(want) && (want > 0 || got != "") {
		f.t.Fatalf("the shared counter is %s; %d increments of it have been applied", got, want)
	}
	got, _ := strconv.ParseInt(leaves["shared/txn"], 10, 64)
	if got < txn || got > txn+doubt {
		f.t.Fatalf("%d transactions have counted; %d were acknowledged and %d more are in doubt", got, txn, doubt)
	}
	f.txn = got
}

func (f *fleet) stop() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := f.server.Stop(ctx); err != nil {
		f.t.Fatalf("%v\n%s", err, f.server.Output())
	}
}

func (f *fleet) report(kills int) {
	acked, doubt, again := 0, 0, 0
	for _, w := range f.workers {
		acked, doubt, again = acked+w.acked, doubt+w.inDoubt, again+w.reapplied
	}
	f.t.Logf("%d kills, %d operations acknowledged, %d in doubt, %d of them sent again though they had been applied", kills, acked, doubt, again)
	if acked == 0 || doubt == 0 {
		f.t.Errorf("%d operations acknowledged and %d in doubt: the test has tested nothing", acked, doubt)
	}
}

// export reads the whole database.
func export(t *testing.T, addr string) []byte {
	t.Helper()
	text, err := get(addr, "/.json?format=export&ns="+ns)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func get(addr, path string) ([]byte, error) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + path)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.300s", path, res.Status, text)
	}
	return text, err
}

// The whole log is kept, so that in the end the state can be compared with what the
// log alone gives.
func TestKilledServerLosesNothing(t *testing.T) {
	t.Parallel()
	n := kills(t, 8)
	f := newFleet(t, harness.Seed(t), "--log-retain", "100GiB", "--checkpoint-every", "300ms", "--cache", "16MiB")
	f.start()
	for range n {
		f.work()
		f.start()
		f.check()
	}
	f.report(n)
	f.stop()
	lived := openCopy(t, f.data, true)
	replayed := openCopy(t, f.data, false)
	if !bytes.Equal(lived, replayed) {
		t.Errorf("the store has %d bytes of state, replaying the log from its start gives %d bytes; they differ from byte %d",
			len(lived), len(replayed), commonPrefix(lived, replayed))
	}
}

// Checkpoints come often, the log is trimmed behind them, and files are used again.
func TestKilledServerThatTrimsLosesNothing(t *testing.T) {
	t.Parallel()
	n := kills(t, 4)
	f := newFleet(t, harness.Seed(t), "--log-retain", "1MiB", "--checkpoint-every", "100ms", "--cache", "16MiB")
	for _, w := range f.workers[:2] {
		w.blobs = true
	}
	f.start()
	for range n {
		f.work()
		f.start()
		f.check()
	}
	f.report(n)
	f.stop()
	if first := firstPosition(t, f.data); first <= 1 {
		t.Error("the log was never trimmed")
	} else {
		t.Logf("the log begins at position %d", first)
	}
	f.start()
	f.check()
}

func commonPrefix(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
