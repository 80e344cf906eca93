package register

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"rebase/elle/gen"
	"rebase/elle/history"
	"rebase/elle/model"
	"rebase/elle/polygraph"
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

func verdicts(list []Decision) map[model.Model]polygraph.Verdict {
	m := map[model.Model]polygraph.Verdict{}
	for _, d := range list {
		m[d.Model] = d.Verdict
	}
	return m
}

func parse(t testing.TB, name string) model.Model {
	t.Helper()
	m, err := model.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// levelModel is the checker's name of a generator's level.
func levelModel(t testing.TB, l gen.Level) model.Model {
	if l == gen.Causal {
		return parse(t, "causal-cerone") // "causal" is that of PRAM
	}
	return parse(t, l.String())
}

func TestWhatWasPutInIsFound(t *testing.T) {
	for _, name := range gen.Anomalies(gen.Register) {
		if name == "G0" || name == "cyclic-versions" {
			continue // no order of versions is needed to break what assumptions about keys say
		}
		found := model.Anomaly(name)
		switch name {
		case "G1c-info":
			found = model.CausalCycle
		}
		not, also := model.Refuted([]model.Anomaly{found})
		for _, background := range []int{0, 60} {
			for seed := range uint64(4) {
				h := generated(t, gen.Options{Seed: seed, Workload: gen.Register, Level: gen.StrictSerializable, Txns: background, Inject: []string{name}})
				got := verdicts(Decide(h, Limits{}))
				for _, m := range append(slices.Clone(not), also...) {
					if v, known := got[m]; known && v != polygraph.Refuted {
						t.Errorf("%s in %d, seed %d: %s is %v", name, background, seed, m, v)
					}
				}
			}
		}
	}
}

func TestLevelsAreNotRefuted(t *testing.T) {
	counts := map[string]int{}
	for _, l := range gen.Levels() {
		promised := levelModel(t, l)
		for seed := range uint64(12) {
			o := gen.Options{Seed: seed, Workload: gen.Register, Level: l, Txns: 40 + 20*int(seed), Processes: 3 + int(seed),
				Keys: 3, MaxWrites: 8, Fail: 0.1, Info: 0.1, FinalRead: seed%2 == 0}
			if l == gen.ReadAtomic && seed < 2 {
				o.Txns, o.MaxWrites, o.Processes, o.Keys, o.Fail, o.Info = 3000, 30, 6, 4, 0, 0 // it seldom breaks causality
			}
			if seed == 11 { // large enough to be solved in windows
				o.Txns, o.MaxWrites, o.Fail, o.Info = 1200, 40, 0.02, 0.01
			}
			h := generated(t, o)
			for _, d := range Decide(h, Limits{MaxWork: 5_000_000}) {
				if d.Verdict == polygraph.Refuted && (d.Model == promised || promised.Implies(d.Model)) {
					t.Errorf("%v, seed %d: %s is refuted: %+v", l, seed, d.Model, d.Witness)
				}
				if d.Model == promised {
					counts[fmt.Sprint(l, ": ", d.Verdict)]++
				}
				if d.Verdict == polygraph.Refuted {
					counts[fmt.Sprint(l, " refutes ", d.Model)]++
				}
			}
		}
	}
	// The check is no use if nothing is ever refuted, and not much if nothing is ever proved.
	for _, want := range []string{"read-committed refutes read-atomic", "read-atomic refutes causal-cerone", "causal refutes snapshot-isolation",
		"snapshot-isolation refutes serializable", "serializable refutes strong-serializable",
		"strict-serializable: proved", "serializable: proved", "snapshot-isolation: proved", "causal: proved", "read-atomic: proved"} {
		if counts[want] == 0 {
			t.Errorf("never seen: %s", want)
		}
	}
	if testing.Verbose() {
		t.Log(counts)
	}
}
