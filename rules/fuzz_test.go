package rules

import (
	"testing"

	"rebase/tree"
)

// fuzzWork bounds the text that is fuzzed, not what rules may be.
const fuzzText = 4 << 10

func fuzzSeeds(f *testing.F) {
	seen := map[string]bool{}
	for _, c := range readCases(f) {
		if (c.verb == "eval" || c.verb == "weval") && !seen[c.arg] {
			seen[c.arg] = true
			f.Add(c.arg, c.data, c.auth)
		}
	}
}

// FuzzEval runs any text as a rule, in both kinds and all ways to ask, which must
// agree and must not panic.
func FuzzEval(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, expr, data, auth string) {
		if len(expr) > fuzzText || len(data) > fuzzText {
			return
		}
		before, err := tree.ParseJSON([]byte(data))
		if err != nil || before.HasServerValues() {
			before = nil
		}
		who, err := ParseAuth([]byte(auth))
		if err != nil {
			who = nil
		}
		doc := []byte(`{"rules":{"$a":{"$b":{".read":` + quote(expr) + `,".write":` + quote(expr) + `}}}}`)
		r, err := Parse(doc)
		if err != nil {
			if e, ok := err.(*Error); !ok || e.Line != 1 || e.Column < 1 || e.Column > len(doc)+1 || e.Msg == "" {
				t.Fatalf("%T %+v", err, err)
			}
			return
		}
		value := tree.NewString("new")
		req := Request{
			Auth: who, Now: 1000, Path: "x/y", State: TreeState(before), New: Overlay(TreeState(before), []Change{{Path: "x/y", Value: value}}),
		}
		read, write := r.Read(&req), r.Write(&req)
		if read.Err != nil || write.Err != nil {
			t.Fatal(read.Err, write.Err)
		}
		req.New, req.Trace = TreeState(before.Set("x/y", value)), true
		tracedRead, tracedWrite := r.Read(&req), r.Write(&req)
		if tracedRead.Allowed != read.Allowed || tracedWrite.Allowed != write.Allowed {
			t.Fatalf("%v %v, traced %v %v", read.Allowed, write.Allowed, tracedRead.Allowed, tracedWrite.Allowed)
		}
		_ = tracedRead.Trace.String() + tracedWrite.Trace.String()
		// A rule and its opposite are never both true: one that fails is false
		// either way.
		not, err := Parse([]byte(`{"rules":{"$a":{"$b":{".read":` + quote("!("+expr+"\n)") + `}}}}`))
		if err == nil && read.Allowed && not.Read(&req).Allowed {
			t.Fatal("true, and so is its opposite")
		}
	})
}

// FuzzRegex compiles any pattern, which must not panic, and runs it.
func FuzzRegex(f *testing.F) {
	f.Add(`^(a|[^b-d\s])+?x{2,3}$`, true, "aax")
	f.Add(`[\]\-z-]`, false, "-")
	f.Add(`^.\W$`, true, "\u212a\n")
	f.Fuzz(func(t *testing.T, pattern string, fold bool, text string) {
		flags := ""
		if fold {
			flags = "i"
		}
		if len(pattern) > 200 || len(text) > fuzzText {
			return
		}
		re, err := compileRegex(pattern, flags, 0)
		if err != nil {
			if e, ok := err.(*exprError); !ok || e.at < 1 || e.at > len(pattern)+2 {
				t.Fatalf("%T %+v", err, err)
			}
			return
		}
		if re.size < 1 || re.size > maxRegexSize+1 {
			t.Fatal(re.size)
		}
		re.re.MatchString(text)
	})
}
