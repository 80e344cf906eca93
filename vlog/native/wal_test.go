package native

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
	"rebase/vlog/native/core"
)

// disks are file systems of log servers, which lose what was not synced whenever they are opened again.
type disks []*vfs.MemFS

func newDisks(n int) (d disks) {
	for range n {
		d = append(d, vfs.NewCrashableMem())
	}
	return d
}

func (d disks) open(i int) (vlog.Loglet, error) {
	d[i] = d[i].CrashClone(vfs.CrashCloneCfg{})
	return local.Open("wal", local.Options{FS: d[i], SegmentBytes: 16 << 10})
}

func newLocalOnDisks(t testing.TB, d disks) *Local {
	l, err := newLocalOn(len(d), func(i int) (storage, error) {
		log, err := d.open(i)
		if err != nil {
			return nil, err
		}
		w, err := openWAL(log)
		if err == nil {
			w.slack = 100 // so that checkpoints are written, and reopening is quick
		}
		return w, err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// On files, with the power failing at every reopening.
func TestConformanceOnFiles(t *testing.T) {
	cluster := newLocalOnDisks(t, newDisks(3))
	var last atomic.Uint64
	logtest.Run(t, logtest.Subject{
		New: func(t testing.TB) logtest.Log {
			// Those before it are over. Otherwise every reopening would read all that was ever written here.
			id := last.Add(1)
			l, err := cluster.Open(vlog.LogletSpec{ID: id, Create: true, Lowest: id})
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		Reopen: func(t testing.TB, closed logtest.Log) logtest.Log {
			for i := range 3 {
				if err := errors.Join(cluster.Stop(i), cluster.Start(i)); err != nil {
					t.Fatal(err)
				}
			}
			return open(t, cluster, closed.(*Loglet).segment)
		},
	})
}

// A server whose disk comes back empty is another one: it does not count.
func TestEmptyDiskIsRefused(t *testing.T) {
	d := newDisks(3)
	cluster := newLocalOnDisks(t, d)
	l := open(t, cluster, 1)
	defer l.Close()
	if err := cluster.Stop(2); err != nil { // it will know of nothing
		t.Fatal(err)
	}
	if _, err := l.Append(bg, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Stop(0); err != nil {
		t.Fatal(err)
	}
	d[0] = vfs.NewCrashableMem()
	if err := errors.Join(cluster.Start(0), cluster.Start(2), cluster.Stop(1)); err != nil {
		t.Fatal(err)
	}
	// Servers 0 and 2 would be a majority that has never heard of the entry.
	fresh := open(t, cluster, 1)
	defer fresh.Close()
	sealed := make(chan error)
	go func() { sealed <- fresh.Seal(bg) }()
	if err := cluster.Start(1); err != nil {
		t.Fatal(err)
	}
	if err := <-sealed; err != nil {
		t.Fatal(err)
	}
	if tail, err := fresh.Tail(bg); err != nil || tail != (vlog.Tail{Next: 2, Sealed: true}) {
		t.Fatalf("tail %+v, %v", tail, err)
	}
}

// A server whose disk fails says nothing more, and the others go on.
func TestFailedDisk(t *testing.T) {
	logs := []*mem.Loglet{mem.New(), mem.New(), mem.New()}
	cluster, err := NewLocalOn(3, func(i int) (vlog.Loglet, error) { return logs[i], nil })
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	l := open(t, cluster, 1)
	defer l.Close()
	for i := range 30 {
		if i == 10 {
			if err := logs[1].Seal(bg); err != nil { // it takes no more records
				t.Fatal(err)
			}
		}
		if p, err := l.Append(bg, fmt.Append(nil, i)); err != nil || int(p) != i+1 {
			t.Fatal(p, err)
		}
	}
	if got := logtest.All(t, l, 1); len(got) != 30 {
		t.Fatalf("%d entries", len(got))
	}
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if tail, err := l.Tail(bg); err != nil || tail != (vlog.Tail{Next: 31, Sealed: true}) {
		t.Fatalf("tail %+v, %v", tail, err)
	}
	if cluster.servers[1].Failed() == nil {
		t.Fatal("the server has not noticed")
	}
}

// The storage on a log against the one in memory: random records, reopenings, and trims that make it write checkpoints.
func TestWALAgainstMemory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var files mem.Storage
		create := true
		reopen := func() *wal {
			log, err := files.Provider()(bg, vlog.LogletSpec{ID: 1, Create: create})
			if err != nil {
				rt.Fatal(err)
			}
			w, err := openWAL(log)
			if err != nil {
				rt.Fatal(err)
			}
			create, w.slack = false, 5
			return w
		}
		w, model := reopen(), newMemory(0)
		identity := w.Identity()
		next := map[core.Key]vlog.Position{}
		lowest := map[uint16]uint64{}
		draw := func(rt *rapid.T) core.Key { // of two chains and two incarnations
			chain := uint16(rapid.IntRange(0, 1).Draw(rt, "chain"))
			return core.Key{Loglet: max(lowest[chain], core.Number(chain, 0, 1)) + uint64(rapid.IntRange(0, 2).Draw(rt, "loglet")),
				Incarnation: uint64(rapid.IntRange(7, 8).Draw(rt, "incarnation"))}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				var records []core.Record
				for range rapid.IntRange(1, 6).Draw(rt, "records") {
					id := draw(rt)
					if next[id] == 0 {
						records = append(records, core.Record{Kind: core.RecordOpen, Key: id})
						next[id] = 1
					}
					kind := rapid.IntRange(0, 13).Draw(rt, "kind")
					if next[id] >= 100 && kind > 3 {
						continue
					}
					switch kind {
					case 0:
						records = append(records, core.Record{Kind: core.RecordSeal, Key: id})
					case 13:
						records = append(records, core.Record{Kind: core.RecordDrop, Key: id})
						next[id] = 100 // nothing is written to it any more
					case 1, 2:
						p := vlog.Position(rapid.IntRange(1, int(next[id])).Draw(rt, "trim"))
						records = append(records, core.Record{Kind: core.RecordTrim, Key: id, Pos: p})
					case 3:
						if rapid.IntRange(0, 5).Draw(rt, "drop") == 0 {
							low := core.Record{Kind: core.RecordLow, Key: core.Key{Loglet: id.Loglet + 1}}
							lowest[id.Chain()] = low.Loglet
							records = append(records, low)
							for old := range next {
								if low.Covers(old) {
									delete(next, old)
								}
							}
						}
					case 4:
						next[id] += 3 // a gap
						fallthrough
					default:
						records = append(records, core.Record{Kind: core.RecordEntry, Key: id, Pos: next[id], Payload: fmt.Appendf(nil, "%d/%d", id, next[id])})
						next[id]++
					}
				}
				if err := errors.Join(w.Append(records), model.Append(records)); err != nil {
					rt.Fatal(err)
				}
			},
			"reopen": func(rt *rapid.T) {
				if err := w.Close(); err != nil {
					rt.Fatal(err)
				}
				w = reopen()
			},
			"read": func(rt *rapid.T) {
				id := draw(rt)
				from := vlog.Position(rapid.IntRange(1, 30).Draw(rt, "from"))
				limit := rapid.IntRange(0, 40).Draw(rt, "limit")
				got, err := w.Read(id, from, from+9, limit)
				want, _ := model.Read(id, from, from+9, limit)
				// Less is allowed, but not nothing.
				if err != nil || len(got) > len(want) || (len(got) == 0) != (len(want) == 0) {
					rt.Fatalf("read of %d at %d: %q, %v; want %q", id, from, got, err, want)
				}
				for i := range got {
					if !bytes.Equal(got[i], want[i]) {
						rt.Fatalf("read of %d at %d: %q; want %q", id, from, got, want)
					}
				}
			},
			"": func(rt *rapid.T) {
				var got, want []string
				take := func(to *[]string) func(core.Record) {
					return func(r core.Record) { *to = append(*to, fmt.Sprintf("%+v", r)) }
				}
				if err := errors.Join(w.Replay(take(&got)), model.Replay(take(&want))); err != nil {
					rt.Fatal(err)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) || w.Identity() != identity {
					rt.Fatalf("replay gives\n%v, want\n%v", got, want)
				}
			},
		})
		if err := w.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// What every loglet has trimmed leaves the log below.
func TestWALIsTrimmed(t *testing.T) {
	log := mem.New()
	w, err := openWAL(log)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.slack = 10
	key := core.Key{Loglet: 1, Incarnation: 1}
	records := []core.Record{{Kind: core.RecordOpen, Key: key}}
	for p := vlog.Position(1); p <= 100; p++ {
		records = append(records, core.Record{Kind: core.RecordEntry, Key: key, Pos: p, Payload: []byte("x")})
	}
	records = append(records, core.Record{Kind: core.RecordTrim, Key: key, Pos: 91})
	if err := w.Append(records); err != nil {
		t.Fatal(err)
	}
	if first, err := log.Trim(bg, 0); err != nil || first < 90 {
		t.Fatalf("the log begins at %d, %v", first, err)
	}
}

// A log that is none of ours is refused, and so is one whose identity is gone.
func TestWALRefusesOthers(t *testing.T) {
	for _, payload := range []string{"", "\xff\x01\x01", "\x01", string(encodeRecord(nil, core.Record{Kind: core.RecordOpen, Key: core.Key{Loglet: 1, Incarnation: 2}}))} {
		log := mem.New()
		if _, err := log.Append(bg, []byte(payload)); err != nil {
			t.Fatal(err)
		}
		if _, err := openWAL(log); err == nil {
			t.Errorf("a log with %q was taken", payload)
		}
	}
	log := mem.New()
	if err := log.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if _, err := openWAL(log); err == nil {
		t.Error("a sealed log was taken")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(encodeRecord(nil, core.Record{Kind: core.RecordEntry, Key: core.Key{Loglet: 3, Incarnation: 9}, Pos: 400, Payload: []byte("x")}))
	f.Add(encodeRecord(nil, core.Record{Kind: core.RecordSeal, Key: core.Key{Loglet: 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := decodeRecord(b)
		if !ok {
			return
		}
		if again := encodeRecord(nil, r); !bytes.Equal(again, b) {
			t.Fatalf("%x is %+v is %x", b, r, again)
		}
	})
}
