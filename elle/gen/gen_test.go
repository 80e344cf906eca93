package gen

import (
	"bytes"
	"fmt"
	"testing"
)

// written is a history as EDN.
func written(t testing.TB, o Options) []byte {
	t.Helper()
	var out []byte
	if err := Run(o, func(e *Event) error { out = e.AppendEDN(out); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// everything is a set of options that lets all happen.
func everything(w Workload, l Level, seed uint64) Options {
	return Options{Seed: seed, Workload: w, Level: l, Txns: 400, Processes: 6, Keys: 4, MaxWrites: 12,
		Fail: 0.05, Info: 0.05, FinalRead: true, Inject: Anomalies(w)}
}

func TestSameSeedSameHistory(t *testing.T) {
	for w := range workloads {
		for _, l := range Levels() {
			a, b := written(t, everything(w, l, 7)), written(t, everything(w, l, 7))
			if !bytes.Equal(a, b) {
				t.Errorf("%v, %v: two runs differ", w, l)
			}
			if bytes.Equal(a, written(t, everything(w, l, 8))) {
				t.Errorf("%v, %v: the seed changes nothing", w, l)
			}
		}
	}
}

// TestWellFormed holds histories against what every history must be.
func TestWellFormed(t *testing.T) {
	for w := range workloads {
		for _, l := range Levels() {
			t.Run(fmt.Sprint(w, l), func(t *testing.T) {
				open, gone := map[int64]int{}, map[int64]bool{}
				var index, now int64
				outcomes := map[Type]int{}
				written := map[[2]int64]bool{}
				err := Run(everything(w, l, 3), func(e *Event) error {
					if e.Index != index || e.Time <= now && index > 0 {
						t.Fatalf("entry %d has index %d and time %d after %d", index, e.Index, e.Time, now)
					}
					index, now = index+1, e.Time
					if gone[e.Process] {
						t.Fatalf("entry %d: process %d is back", e.Index, e.Process)
					}
					if e.Type == Invoke {
						if open[e.Process] != 0 {
							t.Fatalf("entry %d: process %d has an open operation", e.Index, e.Process)
						}
						open[e.Process] = len(e.Ops)
						for _, op := range e.Ops {
							if op.Kind == Read {
								if op.Known {
									t.Fatalf("entry %d invokes a read with a result", e.Index)
								}
							} else if at := [2]int64{op.Key, op.Val}; w != Counter && written[at] {
								t.Fatalf("entry %d: key %d gets %d twice", e.Index, op.Key, op.Val)
							} else {
								written[at] = true
							}
						}
						return nil
					}
					if open[e.Process] != len(e.Ops) {
						t.Fatalf("entry %d completes %d steps of %d", e.Index, len(e.Ops), open[e.Process])
					}
					open[e.Process] = 0
					gone[e.Process] = e.Type == Info
					outcomes[e.Type]++
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if outcomes[OK] < 50 || outcomes[Fail] == 0 || outcomes[Info] == 0 {
					t.Errorf("outcomes: %v", outcomes)
				}
				for p, n := range open {
					if n != 0 {
						t.Errorf("process %d never completes", p)
					}
				}
			})
		}
	}
}

func TestEntriesAsText(t *testing.T) {
	e := Event{Index: 4, Time: 5, Process: 6, Type: OK, F: "txn", list: true, Ops: []Op{
		{Kind: Append, Key: 1, Val: 2}, {Kind: Read, Key: 3, Known: true, List: []int64{7, 8}}, {Kind: Read, Key: 9}}}
	if got, want := string(e.AppendEDN(nil)), "{:index 4, :time 5, :type :ok, :process 6, :f :txn, :value [[:append 1 2] [:r 3 [7 8]] [:r 9 nil]]}\n"; got != want {
		t.Errorf("EDN: %s", got)
	}
	if got, want := string(e.AppendJSON(nil)), `{"index":4,"time":5,"type":"ok","process":6,"f":"txn","value":[["append",1,2],["r",3,[7,8]],["r",9,null]]}`+"\n"; got != want {
		t.Errorf("JSON: %s", got)
	}
	e = Event{Type: OK, F: "read", Ops: []Op{{Kind: Read, Known: true, Set: true, Val: 3}}}
	if got, want := string(e.AppendJSON(nil)), `{"index":0,"time":0,"type":"ok","process":0,"f":"read","value":3}`+"\n"; got != want {
		t.Errorf("JSON: %s", got)
	}
}

func TestNamesThatDoNotExist(t *testing.T) {
	if _, err := ParseLevel("pretty-good"); err == nil {
		t.Error("a level of any name")
	}
	if _, err := ParseWorkload("pretty-good"); err == nil {
		t.Error("a workload of any name")
	}
	if err := Run(Options{Inject: []string{"G7"}}, nil); err == nil {
		t.Error("an anomaly of any name")
	}
	for _, l := range Levels() {
		if got, err := ParseLevel(l.String()); got != l || err != nil {
			t.Errorf("%v is read as %v, %v", l, got, err)
		}
	}
}

func BenchmarkListAppend(b *testing.B) {
	for _, l := range []Level{ReadCommitted, Causal, SnapshotIsolation, StrictSerializable} {
		b.Run(l.String(), func(b *testing.B) {
			b.ReportAllocs()
			var line []byte
			n := 0
			err := Run(Options{Level: l, Txns: b.N, Info: 0.001}, func(e *Event) error {
				line = e.AppendEDN(line[:0])
				n += len(line)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n)/float64(b.N), "bytes/op")
		})
	}
}
