package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// root finds the repository: the folder of the go.mod above the test's package.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("engines: no go.mod above the working folder")
		}
		dir = parent
	}
}

// moduleVersion is the version that go.mod pins a module to.
func moduleVersion(t testing.TB, module string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^\s*(?:require )?` + regexp.QuoteMeta(module) + ` (v\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("engines: go.mod does not name %s", module)
	}
	return string(m[1])
}

// once makes the file or folder bin/name if it is not there. Several test processes may want it at the same time: one makes it
// under another name and renames it, while the others wait on a lock that dies with its holder.
func once(t testing.TB, name string, build func(path string) error) string {
	t.Helper()
	bin := filepath.Join(root(t), "bin")
	path := filepath.Join(bin, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("engines: lock %s: %v", lock.Name(), err)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	temp := path + ".tmp"
	if err := os.RemoveAll(temp); err != nil {
		t.Fatal(err)
	}
	if err := build(temp); err != nil {
		t.Fatalf("engines: make %s: %v", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// goBuild builds a command of a module that go.mod names.
func goBuild(t testing.TB, name, pkg string) string {
	t.Helper()
	dir := root(t)
	return once(t, name, func(path string) error {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, pkg)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
		}
		return nil
	})
}
