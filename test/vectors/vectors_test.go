package vectors

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rebase/tree"
)

var update = flag.Bool("update", false, "write sdk.json anew from the SDK's answers (with -run Live)")

// A question is a line to the SDK. Op says which of the other fields count; see sdk.js.
type question struct {
	Op       string   `json:"op"`
	JSON     string   `json:"json,omitempty"`
	Path     string   `json:"path,omitempty"`
	Value    string   `json:"value,omitempty"`
	Existing string   `json:"existing,omitempty"`
	Now      int64    `json:"now,omitempty"`
	Keys     []string `json:"keys,omitempty"`
	Times    []int64  `json:"times,omitempty"`
	Entropy  []int    `json:"entropy,omitempty"`
}

// An answer is what the SDK says to it.
type answer struct {
	Error  string   `json:"error,omitempty"`
	Hash   string   `json:"hash,omitempty"`
	Export string   `json:"export,omitempty"`
	Value  string   `json:"value,omitempty"`
	Rows   []string `json:"rows,omitempty"`
	IDs    []string `json:"ids,omitempty"`
	Path   string   `json:"path,omitempty"`
	Valid  []bool   `json:"valid,omitempty"`
}

// A vector is a question with its answer, in sdk.json.
type vector struct {
	Q question        `json:"q"`
	A json.RawMessage `json:"a"`
}

// TestVectors checks the tree package against the answers that were recorded.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("sdk.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 100 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, v := range vectors {
		check(t, v.Q, v.A)
	}
}

// TestLive checks it against answers to new questions.
func TestLive(t *testing.T) {
	requireSDK(t)
	seed := uint64(time.Now().UnixNano())
	rounds := 40
	if *update {
		seed, rounds = 1, 10
	}
	t.Logf("seed %d", seed)
	questions := generate(rand.New(rand.NewPCG(seed, 0)), rounds)
	answers := ask(t, questions)
	for i, q := range questions {
		check(t, q, answers[i])
	}
	if *update && !t.Failed() {
		vectors := make([]vector, len(questions))
		for i := range vectors {
			vectors[i] = vector{questions[i], answers[i]}
		}
		var buf bytes.Buffer
		buf.WriteString("[\n")
		for i, v := range vectors {
			line, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			buf.Write(line)
			if i+1 < len(vectors) {
				buf.WriteByte(',')
			}
			buf.WriteByte('\n')
		}
		buf.WriteString("]\n")
		if err := os.WriteFile("sdk.json", buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// requireSDK installs the SDK if it is not there.
func requireSDK(t *testing.T) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed: install Node.js 20 or later with npm", tool)
		}
	}
	if _, err := os.Stat("node_modules/@firebase/database/package.json"); err == nil {
		return
	}
	if out, err := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
}

// ask puts the questions to the SDK in one process.
func ask(t *testing.T, questions []question) []json.RawMessage {
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, q := range questions {
		if err := enc.Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("node", "live.js")
	cmd.Stdin = &in
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []json.RawMessage
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		answers = append(answers, slices.Clone(lines.Bytes()))
	}
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

func parse(t *testing.T, text string) *tree.Node {
	t.Helper()
	n, err := tree.ParseJSON([]byte(text))
	if err != nil {
		t.Fatalf("ParseJSON(%s): %v", text, err)
	}
	return n
}

// decode reads JSON as JavaScript does: numbers are doubles.
func decode(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func same(t *testing.T, what string, q question, got []byte, want string) {
	t.Helper()
	if !reflect.DeepEqual(decode(t, string(got)), decode(t, want)) {
		t.Errorf("%s of %+v:\n got %s\nwant %s", what, q, got, want)
	}
}

// check compares the tree package's answer with the SDK's.
func check(t *testing.T, q question, raw json.RawMessage) {
	t.Helper()
	var a answer
	var orders struct{ Priority, Value []string } // the answer to "orders"
	into := any(&a)
	if q.Op == "orders" {
		into = &orders
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
	if a.Error != "" {
		t.Fatalf("%+v: the SDK says %s", q, a.Error)
	}
	switch q.Op {
	case "node":
		n := parse(t, q.JSON)
		if got := tree.Hash(n); got != a.Hash {
			t.Errorf("hash of %s: got %s, want %s", q.JSON, got, a.Hash)
		}
		same(t, "export", q, tree.AppendExport(nil, n), a.Export)
		same(t, "value", q, tree.AppendValue(nil, n), a.Value)
	case "keys":
		for i, x := range q.Keys {
			for j, y := range q.Keys {
				got, want := "<=>"[1+tree.CompareKeys(x, y)], a.Rows[i][j]
				if want == '=' && x != y && got != '=' {
					continue // the SDK does not tell 00 from -0
				}
				if got != want {
					t.Errorf("%q %c %q, the SDK says %c", x, got, y, want)
				}
			}
		}
	case "orders":
		children := slices.Clone(parse(t, q.JSON).Children())
		by := func(value func(*tree.Node) *tree.Node) []string {
			slices.SortStableFunc(children, func(a, b tree.Child) int {
				if c := tree.CompareIndex(value(a.Node), value(b.Node)); c != 0 {
					return c
				}
				return tree.CompareKeys(a.Key, b.Key)
			})
			var keys []string
			for _, c := range children {
				keys = append(keys, c.Key)
			}
			return keys
		}
		if got := by((*tree.Node).Priority); !slices.Equal(got, orders.Priority) {
			t.Errorf("order by priority of %s: got %q, want %q", q.JSON, got, orders.Priority)
		}
		if got := by(func(n *tree.Node) *tree.Node { return n }); !slices.Equal(got, orders.Value) {
			t.Errorf("order by value of %s: got %q, want %q", q.JSON, got, orders.Value)
		}
	case "set":
		p, priority, err := tree.ParseWritePath(q.Path)
		if err != nil {
			t.Fatal(err)
		}
		n, v := parse(t, q.JSON), parse(t, q.Value)
		if priority {
			n = n.SetPriority(p, v)
		} else {
			n = n.Set(p, v)
		}
		same(t, "set", q, tree.AppendExport(nil, n), a.Export)
	case "resolve":
		existing := parse(t, q.Existing)
		n := parse(t, q.JSON).Resolve(q.Now, existing.At)
		if n.HasServerValues() {
			t.Errorf("%s still has server values", q.JSON)
		}
		same(t, "resolve", q, tree.AppendExport(nil, n), a.Export)
	case "push":
		entropy := make([]byte, len(q.Entropy))
		for i, b := range q.Entropy {
			entropy[i] = byte(b)
		}
		ids := tree.NewPushIDs(bytes.NewReader(entropy))
		var got []string
		for _, now := range q.Times {
			got = append(got, ids.Next(now))
		}
		if !slices.Equal(got, a.IDs) {
			t.Errorf("push ids for %v: got %q, want %q", q.Times, got, a.IDs)
		}
	case "path":
		p, err := tree.ParsePath(q.Path)
		if err != nil {
			t.Fatal(err)
		}
		if got := "/" + string(p); got != a.Path {
			t.Errorf("path %q: got %q, want %q", q.Path, got, a.Path)
		}
	case "validKeys":
		for i, key := range q.Keys {
			if got := tree.CheckKey(key) == nil; got != a.Valid[i] {
				t.Errorf("key %q: got valid=%v, the SDK says %v", key, got, a.Valid[i])
			}
		}
	default:
		t.Fatalf("unknown question %q", strings.TrimSpace(q.Op))
	}
}
