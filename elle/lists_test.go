package elle_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"rebase/elle"
	"rebase/elle/gen"
	"rebase/elle/history"
	"rebase/elle/model"
)

// txns makes a history of lines "process type value", each an operation that ends before
// the next begins; a line that begins with "+" is invoked before the one above it ends.
func txns(t *testing.T, text string) *history.History {
	t.Helper()
	var b strings.Builder
	type entry struct{ process, typ, value string }
	var open []entry
	flush := func() {
		for _, e := range open {
			b.WriteString("{:process " + e.process + " :type :" + e.typ + " :f :txn :value " + e.value + "}\n")
		}
		open = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		rest, concurrent := strings.CutPrefix(line, "+")
		if !concurrent {
			flush()
		}
		f := strings.SplitN(strings.TrimSpace(rest), " ", 3)
		b.WriteString("{:process " + f[0] + " :type :invoke :f :txn :value nil}\n")
		open = append(open, entry{f[0], f[1], f[2]})
	}
	flush()
	h, err := history.Parse(strings.NewReader(b.String()), history.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAnomaliesOfLists(t *testing.T) {
	for _, c := range []struct {
		name, text string
		models     []model.Model
		want       string
	}{
		{"nothing wrong", `
			0 ok [[:append 1 1] [:r 1 [1]]]
			1 ok [[:r 1 [1]] [:append 1 2]]
			2 ok [[:r 1 [1 2]] [:r 2 nil]]`, nil, ""},
		{"G0", `
			0 ok [[:append 1 1] [:append 2 1]]
			+ 1 ok [[:append 1 2] [:append 2 2]]
			2 ok [[:r 1 [1 2]] [:r 2 [2 1]]]`, nil, "G0"},
		{"G1a", `
			0 fail [[:append 1 1]]
			1 ok [[:r 1 [1]]]`, nil, "G1a"},
		{"G1b", `
			0 ok [[:append 1 1] [:append 1 2]]
			+ 1 ok [[:r 1 [1]]]
			2 ok [[:r 1 [1 2]]]`, []model.Model{"read-committed"}, "G1b"},
		{"G1c", `
			0 ok [[:append 1 1] [:r 2 [1]]]
			+ 1 ok [[:append 2 1] [:r 1 [1]]]`, nil, "G1c"},
		{"G1c through what is in doubt", `
			0 info [[:append 1 1] [:append 2 9]]
			1 ok [[:r 1 [1]] [:append 2 1]]
			2 ok [[:r 2 [1 9]]]`, nil, "G1c"},
		{"G-single", `
			0 ok [[:append 1 1] [:append 2 1]]
			+ 1 ok [[:r 1 [1]] [:r 2 []]]`, []model.Model{"consistent-view"}, "G-single-item"},
		{"G-nonadjacent", `
			0 ok [[:append 1 1]]
			+ 1 ok [[:append 2 1]]
			+ 2 ok [[:r 1 [1]] [:r 2 []]]
			+ 3 ok [[:r 1 []] [:r 2 [1]]]`, nil, "G-nonadjacent-item"},
		{"G2-item", `
			0 ok [[:r 1 []] [:append 2 1]]
			+ 1 ok [[:r 2 []] [:append 1 1]]`, nil, "G2-item"},
		{"lost update", `
			0 ok [[:r 1 []] [:append 1 1]]
			+ 1 ok [[:r 1 []] [:append 1 2]]
			2 ok [[:r 1 [1 2]]]`, nil, "G-single-item lost-update"},
		{"dirty update", `
			0 fail [[:append 1 1]]
			1 ok [[:append 1 2]]
			2 ok [[:r 1 [1 2]]]`, nil, "G1a dirty-update"},
		{"reads of what is in doubt", `
			0 ok [[:append 1 1]]
			1 info [[:append 1 2] [:r 1 [1 2]]]
			2 ok [[:append 1 3]]
			3 ok [[:r 1 [1 3]]]`, nil, ""},
		{"internal: own append", `
			0 ok [[:append 1 1] [:r 1 []]]`, []model.Model{"read-atomic"}, "internal"},
		{"internal: own read", `
			0 ok [[:append 1 1]]
			+ 1 ok [[:r 1 []] [:r 1 [1]]]`, nil, "G-single-item fractured-read internal"},
		{"future read", `
			0 ok [[:r 1 [1]] [:append 1 1]]`, nil, "future-read"},
		{"duplicate elements", `
			0 ok [[:append 1 1]]
			1 ok [[:r 1 [1 1]]]`, nil, "duplicate-elements"},
		{"incompatible order", `
			0 ok [[:append 1 1]]
			+ 1 ok [[:append 1 2]]
			2 ok [[:r 1 [1 2]]]
			+ 3 ok [[:r 1 [2 1]]]`, []model.Model{"read-committed"}, "incompatible-order"},
		{"cyclic versions", `
			0 ok [[:append 1 1] [:append 1 2]]
			1 ok [[:r 1 [2 1]]]`, []model.Model{"read-uncommitted"}, "cyclic-versions"},
		{"garbage", `
			0 ok [[:append 1 1]]
			1 ok [[:r 1 [1 7]]]`, nil, "garbage-read"},
		{"fractured read", `
			0 ok [[:append 1 1] [:append 2 1]]
			+ 1 ok [[:r 1 [1]] [:r 2 []]]`, []model.Model{"read-atomic"}, "fractured-read"},
		{"causal cycle", `
			0 ok [[:append 1 1]]
			+ 1 ok [[:r 1 [1]] [:append 2 1]]
			+ 2 ok [[:r 2 [1]] [:r 1 []]]`, []model.Model{"causal-cerone"}, "causal-cycle"},

		{"G0-process", `
			0 ok [[:append 1 1]]
			0 ok [[:append 2 1]]
			+ 1 ok [[:append 2 2] [:append 1 2]]
			2 ok [[:r 1 [2 1]] [:r 2 [1 2]]]`, []model.Model{"strong-session-read-uncommitted"}, "G0-process"},
		{"G1c-process", `
			0 ok [[:r 1 [1]]]
			0 ok [[:append 2 1]]
			+ 1 ok [[:r 2 [1]] [:append 1 1]]`, []model.Model{"strong-session-serializable"}, "G1c-process"},
		{"G-single-process", `
			0 ok [[:append 1 1]]
			0 ok [[:r 1 []]]
			1 ok [[:r 1 [1]]]`, []model.Model{"strong-session-serializable"}, "G-single-item-process causal-cycle-process"},
		{"G-nonadjacent-process", `
			0 ok [[:append 1 1]]
			0 ok [[:r 2 []]]
			+ 1 ok [[:append 2 1]]
			1 ok [[:r 1 []]]`, []model.Model{"strong-session-snapshot-isolation"}, "G-nonadjacent-item-process"},
		{"G2-item-process", `
			0 ok [[:append 3 1] [:r 1 []]]
			+ 1 ok [[:append 1 1] [:r 2 []]]
			+ 2 ok [[:append 2 1]]
			2 ok [[:r 3 []]]`, []model.Model{"strong-session-serializable"}, "G2-item-process"},
		{"G0-realtime", `
			0 ok [[:append 1 1]]
			1 ok [[:append 1 2]]
			2 ok [[:r 1 [2 1]]]`, nil, "G0-realtime"},
		{"G1c-realtime", `
			0 ok [[:r 1 [1]]]
			1 ok [[:append 1 1]]`, nil, "G1c-realtime"},
		{"G-single-realtime", `
			0 ok [[:append 1 1]]
			1 ok [[:r 1 []]]`, nil, "G-single-item-realtime"},
		{"two that missed what had ended", `
			0 ok [[:append 1 1]]
			+ 1 ok [[:append 2 1]]
			2 ok [[:r 1 []] ]
			+ 3 ok [[:r 2 []]]`, nil, "G-single-item-realtime"},
		{"a late effect of what is in doubt", `
			0 info [[:append 1 1]]
			1 ok [[:r 1 []]]
			2 ok [[:r 1 [1]]]`, nil, ""},
		{"an element of what never ended", `
			0 ok [[:append 1 1]]
			1 info [[:append 1 2] [:r 1 nil]]
			2 ok [[:r 1 [1 2]]]`, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := txns(t, c.text)
			r := check(t, h, elle.Options{Models: c.models})
			var got []string
			for _, a := range r.Types {
				got = append(got, string(a))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q, want %s", got, c.want)
				for _, a := range r.Anomalies {
					t.Log(a.Type, "\n", r.Explain(a))
				}
			}
			if (len(r.Types) > 0) != (r.Valid == elle.Inconsistent) {
				t.Errorf("valid %v with %q", r.Valid, r.Types)
			}
		})
	}
}

func TestUnknown(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       model.Anomaly
	}{
		{"nothing committed", "0 fail [[:append 1 1]]", model.EmptyGraph},
		{"nothing at all", "", model.EmptyGraph},
		{"written twice", "0 ok [[:append 1 1]]\n1 ok [[:append 1 1]]", model.DuplicateWrites},
	} {
		r := check(t, txns(t, c.text), elle.Options{})
		if r.Valid != elle.Unknown || !slices.Contains(r.Unknown, c.want) {
			t.Errorf("%s: %v, %q", c.name, r.Valid, r.Unknown)
		}
	}
	// What one key cannot tell does not hide what another tells.
	r := check(t, txns(t, "0 ok [[:append 1 1] [:append 2 1]]\n1 ok [[:append 1 1] [:r 2 []]]"), elle.Options{})
	if r.Valid != elle.Inconsistent || !slices.Contains(r.Types, model.GSingle.Realtime()) {
		t.Errorf("%v, %q", r.Valid, r.Types)
	}
}

