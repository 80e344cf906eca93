package audit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func open(t testing.TB, o Options) *Log {
	t.Helper()
	if o.FS == nil {
		o.FS = vfs.NewMem()
	}
	o.Dir = "audit"
	if o.Now == nil {
		o.Now = func() time.Time { return start }
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func events(t testing.TB, fs vfs.FS) (list []Event) {
	t.Helper()
	for e, err := range Events(fs, "audit") {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

func targets(list []Event) string {
	var names []string
	for _, e := range list {
		names = append(names, e.Target)
	}
	return strings.Join(names, " ")
}

func TestLine(t *testing.T) {
	e := Event{Time: start, Act: RulesReplaced, Who: "admin", From: "127.0.0.1:5", Database: "d", Details: map[string]string{"bytes": "12"}}
	want := `{"time":"2026-01-02T03:04:05Z","act":"rules.replaced","outcome":"done","who":"admin","from":"127.0.0.1:5","database":"d","details":{"bytes":"12"}}` + "\n"
	if got := string(e.line()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	long := Event{Act: "x.y", Target: strings.Repeat("é", maxField), Reason: "\xff", Details: map[string]string{}}
	for i := range 100 {
		long.Details[fmt.Sprint(i)] = strings.Repeat("v", 2*maxField)
	}
	if got := long.line(); len(got) > (maxDetails+2)*(maxField+20) || !strings.Contains(string(got), `"reason":"�"`) {
		t.Errorf("a line of %d bytes", len(got))
	}
	if long.Details["99"] == "" || len(long.Details) != 100 {
		t.Error("the caller's event was changed")
	}
}

// What was acknowledged is there after the power is cut, whatever else is.
func TestCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		fs := vfs.NewCrashableMem()
		l := open(t, Options{FS: fs, Retain: 1 << 20, FileBytes: 600})
		var mu sync.Mutex
		acknowledged := map[string]bool{}
		var crashed *vfs.MemFS
		var must map[string]bool
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 10 {
					name := fmt.Sprintf("%d-%d", g, i)
					if err := l.Record(Event{Act: "test.done", Target: name}); err != nil {
						t.Error(err)
					}
					mu.Lock()
					acknowledged[name] = true
					if len(acknowledged) == 20 {
						must = map[string]bool{}
						for n := range acknowledged {
							must[n] = true
						}
						crashed = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		again := open(t, Options{FS: crashed, FileBytes: 600})
		if err := again.Record(Event{Act: "test.done", Target: "after"}); err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, e := range events(t, crashed) {
			if found[e.Target] {
				t.Errorf("%s is there twice", e.Target)
			}
			found[e.Target] = true
		}
		for n := range must {
			if !found[n] {
				t.Errorf("%s was acknowledged and is gone", n)
			}
		}
		if !found["after"] {
			t.Error("what was recorded after the crash is not read")
		}
	}
}

// A line that was cut off is not joined with the next, and is passed over.
func TestTornLine(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, Options{FS: fs})
	if err := l.Record(Event{Act: "test.done", Target: "a"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := fs.OpenReadWrite("audit/audit-000001.jsonl", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(`{"time":"2026-`), info.Size()); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l = open(t, Options{FS: fs})
	if err := l.Record(Event{Act: "test.done", Target: "b"}); err != nil {
		t.Fatal(err)
	}
	if got := targets(events(t, fs)); got != "a b" {
		t.Errorf("events %q, want a and b", got)
	}
}

func TestRotation(t *testing.T) {
	fs := vfs.NewMem()
	const retain, size = 4000, 500
	for i := range 100 {
		l := open(t, Options{FS: fs, Retain: retain, FileBytes: size}) // also across starts
		for j := range 3 {
			if err := l.Record(Event{Act: "test.done", Target: fmt.Sprintf("%d-%d", i, j)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	found, err := list(fs, "audit")
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, f := range found {
		total += f.size
		if f.size > size {
			t.Errorf("file %d has %d bytes", f.number, f.size)
		}
	}
	if total > retain+size || total < retain-2*size {
		t.Errorf("%d bytes are kept of %d", total, retain)
	}
	kept := events(t, fs)
	for i, e := range kept {
		n := 300 - len(kept) + i
		if want := fmt.Sprintf("%d-%d", n/3, n%3); e.Target != want {
			t.Fatalf("event %d of %d is %s, want %s: the newest are kept, without gaps", i, len(kept), e.Target, want)
		}
	}
}

// Alike refusals are one line a minute; other acts are never left out.
func TestRefusals(t *testing.T) {
	fs := vfs.NewMem()
	now := start
	counted := 0
	l := open(t, Options{FS: fs, Now: func() time.Time { return now }, OnEvent: func(Event) { counted++ }})
	try := func(from string) {
		t.Helper()
		if err := l.Record(Event{Act: AdminRefused, Outcome: Refused, From: from, Database: "d"}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		try(fmt.Sprintf("10.0.0.1:%d", i)) // another port is not another guesser
		if err := l.Record(Event{Act: RulesReplaced, Target: "/"}); i%500 == 0 && err != nil {
			t.Fatal(err)
		}
	}
	try("10.0.0.2:1")
	now = now.Add(refusalWindow)
	try("10.0.0.1:1")
	try("10.0.0.1:2")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	acts := 0
	for _, e := range events(t, fs) {
		if e.Act == RulesReplaced {
			acts++
			continue
		}
		got = append(got, fmt.Sprintf("%s+%d", e.From, e.Repeated))
	}
	want := "10.0.0.1:0+0 10.0.0.2:1+0 10.0.0.1:999+999 10.0.0.1:1+0 10.0.0.1:2+1"
	if strings.Join(got, " ") != want || acts != 1000 {
		t.Errorf("refusals %s and %d acts, want %s and 1000", got, acts, want)
	}
	if counted != 2003 {
		t.Errorf("the hook heard of %d events, want 2003", counted)
	}
}

func TestManyGuessers(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, Options{FS: fs})
	for i := range 10000 {
		if err := l.Record(Event{Act: AdminRefused, Outcome: Refused, From: fmt.Sprintf("10.%d.%d.1:1", i/256, i%256)}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(events(t, fs)); n != maxRefusals+1 {
		t.Errorf("%d lines for 10,000 addresses, want %d", n, maxRefusals+1)
	}
	if n := len(l.refused.seen); n > maxRefusals+1 {
		t.Errorf("%d addresses are remembered", n)
	}
}

// A disk that fails is reported each time, and when it works again so does the journal.
func TestDiskFails(t *testing.T) {
	mem := vfs.NewMem()
	fail := false
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fail && op.Kind == errorfs.OpFileSync {
			return errors.New("no more disk")
		}
		return nil
	}))
	l := open(t, Options{FS: fs})
	if err := l.Record(Event{Act: "test.done", Target: "a"}); err != nil {
		t.Fatal(err)
	}
	fail = true
	for range 3 {
		if err := l.Record(Event{Act: "test.done", Target: "lost"}); err == nil {
			t.Error("what was not synced was acknowledged")
		}
	}
	fail = false
	if err := l.Record(Event{Act: "test.done", Target: "b"}); err != nil {
		t.Fatal(err)
	}
	got := targets(events(t, mem))
	if !strings.HasPrefix(got, "a") || !strings.HasSuffix(got, "b") {
		t.Errorf("events %q, want a first and b last", got)
	}
}

// What is recorded later is there when the journal has been closed.
func TestRecordLater(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, Options{FS: fs})
	for range 100 {
		l.RecordLater(Event{Act: "test.done"})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(events(t, fs)); n != 100 {
		t.Errorf("%d events are there", n)
	}
}

func TestClosed(t *testing.T) {
	l := open(t, Options{})
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Record(Event{Act: "test.done"}); !errors.Is(err, ErrClosed) {
		t.Errorf("recording after Close: %v", err)
	}
	var none *Log
	if none.Record(Event{}) != nil || none.Close() != nil {
		t.Error("a nil journal fails")
	}
}
