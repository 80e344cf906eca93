package elle_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"rebase/elle"
	"rebase/elle/gen"
	"rebase/elle/history"
	"rebase/elle/model"
)

// generated is a history of package gen.
func generated(t testing.TB, o gen.Options) *history.History {
	t.Helper()
	var text []byte
	if err := gen.Run(o, func(e *gen.Event) error { text = e.AppendEDN(text); return nil }); err != nil {
		t.Fatal(err)
	}
	h, err := history.Parse(bytes.NewReader(text), history.ParseOptions{Format: history.EDN})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// levelModel is the model that a level of package gen promises.
func levelModel(t testing.TB, l gen.Level) model.Model {
	if l == gen.Causal {
		return "causal-cerone" // "causal" is that of sessions
	}
	m, err := model.Parse(l.String())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestNothingForbiddenIsReported is soundness: of a store that keeps to its level no history shows what the level forbids.
func TestNothingForbiddenIsReported(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range []gen.Workload{gen.ListAppend, gen.Register} {
		for _, l := range gen.Levels() {
			promised := levelModel(t, l)
			for seed := range uint64(10) {
				h := generated(t, gen.Options{Seed: seed, Workload: w, Level: l, Txns: 60 + 15*int(seed), Processes: 2 + 2*int(seed),
					Keys: 4, MaxWrites: 10, Fail: 0.1, Info: 0.08, FinalRead: seed%2 == 0})
				r := check(t, h, elle.Options{Workload: elle.Workload(w.String())})
				for _, m := range append(slices.Clone(r.Not), r.AlsoNot...) {
					seen[fmt.Sprint(w, " at ", l, " is not ", m)] = true
					if m == promised {
						t.Errorf("%v at %v, seed %d: %v rule out what the store keeps", w, l, seed, r.Types)
						for _, a := range r.Anomalies {
							if slices.Contains(append(a.Type.Rules(), a.Type.Rules()...), m) {
								t.Log(a.Type, r.Explain(a))
							}
						}
					}
				}
			}
		}
	}
	// And levels are told apart.
	for _, want := range []string{
		"list-append at read-uncommitted is not read-committed", "rw-register at read-uncommitted is not read-committed",
		"list-append at read-committed is not snapshot-isolation", "rw-register at read-committed is not read-atomic",
		"list-append at causal is not serializable", "rw-register at causal is not snapshot-isolation",
		"rw-register at prefix is not snapshot-isolation",
		"list-append at parallel-snapshot-isolation is not serializable",
		"list-append at snapshot-isolation is not serializable", "rw-register at snapshot-isolation is not serializable",
		"list-append at serializable is not strong-serializable", "rw-register at serializable is not strong-serializable",
		"list-append at strong-session-serializable is not strong-serializable",
	} {
		if !seen[want] {
			t.Errorf("never seen: %s", want)
		}
	}
}

// TestWhatWasPutInIsReported is completeness, as far as there are names: each anomaly is found among the doings of a store
// that is strictly serializable otherwise, and everything that it rules out is ruled out.
func TestWhatWasPutInIsReported(t *testing.T) {
	for _, w := range []gen.Workload{gen.ListAppend, gen.Register} {
		for _, name := range gen.Anomalies(w) {
			for seed := range uint64(3) {
				o := elle.Options{Workload: elle.Workload(w.String())}
				want := model.Anomaly(name)
				switch name {
				case "G1c-info":
					want = model.CausalCycle
				case "G0", "cyclic-versions":
					o.SequentialKeys = w == gen.Register
				}
				h := generated(t, gen.Options{Seed: seed, Workload: w, Level: gen.StrictSerializable, Txns: int(seed) * 40, Inject: []string{name}})
				r := check(t, h, o)
				if r.Valid != elle.Inconsistent {
					t.Errorf("%v with %s, seed %d: valid is %v", w, name, seed, r.Valid)
					continue
				}
				// Another name will do if it says as much: which cycle is told is the searcher's choice.
				for _, m := range want.Rules() {
					if !slices.Contains(r.Not, m) && !slices.Contains(r.AlsoNot, m) {
						t.Errorf("%v with %s, seed %d: %v do not rule out %s", w, name, seed, r.Types, m)
					}
				}
			}
		}
	}
}

// TestNamesDoNotMatter changes the names of keys, values and processes.
func TestNamesDoNotMatter(t *testing.T) {
	for _, w := range []gen.Workload{gen.ListAppend, gen.Register} {
		for seed := range uint64(8) {
			o := gen.Options{Seed: seed, Workload: w, Level: gen.Levels()[int(seed)%len(gen.Levels())], Txns: 80, MaxWrites: 12, Fail: 0.05, Info: 0.05}
			var plain, renamed []byte
			err := gen.Run(o, func(e *gen.Event) error {
				plain = e.AppendEDN(plain)
				e.Process = 100_000 - 7*e.Process
				e.Ops = slices.Clone(e.Ops)
				for i := range e.Ops {
					op := &e.Ops[i]
					op.Key, op.Val = 5_000_000_000-op.Key, 3*op.Val+op.Key
					op.List = slices.Clone(op.List)
					for j := range op.List {
						op.List[j] = 3*op.List[j] + (5_000_000_000 - op.Key)
					}
				}
				renamed = e.AppendEDN(renamed)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var results []*elle.Result
			for _, text := range [][]byte{plain, renamed} {
				h, err := history.Parse(bytes.NewReader(text), history.ParseOptions{})
				if err != nil {
					t.Fatal(err)
				}
				results = append(results, check(t, h, elle.Options{Workload: elle.Workload(w.String())}))
			}
			if a, b := results[0], results[1]; a.Valid != b.Valid || !slices.Equal(a.Types, b.Types) || !slices.Equal(a.Not, b.Not) {
				t.Errorf("%v, %v, seed %d: %v becomes %v", w, o.Level, seed, a.Types, b.Types)
			}
		}
	}
}