// Registers taken for lists, or lists for registers, must not pass for faultless.
func TestWrongWorkload(t *testing.T) {
	lists, registers := txns(t, "0 ok [[:append 1 1]]\n1 ok [[:r 1 [1]]]"), txns(t, "0 ok [[:w 1 1]]\n1 ok [[:r 1 1]]")
	for _, c := range []struct {
		h    *history.History
		w    elle.Workload
		want elle.Verdict
	}{
		{lists, elle.ListAppend, elle.Consistent}, {registers, elle.RWRegister, elle.Consistent},
		{lists, elle.RWRegister, elle.Unknown}, {registers, elle.ListAppend, elle.Unknown},
	} {
		r := check(t, c.h, elle.Options{Workload: c.w})
		if r.Valid != c.want || (c.want == elle.Unknown) != slices.Contains(r.Unknown, model.WrongWorkload) {
			t.Errorf("%s: %v, %q", c.w, r.Valid, r.Unknown)
		}
		if c.want == elle.Unknown && (len(r.Warnings) == 0 || len(r.Decided) > 0) {
			t.Errorf("%s: notes %q, decided %v", c.w, r.Warnings, r.Decided)
		}
	}
}

// What failed once and was tried again with the same value is told apart.
func TestRetriedAppend(t *testing.T) {
	r := check(t, txns(t, "0 fail [[:append 1 1]]\n1 ok [[:append 1 1]]\n2 ok [[:r 1 [1]]]"), elle.Options{})
	if r.Valid != elle.Consistent {
		t.Errorf("%v, %q", r.Valid, r.Types)
	}
}

