package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGenerateCheckAndShrink(t *testing.T) {
	dir := t.TempDir()
	for _, workload := range []string{"list-append", "rw-register"} {
		for _, format := range []string{"edn", "json"} {
			good, bad, small := filepath.Join(dir, "good."+format), filepath.Join(dir, "bad."+format), filepath.Join(dir, "small."+format)
			gen := []string{"elle", "gen", "--workload", workload, "--format", format, "--txns", "300", "--info", "0.02", "--final-read"}
			if _, errs, code := runWith(t, "", append(gen, "--out", good)...); code != exitOK {
				t.Fatalf("gen: %d %s", code, errs)
			}
			if _, errs, code := runWith(t, "", append(gen, "--inject", "G2-item", "--out", bad)...); code != exitOK {
				t.Fatalf("gen --inject: %d %s", code, errs)
			}
			if out, errs, code := runWith(t, "", "elle", "check", "--workload", workload, good); code != exitOK {
				t.Errorf("check of what is good: %d %s%s", code, out, errs)
			}
			if out, _, code := runWith(t, "", "elle", "check", "--workload", workload, bad); code != exitAnomalies || !strings.Contains(out, "G2-item") {
				t.Errorf("check of what is bad: %d %s", code, out)
			}
			_, errs, code := runWith(t, "", "elle", "shrink", "--workload", workload, "--anomaly", "G2-item", "--out", small, bad)
			if code != exitOK || !strings.Contains(errs, "operations still show G2-item") {
				t.Fatalf("shrink: %d %s", code, errs)
			}
			text, err := os.ReadFile(small)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), "\n"); n < 4 || n > 6 {
				t.Errorf("%d entries are left:\n%s", n, text)
			}
			if _, errs, code := runWith(t, "", "elle", "shrink", "--workload", workload, good); code != exitFailure || !strings.Contains(errs, "nothing to shrink") {
				t.Errorf("shrink of what is good: %d %s", code, errs)
			}
		}
	}
}

func TestElleToolsSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"gen", "--level", "good"}, "there are read-uncommitted"},
		{[]string{"gen", "--workload", "good"}, "there are list-append"},
		{[]string{"gen", "--inject", "G7"}, "there are G-nonadjacent-item"},
		{[]string{"gen", "--txns", "-1"}, "--txns"},
		{[]string{"gen", "--fail", "2"}, "shares"},
		{[]string{"run", "--url", "localhost"}, "http://HOST:PORT"},
		{[]string{"run", "--url", "http://localhost:1", "--workload", "bank"}, "there are list-append"},
		{[]string{"run", "--url", "http://127.0.0.1:1", "--duration", "50ms", "--settle", "50ms"}, "does not answer"},
		{[]string{"shrink", "/none"}, "no file"},
	} {
		_, errs, code := runWith(t, "", append([]string{"elle"}, c.args...)...)
		if code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit code %d, %s", c.args, code, errs)
		}
	}
}
