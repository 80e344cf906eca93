// Package rebase_test holds the conventions of this repository as tests, so that
// they stay true without anybody having to remember them.
package rebase_test

import (
	"bytes"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "rebase/"

// floors are the storeys of the house, the lowest first: a package imports only
// packages of lower floors. An entry with a trailing slash stands for what lies
// below it.
var floors = [][]string{
	{"jsonscan"},
	{"tree"},
	{"query"},
	{"rules"},
	{"rules/ruletest"}, // up to here the pure ones
	{"rules/caseyaml"},
	{"clock"},
	{"clock/internal/"},
	{"clock/"},
	{"clock/mutex", "clock/replay"},
	{"learnedsort"},
	{"learnedsort/external"}, // the one that reads and writes files
	{"elle/history", "elle/model", "elle/graph", "elle/polygraph"}, // the checker: no other package uses it
	{"elle/anomaly", "elle/gen"},
	{"elle/cycle", "elle/listappend", "elle/register", "elle/simple", "elle/linear", "elle/picture"},
	{"elle"},
	{"elle/"},
	{"elle/drive"},
	{"blob"},
	{"vlog"},
	{"vlog/native/core"}, // the protocol of vlog/native, pure
	{"vlog/"},            // engines under the log, and what they are tested with
	{"cluster/"},
	{"cluster"}, // what one node is to the others
	{"audit"},
	{"store"},
	{"snapshot"},
	{"db"},
	{"live"},
	{"auth/password", "auth/mail", "auth/userfile"},
	{"auth/token"}, // what a token says, and who signed it
	{"auth/jwks"},
	{"auth/keys"},
	{"auth/projects"},
	{"auth"},
	{"auth/users"},
	{"gateway/ns", "gateway/budget", "gateway/limit", "gateway/adminapi"},
	{"gateway/"},
	{"console/"},
	{"transfer"},
	{"server"},
	{"bench"},
	{"bench/logs"},
	{"cmd/"},
}

// exceptions are imports that the floors would forbid or that reach over more
// floors than a package should know of, each with its reason.
var exceptions = map[string]string{}

// pure packages do no input or output, start no goroutine, and read no clock.
var pure = []string{
	"jsonscan", "tree", "query", "rules", "rules/ruletest",
	"clock", "clock/lamport", "clock/mutex", "clock/physical", "clock/fidge", "clock/vector", "clock/version",
	"clock/hlc", "clock/history", "clock/script", "clock/diagram", "clock/replay", "clock/internal/counts",
	"learnedsort",
	"elle/history", "elle/model", "elle/graph", "elle/anomaly",
	"elle/gen", "elle/polygraph", "elle/register", "elle/simple",
	"elle/cycle", "elle/listappend", "elle/picture",
	"vlog/native/core",
}

var forbiddenInPure = []string{
	"os", "os/exec", "os/signal", "net", "net/http", "time", "context", "syscall", "log", "log/slog",
	"path/filepath", "io/fs", "crypto/rand", "math/rand", "math/rand/v2",
}

// onlyHere are imports that one package, or one group of them, keeps from all others.
var onlyHere = map[string][]string{
	"github.com/cockroachdb/pebble/v2":     {"store", "server"}, // server: tells corruption by its error
	"github.com/prometheus/client_golang/": {"gateway/admin", "server"},
	"github.com/gobwas/ws":                 {"gateway/rtdb", "bench"}, // bench: thousands of clients in one process
	"github.com/alecthomas/kong":           {"cmd/rebase"},
	"go.yaml.in/yaml/v3":                   {"rules/caseyaml"},
	"github.com/schollz/progressbar/":      {"cmd/rebase"},
	"github.com/anishathalye/porcupine":    {"elle/linear"},
	"go.etcd.io/etcd/server/":              {"vlog/etcd/embedded"},
	"go.etcd.io/":                          {"vlog/etcd", "vlog/etcd/embedded", "cluster"},
	"github.com/minio/minio-go/":           {"blob"},
	"github.com/go-zookeeper/zk":           {}, // measured against in tests; vlog/zookeeper has a client of its own
}

// transfer speaks HTTP to any server of the API, so it must not lean on this one.
var knowsOnly = map[string][]string{
	"transfer":      {"jsonscan", "tree"},
	"gateway/admin": {},
	"console/demo":  {},
	"auth":          {"auth/token", "auth/jwks", "auth/keys", "auth/projects"},
	"auth/token":    {},
	"auth/jwks":     {"auth/token"},
	"gateway/ns":    {},
	"gateway/limit": {},
	"audit":         {},
}

type pkg struct {
	name    string // relative to the module, slashes
	dir     string
	sources []string // not tests
	tests   []string
	imports map[string]string // path -> the first source file that has it; not of tests
}

// packages lists every package of this module.
func packages(t *testing.T) []*pkg {
	t.Helper()
	byDir := map[string]*pkg{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" || base == "target") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); name != "." && err == nil {
				return filepath.SkipDir // another module
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		dir := filepath.Dir(name)
		p := byDir[dir]
		if p == nil {
			p = &pkg{name: filepath.ToSlash(dir), dir: dir, imports: map[string]string{}}
			byDir[dir] = p
		}
		if strings.HasSuffix(name, "_test.go") {
			p.tests = append(p.tests, name)
			return nil
		}
		p.sources = append(p.sources, name)
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if p.imports[path] == "" {
				p.imports[path] = name
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var list []*pkg
	for _, p := range byDir {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *pkg) int { return strings.Compare(a.name, b.name) })
	if len(list) < 10 {
		t.Fatalf("only %d packages found", len(list))
	}
	return list
}

// underTest holds programs and data for tests; nothing imports it.
func underTest(name string) bool { return name == "test" || strings.HasPrefix(name, "test/") }

func floorOf(name string) int {
	for i, floor := range floors {
		for _, entry := range floor {
			if name == entry {
				return i
			}
		}
	}
	for i, floor := range floors {
		for _, entry := range floor {
			if strings.HasSuffix(entry, "/") && strings.HasPrefix(name, entry) {
				return i
			}
		}
	}
	return -1
}

func TestImportsGoDownwards(t *testing.T) {
	for _, p := range packages(t) {
		if p.name == "." {
			continue // these tests
		}
		floor := floorOf(p.name)
		if floor < 0 && !underTest(p.name) {
			t.Errorf("package %s has no floor: name it in floors, and in ARCHITECTURE.md", p.name)
			continue
		}
		for path, file := range p.imports {
			other, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if underTest(other) {
				t.Errorf("%s imports %s, which is for tests", file, other)
			}
			if underTest(p.name) || exceptions[p.name+" "+other] != "" {
				continue
			}
			if floorOf(other) >= floor {
				t.Errorf("%s imports %s, which is not on a lower floor", file, other)
			}
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.name) {
			continue
		}
		for _, path := range forbiddenInPure {
			if file := p.imports[path]; file != "" {
				t.Errorf("%s imports %s; package %s knows no input, output or clock", file, path, p.name)
			}
		}
		for path, file := range p.imports {
			if strings.Contains(strings.Split(path, "/")[0], ".") {
				t.Errorf("%s imports %s; package %s needs nothing but the standard library", file, path, p.name)
			}
		}
		for _, name := range p.sources {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if loc := regexp.MustCompile(`(?m)^\s*go (func\b|\w+[.(])`).FindIndex(text); loc != nil {
				t.Errorf("%s starts a goroutine: %s", name, bytes.TrimSpace(text[loc[0]:loc[1]]))
			}
		}
	}
}

func TestImportsThatAreKeptToOnePlace(t *testing.T) {
	for _, p := range packages(t) {
		for path, file := range p.imports {
			for kept, where := range onlyHere {
				matches := path == kept || strings.HasSuffix(kept, "/") && strings.HasPrefix(path, kept)
				if matches && !slices.Contains(where, p.name) && !underTest(p.name) {
					t.Errorf("%s imports %s, which is for %s alone", file, path, strings.Join(where, ", "))
				}
			}
			if allowed, bound := knowsOnly[p.name]; bound {
				if other, ours := strings.CutPrefix(path, module); ours && !slices.Contains(allowed, other) {
					t.Errorf("%s imports %s; package %s knows only %q", file, other, p.name, allowed)
				}
			}
		}
	}
}

func TestEveryPackageIsDescribed(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.sources) == 0 {
			continue
		}
		name := filepath.Join(p.dir, "doc.go")
		if len(p.sources) <= 2 && !slices.Contains(p.sources, name) {
			name = filepath.Join(p.dir, path.Base(p.name)+".go") // too small for a file of its own
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Errorf("package %s: %v", p.name, err)
			continue
		}
		want := "Package " + f.Name.Name + " "
		if f.Name.Name == "main" {
			want = "Command " + path.Base(p.name) + " "
		}
		if f.Doc == nil || !strings.HasPrefix(f.Doc.Text(), want) {
			t.Errorf("%s has no comment that begins with %q", name, want)
		}
	}
}