// Only what was asked for is reported.
func TestModelsSelect(t *testing.T) {
	h := txns(t, "0 ok [[:r 1 []] [:append 2 1]]\n+ 1 ok [[:r 2 []] [:append 1 1]]")
	for _, c := range []struct {
		o    elle.Options
		want int
	}{
		{elle.Options{}, 1},
		{elle.Options{Models: []model.Model{"snapshot-isolation"}}, 0},
		{elle.Options{Models: []model.Model{"snapshot-isolation"}, Anomalies: []model.Anomaly{model.G2Item}}, 1},
		{elle.Options{Anomalies: []model.Anomaly{"G2"}}, 1},
		{elle.Options{Anomalies: []model.Anomaly{model.G1c}}, 0},
	} {
		if r := check(t, h, c.o); len(r.Types) != c.want || len(r.Anomalies) != c.want {
			t.Errorf("%+v: %q", c.o, r.Types)
		}
	}
}

// generate makes a history of a simulated store.
func generate(tb testing.TB, o gen.Options) *history.History {
	tb.Helper()
	var text []byte
	err := gen.Run(o, func(e *gen.Event) error {
		text = append(e.AppendEDN(text), '\n')
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	h, err := history.Parse(strings.NewReader(string(text)), history.ParseOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// Histories whose cycles share one component of hundreds of transactions are what searches
// over paths give up on. Nothing may stay undecided.
func TestNothingIsGivenUp(t *testing.T) {
	for _, level := range []gen.Level{gen.ReadUncommitted, gen.ReadCommitted, gen.ReadAtomic, gen.Prefix} {
		for _, lag := range []int{20, 500} {
			h := generate(t, gen.Options{Seed: 7, Level: level, Txns: 2000, Processes: 20, Lag: lag})
			r := check(t, h, elle.Options{})
			if len(r.Undecided) > 0 || r.Valid != elle.Inconsistent {
				t.Errorf("%v, %d late: %v, not decided: %q", level, lag, r.Valid, r.Undecided)
			}
			t.Logf("%v, %d late: %d operations in the largest of %d components: %q", level, lag, r.Stats.Largest, r.Stats.Components, r.Types)
		}
	}
}

// The graph must not grow with the number of clients that are in doubt, nor faster than the
// history.
func TestSizeOfTheGraph(t *testing.T) {
	edges := func(o gen.Options) int { return check(t, generate(t, o), elle.Options{}).Stats.Edges }
	o := gen.Options{Seed: 3, Level: gen.StrictSerializable, Txns: 4_000}
	one := edges(o)
	twice := o
	twice.Txns *= 2
	if two := edges(twice); float64(two) > 2.2*float64(one) {
		t.Errorf("%d edges for %d transactions, %d for twice as many", one, o.Txns, two)
	}
	doubt := o
	doubt.Info = 0.5
	if many := edges(doubt); float64(many) > 1.2*float64(one) {
		t.Errorf("%d edges with %d clients in doubt, %d with none", many, o.Txns/2, one)
	}
}

func BenchmarkCheck(b *testing.B) {
	h := generate(b, gen.Options{Seed: 1, Level: gen.StrictSerializable, Txns: 200_000})
	for b.Loop() {
		r, err := elle.Check(b.Context(), h, elle.Options{})
		if err != nil || r.Valid != elle.Consistent {
			b.Fatal(r.Valid, err)
		}
	}
	b.ReportMetric(float64(len(h.Ops))*float64(b.N)/b.Elapsed().Seconds(), "txns/s")
}

func TestGivesUpWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h := txns(t, "0 ok [[:append 1 1]]")
	for _, w := range []elle.Workload{elle.ListAppend, elle.RWRegister} {
		if _, err := elle.Check(ctx, h, elle.Options{Workload: w}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", w, err)
		}
	}
	for _, o := range []elle.Options{{Workload: "lists"}, {Anomalies: []model.Anomaly{"G9"}}} {
		if _, err := elle.Check(t.Context(), h, o); err == nil {
			t.Errorf("%+v is no mistake", o)
		}
	}
}
