package report

import (
	"errors"
	"strings"
	"testing"

	"rebase/elle"
	"rebase/elle/history"
)

func TestPage(t *testing.T) {
	h, err := history.Parse(strings.NewReader(`
{:type :ok :process 0 :f :txn :value [[:r "<x>" []] [:append :y 1]]}
{:type :ok :process 1 :f :txn :value [[:r :y []] [:append "<x>" 1]]}
{:type :ok :process 2 :f :txn :value [[:r "<x>" [1]] [:r :y [1]] [:r :z [1 2 3]] [:append :z 1] [:append :z 2] [:append :z 3]]}
{:type :ok :process 3 :f :txn :value [[:r :z [1 3]]]}
`), history.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := elle.Check(t.Context(), h, elle.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Write(&b, []File{{Name: "a&b.edn", Result: r}, {Name: "none.edn", Err: errors.New("line 3: <odd>")}}); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"G2-item", "Write skew", "a&amp;b.edn", "line 3: &lt;odd&gt;", "<svg ", "T1 &lt; T2", `class="odd"`, "repeatable-read"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "http://", "https://", "<x>", "ZgotmplZ"} {
		if strings.Contains(strings.ReplaceAll(page, `xmlns="http://www.w3.org/2000/svg"`, ""), never) {
			t.Errorf("the page has %q", never)
		}
	}
}
