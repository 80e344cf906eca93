package elle_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rebase/elle"
	"rebase/elle/history"
	"rebase/elle/picture"
)

// Whatever can be read can be checked, as whatever it is taken for, and what is found can
// be told.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{:type :ok :process 1 :f :txn :value [[:append 1 1] [:r 1 [1 1 2]] [:w 2 3] [:r 2 4]]}
		{:type :fail :process 2 :f :txn :value [[:append 1 1] [:append 1 2]]}
		{:type :invoke :process 2 :f :txn :value [[:append 1 5] [:r 1 nil]]}
		{:type :ok :process 3 :f :txn :value [[:r 1 [2 1]] [:append 1 3] [:r 1 [3]] [:r :k nil]]}`))
	f.Add([]byte(`{:type :ok :process 1 :f :add :value 1} {:type :ok :f :read :value #{1 :a}} {:type :ok :f :read :value {1 2}}`))
	f.Add([]byte("w 0 1\n-----\nr 0 1\nr 0 0\n=====\nr 0 0\nw 0 1"))
	f.Add([]byte(`{:type :invoke :process 1 :f :cas :value [1 2]} {:type :ok :process 1 :f :acquire :value nil :key "a"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 {
			return
		}
		h, err := history.Parse(bytes.NewReader(text), history.ParseOptions{})
		if err != nil {
			return
		}
		examine(t, h)
	})
}

// examine checks h as every workload, and tells what is found in every way.
func examine(t *testing.T, h *history.History) {
	t.Helper()
	for _, w := range elle.Workloads() {
		r, err := elle.Check(t.Context(), h, elle.Options{Workload: w, WFRKeys: true, SequentialKeys: true, Time: time.Second})
		if err != nil {
			t.Fatalf("%s: %v", w, err)
		}
		if (len(r.Types) > 0) != (r.Valid == elle.Inconsistent) {
			t.Fatalf("%s: %v with %q", w, r.Valid, r.Types)
		}
		line, err := r.JSON("f")
		if err != nil || !json.Valid(line) {
			t.Fatalf("%s: %v in %s", w, err, line)
		}
		for _, a := range r.Anomalies {
			r.Explain(a)
			if p, ok := picture.Of(h, a); ok {
				p.SVG()
				p.DOT()
			}
		}
	}
}

// Histories of nonsense: lists and registers under one key, values written twice, reads of
// anything, completions of nothing.
func TestNonsense(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := history.NewBuilder()
		value := rapid.IntRange(0, 4)
		for range rapid.IntRange(0, 25).Draw(rt, "events") {
			e := history.Entry{
				Type:    rapid.SampledFrom([]string{"invoke", "ok", "ok", "fail", "info"}).Draw(rt, "type"),
				Process: rapid.Int64Range(0, 3).Draw(rt, "process"),
				Unknown: rapid.IntRange(0, 9).Draw(rt, "unknown") == 0,
				F:       rapid.SampledFrom([]string{"txn", "txn", "txn", "read", "add", "write", "cas", "transfer", "acquire", "release", "append", "get", "put", ""}).Draw(rt, "f"),
			}
			if e.F == "txn" {
				e.Txn = true
				for range rapid.IntRange(0, 4).Draw(rt, "steps") {
					k := rapid.IntRange(0, 1).Draw(rt, "key")
					m := history.ReadOf(k)
					switch rapid.IntRange(0, 4).Draw(rt, "kind") {
					case 0:
						m = history.AppendTo(k, value.Draw(rt, "value"))
					case 1:
						m = history.WriteTo(k, value.Draw(rt, "value"))
					case 2:
						m = history.ReadValue(k, value.Draw(rt, "value"))
					case 3:
						m = history.Micro{Kind: history.ReadList, Key: history.DatumOf(k)}
						for _, v := range rapid.SliceOfN(value, 0, 5).Draw(rt, "list") {
							m.List = append(m.List, history.DatumOf(v))
						}
					}
					e.Micros = append(e.Micros, m)
				}
			} else {
				e.Value = rapid.SampledFrom([]history.Datum{{}, history.IntDatum(1), history.IntDatum(-2), history.KeywordDatum("x"),
					history.ListDatum(history.IntDatum(1), history.IntDatum(2)), history.ListDatum(), {Sort: history.Set, Items: []history.Datum{history.IntDatum(1)}},
					{Sort: history.Map, Items: []history.Datum{history.KeywordDatum("from"), history.IntDatum(1), history.KeywordDatum("amount"), history.StringDatum("y")}},
				}).Draw(rt, "value")
			}
			_ = b.Add(e) // what is refused is left out
		}
		examine(t, b.History())
	})
}
