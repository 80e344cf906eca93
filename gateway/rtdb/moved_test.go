package rtdb

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The real SDK, told to connect elsewhere while it writes and listens, does so and loses nothing: each write is made once, in
// order, and its listeners see all of it. Told to come back to the same address, it does that.
func TestTheSDKMoves(t *testing.T) {
	sdk := filepath.Join("..", "..", "test", "sdk", "node")
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err, ": install Node.js 20 or newer")
	}
	if _, err := os.Stat(filepath.Join(sdk, "node_modules", "firebase")); err != nil {
		install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error")
		install.Dir = sdk
		if out, err := install.CombinedOutput(); err != nil {
			t.Fatalf("the SDK cannot be installed: %v\n%s", err, out)
		}
	}
	a, b := newCluster(t)
	cmd := exec.CommandContext(t.Context(), node, "moved/client.mjs", a.http.URL+"/?ns=test")
	cmd.Dir, cmd.Stderr = sdk, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	lines := bufio.NewScanner(out)
	connected := func(n int) {
		t.Helper()
		if !lines.Scan() || lines.Text() != fmt.Sprintf("connected %d", n) {
			t.Fatalf("the client says %q, want connection %d", lines.Text(), n)
		}
	}
	count := func(r *rig) (n int) {
		fmt.Sscan(r.export("count"), &n)
		return n
	}
	more := func(r *rig) { // writes arrive by this server
		t.Helper()
		at := count(r)
		waitFor(t, "the client goes on writing", func() bool { return count(r) > at+50 })
	}
	connected(1)
	more(a)
	hostB := strings.TrimPrefix(b.http.URL, "http://")
	a.srv.Redirect(t.Context(), func() string { return hostB })
	connected(2)
	if n, m := a.srv.Clients(), b.srv.Clients(); n != 0 || m != 1 {
		t.Errorf("%d clients stay, %d have moved", n, m)
	}
	more(b)
	b.srv.Redirect(t.Context(), func() string { return "" }) // the same address again
	b.srv.EndRedirect()
	// It may have been sent away once more before that.
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "connected") {
		t.Fatal(lines.Text())
	}
	more(b)
	fmt.Fprintln(in, "stop")
	var seen struct {
		Made, Failed, Count, Items, Connected, WentBack int
		Host                                            string
	}
	for lines.Scan() && strings.HasPrefix(lines.Text(), "connected") {
	}
	if err := json.Unmarshal(lines.Bytes(), &seen); err != nil {
		t.Fatalf("%q: %v", lines.Text(), err)
	}
	t.Logf("%+v; %d writes came again and were recognised", seen, b.count.replays.Load())
	if seen.Made < 150 || seen.Failed != 0 || seen.Count != seen.Made || seen.Items != seen.Made || seen.WentBack != 0 || seen.Host != hostB {
		t.Errorf("the client has seen %+v", seen)
	}
	if count(b) != seen.Made {
		t.Errorf("%d writes were made, %d are there", seen.Made, count(b))
	}
}
