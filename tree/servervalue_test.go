package tree

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestResolve(t *testing.T) {
	for _, c := range []struct{ value, existing, want string }{
		{`{".sv":"timestamp"}`, `1`, `1700000000000`},
		{`{".sv":{"increment":2}}`, `null`, `2`},
		{`{".sv":{"increment":2}}`, `40`, `42`},
		{`{".sv":{"increment":2}}`, `"40"`, `2`},
		{`{".sv":{"increment":2}}`, `true`, `2`},
		{`{".sv":{"increment":2}}`, `{"a":1}`, `2`},
		{`{".sv":{"increment":0.5}}`, `1`, `1.5`},
		{`{".sv":{"increment":0.5}}`, `1.5`, `2`},
		{`{".sv":{"increment":1}}`, `9007199254740992`, `9007199254740993`},
		{`{".sv":{"increment":1}}`, `9223372036854775807`, `9.223372036854776e+18`},
		{`{".sv":{"increment":-1}}`, `-9223372036854775808`, `-9223372036854775808`}, // the nearest double is the limit itself
		{`{".sv":{"increment":-9223372036854775808}}`, `-1`, `-9223372036854775808`},
		{`{".sv":{"increment":1e308}}`, `1.7e308`, `1.7976931348623157e+308`},
		{`{".sv":{"increment":-1e308}}`, `-1.7e308`, `-1.7976931348623157e+308`},
		{`{".sv":{"increment":1}}`, `{".value":1,".priority":9}`, `2`},
		{`{".value":{".sv":{"increment":1}},".priority":{".sv":{"increment":1}}}`, `{".value":1,".priority":9}`, `{".value":2,".priority":10}`},
		{`{".value":"x",".priority":{".sv":"timestamp"}}`, `1`, `{".value":"x",".priority":1700000000000}`},
		{`{"a":{"b":{".sv":{"increment":1}},"c":"d"},".priority":{".sv":{"increment":3}}}`, `{"a":{"b":5},".priority":1}`, `{".priority":4,"a":{"b":6,"c":"d"}}`},
		{`{"a":1}`, `2`, `{"a":1}`},
	} {
		existing := mustParse(t, c.existing)
		n := mustParse(t, c.value).Resolve(1_700_000_000_000, existing.At)
		if got := string(AppendExport(nil, n)); got != c.want {
			t.Errorf("%s on %s: got %s, want %s", c.value, c.existing, got, c.want)
		}
	}
}

func TestResolveOnlyAsksForIncrements(t *testing.T) {
	n := mustParse(t, `{"a":{".sv":"timestamp"},"b":{"c":{".sv":{"increment":1}}},"d":{".value":1,".priority":{".sv":"timestamp"}}}`)
	var asked []Path
	n.Resolve(1, func(p Path) *Node { asked = append(asked, p); return nil })
	if len(asked) != 1 || asked[0] != "b/c" {
		t.Errorf("asked for %q", asked)
	}
}

func TestResolveLeavesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, existing := nodeGen(3, true).Draw(t, "node"), nodeGen(3, false).Draw(t, "existing")
		m := n.Resolve(7, existing.At)
		if m.HasServerValues() || m.CountLeaves() != n.CountLeaves() || m.Depth() != n.Depth() {
			t.Fatalf("%s becomes %s", AppendExport(nil, n), AppendExport(nil, m))
		}
		if !n.HasServerValues() && m != n {
			t.Fatal("a node without server values is copied")
		}
	})
}

func TestIncrementsAddUpExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		sum := add(NewInt(a), NewInt(b))
		hi := float64(a) + float64(b)
		if math.Abs(hi) < 1<<62 && (sum.Kind() != Int || sum.Int() != a+b) || math.Abs(hi) > 1.1*(1<<63) && sum.Kind() != Float {
			t.Fatalf("%d + %d = %s", a, b, AppendExport(nil, sum))
		}
	})
}

func TestHasIncrements(t *testing.T) {
	for s, want := range map[string]bool{
		`1`:                                   false,
		`{"a":{".sv":"timestamp"}}`:           false,
		`{".sv":{"increment":1}}`:             true,
		`{"a":{"b":{".sv":{"increment":1}}}}`: true,
		`{".value":1,".priority":{".sv":{"increment":1}}}`: true,
	} {
		n, err := ParseJSON([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		if got := n.HasIncrements(); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}
