package rtdb

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestJavaScriptSDK runs the unmodified SDK in Node. It needs node and the npm package firebase 12.19.0 in the directory that
// SMOKE_MODULES names (one that has a node_modules), and is skipped without.
func TestJavaScriptSDK(t *testing.T) {
	modules := os.Getenv("SMOKE_MODULES")
	node, err := exec.LookPath("node")
	if modules == "" || err != nil {
		t.Skip("SMOKE_MODULES is not set, or there is no node")
	}
	if _, err := os.Stat(filepath.Join(modules, "node_modules", "firebase")); err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "testdata/smoke/smoke.mjs", strings.TrimPrefix(r.http.URL, "http://"))
	cmd.Env = append(os.Environ(), "SMOKE_MODULES="+modules)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "passed") {
		t.Fatalf("%v\n%s", err, out)
	}
}
