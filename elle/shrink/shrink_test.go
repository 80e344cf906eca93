package shrink

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"rebase/elle"
	"rebase/elle/gen"
	"rebase/elle/history"
	"rebase/elle/model"
)

func generated(t testing.TB, o gen.Options) *history.History {
	t.Helper()
	var text []byte
	if err := gen.Run(o, func(e *gen.Event) error { text = e.AppendEDN(text); return nil }); err != nil {
		t.Fatal(err)
	}
	h, err := history.Parse(bytes.NewReader(text), history.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAnomalyIsLaidBare(t *testing.T) {
	for _, c := range []struct {
		workload  gen.Workload
		name      model.Anomaly
		ops, mops int // at most
	}{
		{gen.ListAppend, "G0", 3, 6},
		{gen.ListAppend, "G1a", 2, 2},
		{gen.ListAppend, "G1c", 2, 4},
		{gen.ListAppend, "G-single-item", 2, 4},
		{gen.ListAppend, "G2-item", 3, 6},
		{gen.ListAppend, "incompatible-order", 4, 4},
		{gen.ListAppend, "G-single-item-realtime", 2, 2},
		{gen.Register, "lost-update", 2, 4},
		{gen.Register, "garbage-read", 1, 1},
		{gen.Register, "G1c", 2, 4},
	} {
		h := generated(t, gen.Options{Seed: 5, Workload: c.workload, Level: gen.StrictSerializable, Txns: 300, Inject: []string{string(c.name)}})
		o := elle.Options{Workload: elle.Workload(c.workload.String()), NoDecision: true}
		r, err := elle.Check(t.Context(), h, o)
		if err != nil {
			t.Fatal(err)
		}
		shows := func(h *history.History) bool {
			small, err := elle.Check(t.Context(), h, o)
			return err == nil && slices.Contains(small.Types, c.name) &&
				!slices.ContainsFunc(small.Types, func(a model.Anomaly) bool { return !slices.Contains(r.Types, a) })
		}
		if !shows(h) {
			t.Errorf("%v: %s is not there to begin with: %v", c.workload, c.name, r.Types)
			continue
		}
		var hint []int
		for _, a := range r.Anomalies {
			if a.Type == c.name {
				hint = a.Ops
			}
		}
		small := Shrink(t.Context(), h, hint, shows)
		if !shows(small) {
			t.Errorf("%v: %s is lost", c.workload, c.name)
		}
		if len(small.Ops) > c.ops || small.MopCount() > c.mops {
			var text bytes.Buffer
			small.WriteEDN(&text)
			t.Errorf("%v, %s: %d operations with %d steps are left:\n%s", c.workload, c.name, len(small.Ops), small.MopCount(), text.String())
		}
	}
}

func TestNothingThatIsNeededIsLeftOut(t *testing.T) {
	h := generated(t, gen.Options{Workload: gen.Set, Level: gen.StrictSerializable, Txns: 50})
	small := Shrink(t.Context(), h, nil, func(h *history.History) bool { // two additions, whichever
		n := 0
		for op := range h.Ops {
			if h.F(op) == "add" {
				n++
			}
		}
		return n >= 2
	})
	if len(small.Ops) != 2 {
		t.Errorf("%d operations are left", len(small.Ops))
	}
	for op := range small.Ops {
		if at := small.Ops[op]; small.Index(at.Complete) <= small.Index(at.Invoke) {
			t.Errorf("operation %d ends at %d, before it begins at %d", op, small.Index(at.Complete), small.Index(at.Invoke))
		}
	}
}

func TestItCanBeStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := generated(t, gen.Options{Level: gen.StrictSerializable, Txns: 100})
	calls := 0
	small := Shrink(ctx, h, nil, func(*history.History) bool {
		if calls++; calls == 3 {
			cancel()
		}
		return false
	})
	if calls != 3 || len(small.Ops) != len(h.Ops) {
		t.Errorf("%d calls, %d operations", calls, len(small.Ops))
	}
}
