package query

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"rebase/jsonscan"
	"rebase/tree"
)

// TestSDKVectors compares with what the JavaScript SDK itself sends for a
// query and shows of the data. See testdata/sdk.
func TestSDKVectors(t *testing.T) {
	f, err := os.Open("testdata/vectors.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	count := 0
	for lines.Scan() {
		count++
		var v struct {
			Data, Q json.RawMessage
			ID      string
			Keys    []string
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		data, err := tree.ParseJSON(v.Data)
		if err != nil {
			t.Fatalf("line %d: %v", count, err)
		}
		q, err := ParseWire(jsonscan.New(v.Q))
		if err != nil {
			t.Errorf("line %d: %v: %s", count, err, v.Q)
			continue
		}
		if want := v.ID; want != string(q.WireJSON()) && !(want == DefaultID && string(q.WireJSON()) == "{}") {
			t.Errorf("line %d: WireJSON = %s, the SDK's identifier is %s", count, q.WireJSON(), want)
		}
		if got := filteredKeys(&q, data); !slices.Equal(got, v.Keys) {
			t.Errorf("line %d: %s\n selects %q\nthe SDK %q", count, v.Q, got, v.Keys)
		}
		w := NewWindow(q)
		if err := w.Load(memory{&q, data}); err != nil {
			t.Fatal(err)
		}
		if got := w.Keys(); !slices.Equal(got, v.Keys) {
			t.Errorf("line %d: %s\n loads %q\nthe SDK %q", count, v.Q, got, v.Keys)
		}
	}
	if err := lines.Err(); err != nil || count < 500 {
		t.Fatalf("%d vectors, %v", count, err)
	}
}

// filteredKeys returns the keys of what q selects of n, in q's order.
func filteredKeys(q *Query, n *tree.Node) []string {
	var entries []Entry
	for _, c := range q.Filter(n).Children() {
		entries = append(entries, q.EntryOf(c.Key, c.Node))
	}
	slices.SortFunc(entries, q.Compare)
	keys := []string{}
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return keys
}

// memory is a Source over a node.
type memory struct {
	q *Query
	n *tree.Node
}

func (m memory) Scan(from *Entry, reverse bool, n int) ([]Entry, error) {
	var out []Entry
	for _, c := range m.n.Children() {
		e := m.q.EntryOf(c.Key, c.Node)
		if !m.q.InRange(e) {
			continue
		}
		if from != nil {
			if cmp := m.q.Compare(e, *from); !reverse && cmp <= 0 || reverse && cmp >= 0 {
				continue
			}
		}
		out = append(out, e)
	}
	slices.SortFunc(out, m.q.Compare)
	if reverse {
		slices.Reverse(out)
	}
	return out[:min(n, len(out))], nil
}
