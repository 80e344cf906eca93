package rules

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rebase/jsonscan"
	"rebase/tree"
)

func readRule(expr string) string { return `{"rules":{".read":` + quote(expr) + `}}` }

// What is nested or chained without end is refused, or runs on a bounded stack.
func TestNesting(t *testing.T) {
	for _, test := range []struct {
		name, doc string
		ok        bool
	}{
		{"brackets", readRule(strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100)), true},
		{"too many brackets", readRule(strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200)), false},
		{"very many brackets", readRule(strings.Repeat("(", 50_000)), false},
		{"prefixes", readRule(strings.Repeat("!", 100) + "true"), true},
		{"too many prefixes", readRule(strings.Repeat("!", 90_000) + "true"), false},
		{"too many indexes", readRule(strings.Repeat("auth[", 900) + "1" + strings.Repeat("]", 900) + " == 1"), false},
		{"too many choices", readRule(strings.Repeat("true ? true : ", 900) + "true"), false},
		{"alternatives", readRule(strings.Repeat("now == 1 || ", 20_000) + "true"), true},
		{"brackets of alternatives", readRule("now == 0" + strings.Repeat(" || (now == 1 && now == 2)", 5_000)), true},
		{"sums", readRule("1" + strings.Repeat(" + 1", 900) + " == 901"), true},
		{"too many sums", readRule("1" + strings.Repeat(" + 1", 100_000) + " == 1"), false},
		{"too many children", readRule("root" + strings.Repeat(".child('a')", 10_000) + ".exists()"), false},
		{"document", strings.Repeat(`{"rules":`, 2000), false},
		{"nodes", `{"rules":` + strings.Repeat(`{"a":`, 120) + `{}` + strings.Repeat(`}`, 121), true},
		{"regular expressions", readRule(strings.Repeat("'a'.matches(/a{10000}/) || ", 300) + "true"), false},
		{"sets", readRule("'a'.matches(/" + strings.Repeat(`[^a-zäöü\\W]{99}`, 300) + "/i)"), false},
	} {
		r, err := Parse([]byte(test.doc))
		if (err == nil) != test.ok {
			t.Errorf("%s: %.200v", test.name, err)
		}
		if err == nil && strings.Contains(test.doc, ".read") && !r.Read(&Request{State: TreeState(nil)}).Allowed {
			t.Errorf("%s: denied", test.name)
		}
	}
}

// Rules that make strings grow, or match large patterns in large strings, fail:
// they cannot keep others waiting.
func TestBombs(t *testing.T) {
	long := strings.Repeat("a", 5<<20)
	state := TreeState(tree.NewObject([]tree.Child{{Key: "long", Node: tree.NewString(long)}, {Key: "a", Node: tree.NewString("a")}}))
	v := "root.child('long').val()"
	for _, test := range []struct{ expr, failed string }{
		{"root.child('a').val()" + strings.Repeat(".replace('a', 'aaaaaaaa')", 20) + " != ''", "the string grows too long"},
		{"root.child('a').val()" + strings.Repeat(".replace('', 'aaaaaaaa')", 20) + " != ''", "the string grows too long"},
		{v + " + " + v + " + " + v + " != ''", "the string grows too long"},
		{v + " + '' != ''" + strings.Repeat(" && "+v+" + '' != ''", 100), "too much work"},
		{"true" + strings.Repeat(" && "+v+".contains('ab') == false", 100), "too much work"},
		{"true" + strings.Repeat(" && "+v+".length > 0", 100), "too much work"},
		{v + ".matches(/^(a{100}b?){50}$/)", "too much work"},
		{"true" + strings.Repeat(" && !root.child("+v+").exists()", 100), "too much work"},
	} {
		got := mustParse(t, readRule(test.expr)).Read(&Request{State: state, Trace: true})
		if got.Allowed || !strings.Contains(got.Trace.Steps[0].Failed, test.failed) {
			t.Errorf("%.80s: %v %s", test.expr, got.Allowed, clip(got.Trace.Steps[0].Failed))
		}
	}
	// What is large but reasonable is not in the way.
	for _, expr := range []string{
		v + ".matches(/^[a-z]+$/)", v + ".length == 5242880", v + ".contains('ab') == false", v + " == " + v,
		v + ".replace('a', 'b') != ''", v + " + 'x' != ''",
	} {
		if got := mustParse(t, readRule(expr)).Read(&Request{State: state, Trace: true}); !got.Allowed {
			t.Errorf("%s: %s", expr, got.Trace)
		}
	}
}

// No pattern takes more than linear time, which backtracking would show by never
// coming back.
func TestHostilePatterns(t *testing.T) {
	state := TreeState(tree.NewString(strings.Repeat("a", 1<<16) + "!"))
	for _, pattern := range []string{`^(a+)+$`, `^(a|a)*$`, `^(a|aa)+$`, `^(a*)*b$`, `(.*)(.*)(.*)(.*)(.*)x$`, `^([a-z]+)*\d$`} {
		if mustParse(t, readRule("root.val().matches(/"+pattern+"/)")).Read(&Request{State: state}).Allowed {
			t.Errorf("%s matches", pattern)
		}
	}
}

