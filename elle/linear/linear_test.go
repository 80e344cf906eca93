package linear

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rebase/elle/anomaly"
	"rebase/elle/gen"
	"rebase/elle/history"
)

// bound is never reached by histories that are decided at all.
const bound = time.Minute

func verdict(a *anomaly.Analysis) string {
	switch {
	case len(a.Found) > 0:
		return "no"
	case len(a.Unknown) > 0:
		return "not decided"
	}
	return "yes"
}

func TestSmallHistories(t *testing.T) {
	const concurrent = `{:type :invoke, :process 0, :f :write, :value 1}
		{:type :invoke, :process 1, :f :read, :value nil}
		{:type :%s, :process 0, :f :write, :value 1}
		{:type :ok, :process 1, :f :read, :value %v}
		{:type :invoke, :process 2, :f :read, :value nil}
		{:type :ok, :process 2, :f :read, :value %v}`
	fill := func(typ, first, second string) string {
		s := strings.Replace(concurrent, "%s", typ, 1)
		s = strings.Replace(s, "%v", first, 1)
		return strings.Replace(s, "%v", second, 1)
	}
	for _, c := range []struct{ name, workload, text, want string }{
		{"not yet, then", "register", fill("ok", "nil", "1"), "yes"},
		{"already, then", "register", fill("ok", "1", "1"), "yes"},
		{"ended and not there", "register", fill("ok", "nil", "nil"), "no"},
		{"there and gone", "register", fill("info", "1", "nil"), "no"},
		{"in doubt, never", "register", fill("info", "nil", "nil"), "yes"},
		{"in doubt, later", "register", fill("info", "nil", "1"), "yes"},
		{"failed and there", "register", fill("fail", "1", "1"), "no"},
		{"held twice", "mutex", `{:type :invoke, :process 0, :f :acquire} {:type :ok, :process 0, :f :acquire} {:type :invoke, :process 1, :f :acquire} {:type :ok, :process 1, :f :acquire}`, "no"},
		{"handed over", "mutex", `{:type :invoke, :process 0, :f :acquire} {:type :ok, :process 0, :f :acquire} {:type :invoke, :process 1, :f :acquire} {:type :invoke, :process 0, :f :release} {:type :ok, :process 1, :f :acquire}`, "yes"},
		{"swapped", "cas-register", `{:type :invoke, :process 0, :f :write, :value 1} {:type :ok, :process 0, :f :write, :value 1} {:type :invoke, :process 0, :f :cas, :value [1 2]} {:type :ok, :process 0, :f :cas, :value [1 2]} {:type :invoke, :process 0, :f :read, :value nil} {:type :ok, :process 0, :f :read, :value 2}`, "yes"},
		{"swapped another", "cas-register", `{:type :invoke, :process 0, :f :write, :value 1} {:type :ok, :process 0, :f :write, :value 1} {:type :invoke, :process 0, :f :cas, :value [2 3]} {:type :ok, :process 0, :f :cas, :value [2 3]}`, "no"},
	} {
		h, err := history.Parse(strings.NewReader(c.text), history.ParseOptions{})
		if err != nil {
			t.Fatal(err)
		}
		a := Check(h, c.workload, bound)
		if got := verdict(a); got != c.want {
			t.Errorf("%s, %s: %s", c.workload, c.name, got)
		}
		for _, f := range a.Found {
			if len(f.Ops) == 0 || f.Text == "" {
				t.Errorf("%s: no witness: %+v", c.name, f)
			}
		}
	}
}

func TestKeysOfTransactions(t *testing.T) {
	for _, w := range []gen.Workload{gen.ListAppend, gen.Register} {
		for _, c := range []struct {
			level  gen.Level
			inject []string
			want   string
		}{
			{gen.StrictSerializable, nil, "yes"},
			{gen.StrictSerializable, []string{"G-single-item-realtime"}, "no"},
			{gen.StrictSerializable, []string{"G2-item"}, "yes"}, // each key alone is in order
			{gen.Serializable, nil, "no"},
		} {
			var text []byte
			o := gen.Options{Seed: 1, Workload: w, Level: c.level, Txns: 500, Processes: 4, MaxWrites: 16, Info: 0.02, Fail: 0.05, FinalRead: true, Inject: c.inject}
			if err := gen.Run(o, func(e *gen.Event) error { text = e.AppendEDN(text); return nil }); err != nil {
				t.Fatal(err)
			}
			h, err := history.Parse(bytes.NewReader(text), history.ParseOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := verdict(Check(h, "keys", bound)); got != c.want {
				t.Errorf("%v, %v, %v: %s", w, c.level, c.inject, got)
			}
		}
	}
}

func TestTimeIsUp(t *testing.T) {
	h, err := history.Parse(strings.NewReader(`{:type :invoke, :process 0, :f :write, :value 1}`), history.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := verdict(Check(h, "register", 0)); got != "not decided" {
		t.Error(got)
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
		e.Checker = strings.TrimPrefix(e.Checker, "linearizable-")
		if e.Checker == "kv-append" {
			e.Checker = "kv"
		}
		if !slices.Contains(Workloads(), e.Checker) || e.Expect.Valid == nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(data, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		if e.Checker == "kv" { // the key is in a field of its own
			text = regexp.MustCompile(`:key (".*?"), :value ("[^"]*"|nil)`).ReplaceAll(text, []byte(`:value [$1 $2]`))
		}
		h, err := history.Parse(bytes.NewReader(text), history.ParseOptions{})
		if err != nil {
			t.Errorf("%s: %v", e.Path, err)
			continue
		}
		want := "yes"
		if !*e.Expect.Valid {
			want = "no"
		}
		got := verdict(Check(h, e.Checker, 2*time.Second))
		if got == "not decided" {
			t.Logf("%s: %s in so short a time", e.Path, got)
			continue
		}
		if checked++; got != want {
			t.Errorf("%s: %s, not %s", e.Path, got, want)
		}
	}
	if checked < 110 {
		t.Errorf("only %d verdicts checked", checked)
	}
	t.Logf("%d verdicts", checked)
}
