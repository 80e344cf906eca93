package register

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"rebase/elle/history"
	"rebase/elle/polygraph"
)

// data holds histories of others with their verdicts. They are not ours to keep in the repository.
const data = "../../../shared/data/elle"

func TestHistoriesOfAWDIT(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(data, "manifest.json"))
	if err != nil {
		t.Skipf("left out, because the histories do not lie beside this repository: %v", err)
	}
	var manifest []struct {
		Path, Checker string
		Opts          struct {
			Models []string `json:"consistency-models"`
		}
		Expect struct{ Valid any }
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, e := range manifest {
		if e.Checker != "register-sessions" {
			continue
		}
		f, err := os.Open(filepath.Join(data, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		h, err := history.Parse(f, history.ParseOptions{Format: history.Sessions})
		f.Close()
		if err != nil {
			t.Errorf("%s: %v", e.Path, err)
			continue
		}
		want := polygraph.Refuted
		if e.Expect.Valid == true {
			want = polygraph.Proved
		}
		for _, d := range Sessions(h) {
			if string(d.Model) != e.Opts.Models[0] {
				continue
			}
			checked++
			if d.Verdict != want {
				t.Errorf("%s: %s is %v, not %v", e.Path, d.Model, d.Verdict, want)
			}
			if d.Verdict == polygraph.Refuted && (d.Witness == nil || len(d.Witness.Ops) == 0) {
				t.Errorf("%s: %s is refuted without a witness", e.Path, d.Model)
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d verdicts checked", checked)
	}
}
