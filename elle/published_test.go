package elle_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rebase/elle"
	"rebase/elle/history"
	"rebase/elle/model"
)

const data = "../../shared/data/elle"

// known are the differences that we want, with the anomalies that we report and the origin
// of the verdict does not.
var known = map[string]struct {
	why  string
	more []model.Anomaly
}{
	"elle/paper-example.edn":         {"operations without processes are paired by order, not dropped", []model.Anomaly{model.GSingle}},
	"elle-cli/elle/rw-register.edn":  {"a value that nobody wrote is no valid read", []model.Anomaly{model.GarbageRead}},
	"elle-cli/elle/rw-register.json": {"a value that nobody wrote is no valid read", []model.Anomaly{model.GarbageRead}},
}

// entry is a line of the manifest: a history, and what another checker says of it.
type entry struct {
	Path    string `json:"path"`
	Checker string `json:"checker"`
	Opts    struct {
		Models     []string `json:"consistency-models"`
		WFR        bool     `json:"wfr-keys?"`
		Sequential bool     `json:"sequential-keys?"`
		Linear     bool     `json:"linearizable-keys?"`
	} `json:"opts"`
	Expect struct {
		Valid any             `json:"valid"`
		Types []model.Anomaly `json:"anomaly-types"`
		Not   []model.Model   `json:"not"`
	} `json:"expect"`
}

func manifest(t *testing.T) []entry {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "manifest.json"))
	if err != nil {
		t.Skip("the published histories do not lie beside the project: ", err)
	}
	var list []entry
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func load(t *testing.T, name string) *history.History {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := history.Parse(f, history.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func check(t *testing.T, h *history.History, o elle.Options) *elle.Result {
	t.Helper()
	r, err := elle.Check(context.Background(), h, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func models(t *testing.T, names []string) []model.Model {
	t.Helper()
	var list []model.Model
	for _, name := range names {
		m, err := model.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

// Every verdict that others published must be ours, but for the differences that are known.
func TestVerdictsOfPublishedHistories(t *testing.T) {
	checked := map[elle.Workload]int{}
	for _, e := range manifest(t) {
		if strings.HasPrefix(e.Checker, "linearizable-") {
			continue // hundreds; package linear looks at them
		}
		workload := elle.Workload(e.Checker)
		checked[workload]++
		t.Run(strings.Join(append([]string{e.Path}, e.Opts.Models...), "/"), func(t *testing.T) {
			h := load(t, filepath.Join(data, e.Path))
			r := check(t, h, elle.Options{Workload: workload, Models: models(t, e.Opts.Models),
				WFRKeys: e.Opts.WFR, SequentialKeys: e.Opts.Sequential, LinearizableKeys: e.Opts.Linear})
			if d, ok := known[e.Path]; ok {
				for _, a := range d.more {
					if !slices.Contains(r.Types, a) {
						t.Errorf("%s: %q lacks %s", d.why, r.Types, a)
					}
				}
				for _, a := range e.Expect.Types {
					if a != model.EmptyGraph && !slices.Contains(r.Types, a) {
						t.Errorf("%q lacks %s", r.Types, a)
					}
				}
				return
			}
			switch e.Expect.Valid {
			case nil:
				t.Logf("nobody told the verdict; it is %v %q", r.Valid, r.Types)
				for _, a := range r.Anomalies {
					t.Log(r.Explain(a))
				}
			case true:
				if r.Valid != elle.Consistent {
					t.Errorf("valid: %v (%q), want true", r.Valid, r.Types)
				}
			case false:
				if r.Valid != elle.Inconsistent || len(r.Anomalies) == 0 {
					t.Errorf("valid: %v, want false", r.Valid)
				}
			default:
				t.Errorf("a verdict %v", e.Expect.Valid)
			}
			if e.Expect.Types != nil && !slices.Equal(r.Types, e.Expect.Types) {
				t.Errorf("anomalies: %q, want %q", r.Types, e.Expect.Types)
			}
			if e.Expect.Not != nil && !slices.Equal(r.Not, e.Expect.Not) {
				t.Errorf("not: %q, want %q", r.Not, e.Expect.Not)
			}
		})
	}
	for _, w := range []elle.Workload{elle.ListAppend, elle.RWRegister, elle.Set, elle.SetFull, elle.Counter, elle.Bank,
		elle.LongFork, elle.Comments, elle.CASRegister, elle.Mutex, elle.RegisterSessions} {
		if checked[w] == 0 {
			t.Errorf("no history of %s", w)
		}
	}
}