func TestAuthIsAnyJSON(t *testing.T) {
	for _, text := range []string{`null`, `{}`, `[]`, `{"a":[1,2.5,"x",null,{}],"b.c/d":true,"z":-0.25}`, `"text"`, `5`, `[1,2,3,4,5,6,7,8,9,10,11,12]`} {
		if got := mustAuth(t, text).String(); got != text {
			t.Errorf("%s became %s", text, got)
		}
	}
	if got := mustAuth(t, `{"b":1,"a":2,"b":3}`).String(); got != `{"a":2,"b":3}` {
		t.Error(got)
	}
	for _, text := range []string{``, `{`, `{"a":1} x`, `{"a"}`, strings.Repeat("[", 1000)} {
		var syntax *jsonscan.SyntaxError
		if _, err := ParseAuth([]byte(text)); !errors.As(err, &syntax) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

type brokenState struct{ State }

var errBroken = errors.New("broken")

func (brokenState) Leaf(tree.Path) (*tree.Node, bool, error)        { return nil, false, errBroken }
func (brokenState) Priority(tree.Path) (*tree.Node, error)          { return nil, errBroken }
func (brokenState) Children(tree.Path, func(key string) bool) error { return errBroken }

// A state that cannot be read decides nothing, and least of all that something
// is allowed.
func TestBrokenState(t *testing.T) {
	for _, expr := range []string{
		"root.exists() || true", "!root.exists()", "root.val() == null", "!root.hasChild('a')", "!root.hasChildren(['a'])",
		"root.getPriority() == null", "root.exists() ? true : true",
	} {
		v := mustParse(t, readRule(expr)).Read(&Request{State: brokenState{}})
		if v.Allowed || !errors.Is(v.Err, errBroken) {
			t.Errorf("%s: %+v", expr, v)
		}
	}
	for _, doc := range []string{
		`{"rules":{".write":true,".validate":true}}`, `{"rules":{".write":true,"a":{".validate":true}}}`, `{"rules":{".write":true,"$a":{".validate":true}}}`,
		`{"rules":{".write":"!newData.exists()"}}`, `{"rules":{".write":"newData.exists()","a":{".write":true}}}`,
	} {
		v := mustParse(t, doc).Write(&Request{State: brokenState{}, New: brokenState{}, Path: ""})
		if v.Allowed || !errors.Is(v.Err, errBroken) {
			t.Errorf("%s: %+v", doc, v)
		}
	}
	// What is not asked cannot fail.
	if v := mustParse(t, readRule("true || root.exists()")).Read(&Request{State: brokenState{}}); !v.Allowed || v.Err != nil {
		t.Errorf("%+v", v)
	}
}

// countingState counts what is asked.
type countingState struct {
	State
	leaves, children int
}

func (s *countingState) Leaf(p tree.Path) (*tree.Node, bool, error) {
	s.leaves++
	return s.State.Leaf(p)
}

func (s *countingState) Children(p tree.Path, f func(string) bool) error {
	s.children++
	return s.State.Children(p, f)
}

// A decision looks at what the rules name, however large the database is.
func TestLooksAtLittle(t *testing.T) {
	var users []tree.Child
	for i := range 1000 {
		users = append(users, tree.Child{Key: fmt.Sprint("u", i), Node: tree.NewInt(int64(i))})
	}
	root := tree.NewObject([]tree.Child{{Key: "users", Node: tree.NewObject(users)}, {Key: "x", Node: tree.NewInt(1)}})
	r := mustParse(t, `{"rules":{
		".write":"root.child('users/u1').val() == 1 && root.child('users').child('u1').exists() && root.hasChild('users')",
		"users":{"$u":{".validate":"newData.val() != 2"}},
		"free":{"$x":{"$y":{"$z":{}}}},
		"x":{}}}`)
	before := &countingState{State: TreeState(root)}
	after := &countingState{State: Overlay(before, []Change{{Path: "free", Value: tree.NewObject(users)}})}
	if v := r.Write(&Request{State: before, New: after, Path: "free"}); !v.Allowed {
		t.Fatal("denied")
	}
	if before.leaves != 2 || before.children+after.leaves+after.children != 0 {
		t.Errorf("%d, %d look-ups, %d, %d lists", before.leaves, after.leaves, before.children, after.children)
	}
	// All that a write leaves below it is validated, and nothing beside it.
	if v := r.Write(&Request{State: before, New: &countingState{State: TreeState(root)}, Path: "users", Trace: true}); v.Allowed || len(v.Trace.Steps) > 1002 {
		t.Errorf("%v %d", v.Allowed, len(v.Trace.Steps))
	}
}

func TestNoRulesDenyAll(t *testing.T) {
	var none *Rules
	for _, r := range []*Rules{none, mustParse(t, `{"rules":{}}`)} {
		req := &Request{State: TreeState(nil), New: TreeState(nil), Path: "a/b", Trace: true}
		for _, v := range []Verdict{r.Read(req), r.Write(req)} {
			if v.Allowed || v.Err != nil || v.Trace.Decided != -1 || !strings.Contains(v.Trace.Fix, "for /a/b") {
				t.Errorf("%+v", v)
			}
		}
		// A write of nothing harms nobody.
		if req.Updates = []tree.Path{}; !r.Write(req).Allowed {
			t.Error("a write of nothing is denied")
		}
	}
}
