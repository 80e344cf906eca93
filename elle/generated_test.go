package elle_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rebase/elle"
	"rebase/elle/gen"
	"rebase/elle/history"
	"rebase/elle/model"
)

// claims is the model that a level of the simulated store keeps to.
func claims(tb testing.TB, l gen.Level) model.Model {
	if l == gen.Causal {
		return "causal-cerone"
	}
	m, err := model.Parse(l.String())
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// A store that keeps to a level must never be said to break it, whatever clients do to it
// and whatever becomes of them.
func TestStoresKeepTheirLevel(t *testing.T) {
	for _, w := range []gen.Workload{gen.ListAppend, gen.Register} {
		for _, l := range gen.Levels() {
			t.Run(fmt.Sprint(w, "/", l), func(t *testing.T) {
				m := claims(t, l)
				rapid.Check(t, func(rt *rapid.T) {
					o := gen.Options{
						Seed: rapid.Uint64().Draw(rt, "seed"), Level: l, Workload: w,
						Txns:      rapid.IntRange(1, 300).Draw(rt, "txns"),
						Processes: rapid.IntRange(1, 12).Draw(rt, "processes"),
						Keys:      rapid.IntRange(1, 6).Draw(rt, "keys"),
						MaxWrites: rapid.IntRange(1, 60).Draw(rt, "writes of a key"),
						MaxOps:    rapid.IntRange(1, 6).Draw(rt, "steps"),
						Fail:      rapid.Float64Range(0, 0.3).Draw(rt, "fail"),
						Info:      rapid.Float64Range(0, 0.3).Draw(rt, "info"),
						Lag:       rapid.IntRange(1, 100).Draw(rt, "lag"),
						FinalRead: rapid.Bool().Draw(rt, "final read"),
					}
					r := check(t, generate(t, o), elle.Options{Workload: elle.Workload(w.String()), Models: []model.Model{m}})
					if r.Valid == elle.Inconsistent || slices.Contains(r.Not, m) || slices.Contains(r.AlsoNot, m) {
						rt.Fatalf("%+v: %q\n%s", o, r.Types, r.Explain(r.Anomalies[0]))
					}
				})
			})
		}
	}
}

// Whatever is put into the history of a faultless store is found, by its name.
func TestWhatIsPutInIsFound(t *testing.T) {
	for _, w := range []gen.Workload{gen.ListAppend, gen.Register} {
		for _, name := range gen.Anomalies(w) {
			t.Run(fmt.Sprint(w, "/", name), func(t *testing.T) {
				for seed := range uint64(5) {
					o := gen.Options{Seed: seed, Level: gen.StrictSerializable, Workload: w, Txns: 200, Info: 0.05, Fail: 0.05, Inject: []string{name}}
					h := generate(t, o)
					r := check(t, h, elle.Options{Workload: elle.Workload(w.String()), WFRKeys: true,
						SequentialKeys: name == "G0", LinearizableKeys: name == "cyclic-versions"})
					want := model.Anomaly(name)
					if name == "G1c-info" { // what is in doubt was read, so it happened, with all its effects
						want = model.CausalCycle
					}
					if r.Valid != elle.Inconsistent || !slices.Contains(r.Types, want) {
						t.Errorf("seed %d: %v, %q", seed, r.Valid, r.Types)
					}
				}
			})
		}
	}
}

// What keys, values and processes are called must not matter.
func TestNamesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := rapid.SampledFrom(gen.Levels()).Draw(rt, "level")
		h := generate(t, gen.Options{Seed: rapid.Uint64().Draw(rt, "seed"), Level: l, Txns: 60, Processes: 5, Info: 0.1})
		b := history.NewBuilder()
		for _, e := range h.Events() {
			op := int(e >> 1)
			o := &h.Ops[op]
			entry := history.Entry{Type: "invoke", Process: 1000 - 7*h.Processes[o.Process], F: "txn", Txn: true}
			if e&1 == 1 {
				entry.Type = o.Type.String()
			}
			for _, m := range h.Mops(op) {
				x := h.Micro(m)
				x.Key = history.StringDatum("k" + x.Key.String())
				x.Value = renamed(x.Value)
				for i := range x.List {
					x.List[i] = renamed(x.List[i])
				}
				if e&1 == 0 && m.Kind.IsRead() {
					x = history.ReadOf(x.Key)
				}
				entry.Micros = append(entry.Micros, x)
			}
			if err := b.Add(entry); err != nil {
				rt.Fatal(err)
			}
		}
		want, got := check(t, h, elle.Options{}), check(t, b.History(), elle.Options{})
		if !slices.Equal(want.Types, got.Types) || !slices.Equal(want.Not, got.Not) || want.Valid != got.Valid {
			rt.Fatalf("%q, renamed %q", want.Types, got.Types)
		}
	})
}

func renamed(d history.Datum) history.Datum {
	if d.IsNil() {
		return d
	}
	return history.KeywordDatum("v" + d.String())
}