func TestSourcesAreFormatted(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range slices.Concat(p.sources, p.tests) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			formatted, err := format.Source(text)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !bytes.Equal(text, formatted) {
				t.Errorf("%s is not formatted; run gofmt -w %s", name, name)
			}
		}
	}
}

// A file of 800 lines is about two things.
func TestFilesAreAboutOneThing(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.sources {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(text, []byte("\n")); lines > 800 {
				t.Errorf("%s has %d lines; 800 are the limit", name, lines)
			}
		}
	}
}

func TestLicences(t *testing.T) {
	text, err := os.ReadFile("LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("Apache License")) {
		t.Error("LICENSE is not the Apache License")
	}
	// What is embedded from others lies in folders named vendor, with a README.md
	// that names every file, its origin and its licence, and with the licences.
	found := 0
	err = filepath.WalkDir("console", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() != "vendor" {
			return err
		}
		found++
		readme, err := os.ReadFile(filepath.Join(name, "README.md"))
		if err != nil {
			t.Error(err)
			return filepath.SkipDir
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Name() != "README.md" && !bytes.Contains(readme, []byte("`"+e.Name()+"`")) {
				t.Errorf("%s/README.md does not name %s", name, e.Name())
			}
		}
		for _, m := range regexp.MustCompile("`(LICENSE[^`]*)`").FindAllStringSubmatch(string(readme), -1) {
			if info, err := os.Stat(filepath.Join(name, m[1])); err != nil || info.Size() < 200 {
				t.Errorf("%s/README.md names %s, which is not there or empty", name, m[1])
			}
		}
		return filepath.SkipDir
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Error("no folder of third-party files found; where have they gone?")
	}
}
