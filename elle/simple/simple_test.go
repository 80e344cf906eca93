package simple

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rebase/elle/gen"
	"rebase/elle/history"
	"rebase/elle/model"
)

func parsed(t testing.TB, text string) *history.History {
	t.Helper()
	h, err := history.Parse(strings.NewReader(text), history.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func types(t testing.TB, h *history.History, workload string) []model.Anomaly {
	var list []model.Anomaly
	for _, a := range Check(h, workload).Found {
		list = append(list, a.Type)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// op writes an operation of a process that does nothing else meanwhile.
func op(typ, f, arg, result string) string {
	return "{:type :invoke, :process 0, :f :" + f + ", :value " + arg + "}\n{:type :" + typ + ", :process 0, :f :" + f + ", :value " + result + "}\n"
}

func TestSmallHistories(t *testing.T) {
	late := "{:type :invoke, :process 1, :f :read, :value nil}\n" + op("ok", "add", "1", "1") +
		"{:type :ok, :process 1, :f :read, :value %}\n"
	for _, c := range []struct {
		name, workload, text string
		want                 []model.Anomaly
	}{
		{"all there", "set", op("ok", "add", "1", "1") + op("ok", "read", "nil", "[1]"), nil},
		{"one lost", "set", op("ok", "add", "1", "1") + op("ok", "read", "nil", "[]"), []model.Anomaly{LostElement}},
		{"failed, not there", "set", op("fail", "add", "1", "1") + op("ok", "read", "nil", "[]"), nil},
		{"failed, there", "set", op("fail", "add", "1", "1") + op("ok", "read", "nil", "[1]"), []model.Anomaly{GarbageElement}},
		{"in doubt, there", "set", "{:type :invoke, :process 9, :f :add, :value 1}\n" + op("ok", "read", "nil", "[1]"), nil},
		{"twice", "set", op("ok", "add", "1", "1") + op("ok", "read", "nil", "[1 1]"), []model.Anomaly{DuplicateElement}},
		{"no collection", "set", op("ok", "read", "nil", "7"), []model.Anomaly{BadValue}},
		{"a read that began before", "set-full", strings.Replace(late, "%", "[]", 1), nil},
		{"late, but found", "set-full", op("ok", "add", "1", "1") + op("ok", "read", "nil", "[]") + op("ok", "read", "nil", "[1]"), nil},
		{"late", "set-strict", op("ok", "add", "1", "1") + op("ok", "read", "nil", "[]") + op("ok", "read", "nil", "[1]"), []model.Anomaly{StaleRead}},
		{"not late", "set-strict", strings.Replace(late, "%", "[]", 1) + op("ok", "read", "nil", "[1]"), nil},
		{"lost later", "set-full", op("ok", "add", "1", "1") + op("ok", "read", "nil", "[1]") + op("ok", "read", "nil", "[]"), []model.Anomaly{LostElement}},
		{"in doubt, seen, lost", "set-full", op("info", "add", "1", "1") + op("ok", "read", "nil", "[1]") + op("ok", "read", "nil", "[]"), []model.Anomaly{LostElement}},
		{"counted", "counter", op("ok", "add", "3", "3") + op("ok", "read", "nil", "3"), nil},
		{"not counted", "counter", op("ok", "add", "3", "3") + op("ok", "read", "nil", "2"), []model.Anomaly{OutOfBounds}},
		{"down", "counter", op("ok", "add", "3", "3") + op("ok", "add", "-2", "-2") + op("ok", "read", "nil", "1"), nil},
		{"down meanwhile", "counter", "{:type :invoke, :process 1, :f :read, :value nil}\n" + op("ok", "add", "5", "5") + op("ok", "add", "-7", "-7") + "{:type :ok, :process 1, :f :read, :value -7}\n", nil},
		{"in doubt, counted or not", "counter", op("info", "add", "3", "3") + op("ok", "read", "nil", "3") + op("ok", "read", "nil", "0"), nil},
		{"failed and counted", "counter", op("fail", "add", "3", "3") + op("ok", "read", "nil", "3"), []model.Anomaly{OutOfBounds}},
		{"balanced", "bank", op("ok", "read", "nil", "{0 5 1 5}") + op("ok", "read", "nil", "{1 3 0 7}"), nil},
		{"stolen", "bank", op("ok", "read", "nil", "{0 5 1 5}") + op("ok", "read", "nil", "{0 5 1 4}"), []model.Anomaly{WrongTotal}},
		{"in debt", "bank", op("ok", "read", "nil", "{0 5 1 5}") + op("ok", "read", "nil", "{0 -1 1 11}"), []model.Anomaly{NegativeBalance}},
		{"closed", "bank", op("ok", "read", "nil", "{0 5 1 5}") + op("ok", "read", "nil", "{0 10}"), []model.Anomaly{WrongAccounts}},
		{"nil", "bank", op("ok", "read", "nil", "{0 5 1 nil}"), []model.Anomaly{WrongAccounts}},
		{"one after the other", "long-fork", op("ok", "read", "[[:r 0 nil] [:r 1 nil]]", "[[:r 0 1] [:r 1 nil]]") + op("ok", "read", "[[:r 0 nil] [:r 1 nil]]", "[[:r 0 1] [:r 1 1]]"), nil},
		{"forked", "long-fork", op("ok", "read", "[[:r 0 nil] [:r 1 nil]]", "[[:r 0 1] [:r 1 nil]]") + op("ok", "read", "[[:r 1 nil] [:r 0 nil]]", "[[:r 1 1] [:r 0 nil]]"), []model.Anomaly{model.GNonadjacent}},
		{"second without first", "comments", "{:type :invoke, :process 1, :f :read, :value nil}\n" + op("ok", "write", "1", "1") + op("ok", "write", "2", "2") + "{:type :ok, :process 1, :f :read, :value #{2}}\n", []model.Anomaly{model.GSingle.Realtime()}},
		{"first without second", "comments", "{:type :invoke, :process 1, :f :read, :value nil}\n" + op("ok", "write", "1", "1") + op("ok", "write", "2", "2") + "{:type :ok, :process 1, :f :read, :value #{1}}\n", nil},
	} {
		if got := types(t, parsed(t, c.text), c.workload); !slices.Equal(got, c.want) {
			t.Errorf("%s, %s: %v, not %v", c.workload, c.name, got, c.want)
		}
	}
}

func TestNothingRead(t *testing.T) {
	for _, w := range Workloads() {
		a := Check(parsed(t, op("ok", "add", "1", "1")), w)
		if len(a.Found) > 0 || !slices.Contains(a.Unknown, NoReads) {
			t.Errorf("%s: %+v of a history without reads", w, a)
		}
	}
}

func TestGenerated(t *testing.T) {
	for _, w := range []gen.Workload{gen.Set, gen.Counter} {
		for seed := range uint64(20) {
			for _, inject := range append([]string{""}, gen.Anomalies(w)...) {
				o := gen.Options{Seed: seed, Workload: w, Level: gen.StrictSerializable, Txns: 300, Fail: 0.1, Info: 0.1, FinalRead: true}
				if inject != "" {
					o.Inject = []string{inject}
				}
				var text []byte
				if err := gen.Run(o, func(e *gen.Event) error { text = e.AppendEDN(text); return nil }); err != nil {
					t.Fatal(err)
				}
				h, err := history.Parse(bytes.NewReader(text), history.ParseOptions{})
				if err != nil {
					t.Fatal(err)
				}
				workloads := []string{w.String()}
				if w == gen.Set {
					workloads = append(workloads, "set-full", "set-strict")
				}
				for _, name := range workloads {
					got := types(t, h, name)
					if inject == "" && len(got) > 0 || inject != "" && !slices.Equal(got, []model.Anomaly{model.Anomaly(inject)}) {
						t.Errorf("%s, seed %d, with %q: %v", name, seed, inject, got)
					}
				}
			}
		}
	}
}

// data holds histories of others with their verdicts. They are not ours to keep in the repository.
const data = "../../../shared/data/elle"

func TestHistoriesWithVerdicts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(data, "manifest.json"))
	if err != nil {
		t.Skipf("left out, because the histories do not lie beside this repository: %v", err)
	}
	var manifest []struct {
		Path, Checker string
		Expect        struct{ Valid *bool }
	}
	json.Unmarshal(text, &manifest) // those of others have more than a bool
	checked := 0
	for _, e := range manifest {
		if !slices.Contains(Workloads(), e.Checker) {
			continue
		}
		f, err := os.Open(filepath.Join(data, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		h, err := history.Parse(f, history.ParseOptions{})
		f.Close()
		if err != nil {
			t.Errorf("%s: %v", e.Path, err)
			continue
		}
		a := Check(h, e.Checker)
		if e.Expect.Valid == nil {
			t.Logf("%s: %d anomalies, such as %v", e.Path, len(a.Found), a.Found[:min(1, len(a.Found))])
			continue
		}
		checked++
		if valid := len(a.Found) == 0; valid != *e.Expect.Valid {
			t.Errorf("%s: valid is %v: %v", e.Path, valid, a.Found[:min(3, len(a.Found))])
		}
	}
	if checked < 11 {
		t.Errorf("only %d verdicts checked", checked)
	}
}
