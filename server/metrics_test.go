package server

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
)

// What the database reports of its applying is what was applied, no more.
func TestApplyTimesAreTheDatabases(t *testing.T) {
	s := start(t, Options{})
	count := func(name string) float64 {
		t.Helper()
		_, text := call(t, "GET", s.URL()+"/_rebase/metrics", "")
		m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no metric %s", name)
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, entries := count("rebase_apply_seconds_count"), count("rebase_db_applied_total")
	for i := range 10 { // one after the other: each is applied alone
		want(t, "PUT", fmt.Sprintf("%s/n/%d.json?ns=a", s.URL(), i), "1", 200, "1")
	}
	after := count("rebase_apply_seconds_count") - before
	if want := count("rebase_db_applied_total") - entries; after < 9 || after > want {
		t.Errorf("%v groups were timed for %v entries", after, want)
	}
	if count("rebase_apply_seconds_sum") <= 0 {
		t.Error("applying took no time")
	}
}
