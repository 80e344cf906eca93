package history

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const data = "../../../shared/data/elle"

func TestReadsEveryHistoryThatTestersPublished(t *testing.T) {
	if _, err := os.Stat(data); err != nil {
		t.Skip("the published histories do not lie beside the project: ", err)
	}
	n := 0
	err := filepath.Walk(data, func(name string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() || strings.HasSuffix(name, "lattice.json") || strings.HasSuffix(name, "manifest.json") || strings.HasSuffix(name, ".md") {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		h, err := Parse(f, ParseOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		if len(h.Ops) == 0 && info.Size() > 10 {
			t.Errorf("%s: no operations", name)
		}
		n++
		t.Log(name, len(h.Ops), h.MopCount(), h.Warnings)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 100 {
		t.Errorf("only %d histories", n)
	}
}
