package fidge_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"
)

// sources type-checks this module's packages from their files, and takes the
// standard library's from the compiler.
type sources struct {
	fset *token.FileSet
	std  types.Importer
	done map[string]*types.Package
}

func (s *sources) Import(path string) (*types.Package, error) {
	rel, ours := strings.CutPrefix(path, "rebase/clock")
	if !ours {
		return s.std.Import(path)
	}
	if p := s.done[path]; p != nil {
		return p, nil
	}
	names, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(rel), "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(s.fset, name, nil, 0)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	conf := types.Config{Importer: s}
	p, err := conf.Check(path, s.fset, files, nil)
	s.done[path] = p
	return p, err
}

// What must not be compared does not compile.
func TestWrongComparisonsDoNotCompile(t *testing.T) {
	fset := token.NewFileSet()
	imports := &sources{fset, importer.ForCompiler(fset, "gc", nil), map[string]*types.Package{}}
	check := func(statement string) error {
		text := fmt.Sprintf(`package p
import (
	"cmp"
	"slices"
	"rebase/clock/fidge"
	"rebase/clock/lamport"
	"rebase/clock/vector"
	"rebase/clock/version"
)
func f(f, g fidge.Stamp, s fidge.SyncStamp, o fidge.Offer, v vector.Stamp, cut vector.Vector, l lamport.Stamp, vv version.Vector,
	fc *fidge.Clock, sc *fidge.SyncClock, vc *vector.Clock) {
	%s
}
var _ = cmp.Compare[int]
var _ = slices.Max[[]int]
`, statement)
		file, err := parser.ParseFile(fset, "p.go", text, 0)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		conf := types.Config{Importer: imports}
		_, err = conf.Check("p", fset, []*ast.File{file}, nil)
		return err
	}

	// What is right compiles, so the others fail for what they say and not for the frame.
	for _, statement := range []string{
		"_ = f.Before(g)",
		"_ = f.Compare(g)",
		"_ = s.Before(s)",
		"_ = v.Before(v)",
		"_ = v.Vector().Compare(cut)",
		"_ = cut.Compare(cut)",
		"_ = l == l && l.Less(l)",
		"_ = vv.Compare(vv)",
		"fc.Receive(f)",
		"sc.Accept(o)",
		"vc.Receive(v)",
	} {
		if err := check(statement); err != nil {
			t.Errorf("%s does not compile: %v", statement, err)
		}
	}

	for _, c := range []struct{ statement, says string }{
		// Fidge's stamps, component by component
		{"_ = f == g", "cannot be compared"},
		{"_ = f < g", "operator < not defined"},
		{"_ = f.v", "unexported"},
		{"_ = f.Vector()", "no field or method Vector"},
		{"_ = f.LessEqual(g)", "no field or method"},
		{"_ = cmp.Compare(f, g)", "does not satisfy"},
		{"_ = slices.Max([]fidge.Stamp{f, g})", "does not satisfy"},
		{"_ = slices.Index([]fidge.Stamp{f}, g)", "does not satisfy comparable"},
		{"_ = map[fidge.Stamp]bool{}", "invalid map key"},
		{"_ = cut.Compare(f)", "cannot use f"},
		{"_ = cut.Includes(f)", "cannot use f"},
		{"_ = vv.Compare(f)", "cannot use f"},
		// with stamps of other clocks
		{"_ = f.Before(v)", "cannot use v"},
		{"_ = v.Before(f)", "cannot use f"},
		{"_ = f.Before(s)", "cannot use s"},
		{"_ = s.Before(f)", "cannot use f"},
		{"_ = s.Before(v)", "cannot use v"},
		{"_ = f.Same(v)", "cannot use v"},
		{"_ = f.Before(l)", "cannot use l"},
		{"_ = vv.Compare(cut)", "cannot use cut"},
		// by conversion
		{"_ = vector.Stamp(f)", "cannot convert"},
		{"_ = fidge.Stamp(v)", "cannot convert"},
		{"_ = fidge.SyncStamp(f)", "cannot convert"},
		{"_ = fidge.Stamp(s)", "cannot convert"},
		{"_ = fidge.SyncStamp(o)", "cannot convert"},
		{"_ = vector.Vector(vv)", "cannot convert"},
		// into clocks
		{"fc.Receive(v)", "cannot use v"},
		{"vc.Receive(f)", "cannot use f"},
		{"sc.Accept(s)", "cannot use s"},
		{"fc.Receive(s)", "cannot use s"},
	} {
		switch err := check(c.statement); {
		case err == nil:
			t.Errorf("%s compiles", c.statement)
		case !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v, want %s", c.statement, err, c.says)
		}
	}
}
