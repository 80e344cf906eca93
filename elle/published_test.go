package elle_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"rebase/elle"
	"rebase/elle/history"
	"rebase/elle/model"
)

const data = "../../shared/data/elle"

// known are the differences that we want: what we report and the origin of the verdict does
// not, or the other way round.
var known = map[string]string{
	"elle/paper-example.edn": "operations without processes are paired by order instead of being dropped",
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

func TestVerdictsOfPublishedListHistories(t *testing.T) {
	checked := 0
	for _, e := range manifest(t) {
		if e.Checker != "list-append" {
			continue
		}
		t.Run(e.Path+"/"+e.Opts.Models[0], func(t *testing.T) {
			h := load(t, filepath.Join(data, e.Path))
			r := check(t, h, elle.Options{Models: models(t, e.Opts.Models)})
			if why := known[e.Path]; why != "" {
				t.Logf("%s: %q, not %q", why, r.Types, e.Expect.Types)
				return
			}
			want := elle.Consistent
			switch e.Expect.Valid {
			case false:
				want = elle.Inconsistent
			case "unknown":
				want = elle.Unknown
			}
			if r.Valid != want {
				t.Errorf("valid: %v, want %v", r.Valid, want)
			}
			if e.Expect.Types != nil && !slices.Equal(r.Types, e.Expect.Types) {
				t.Errorf("anomalies: %q, want %q", r.Types, e.Expect.Types)
			}
			if e.Expect.Not != nil && !slices.Equal(r.Not, e.Expect.Not) {
				t.Errorf("not: %q, want %q", r.Not, e.Expect.Not)
			}
			for _, a := range r.Anomalies[:min(len(r.Anomalies), 3)] {
				t.Logf("%s\n%s", a.Type, r.Explain(a))
			}
		})
		checked++
	}
	if checked < 8 {
		t.Errorf("only %d histories", checked)
	}
}
