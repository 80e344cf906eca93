package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rebase/server"
)

// rebase runs the program and returns what it wrote.
func rebase(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, streams{strings.NewReader(in), &o, &e})
	return code, o.String(), e.String()
}

func testServer(t *testing.T) string {
	t.Helper()
	s, err := server.Start(context.Background(), server.Options{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(context.Background()) })
	return s.URL()
}

func TestExitCodes(t *testing.T) {
	url := testServer(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(url, "http://")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--help"}, exitOK, "Usage: rebase <command>"},
		{[]string{"serve", "--help"}, exitOK, "$REBASE_LISTEN"},
		{[]string{"version"}, exitOK, "rebase " + version},
		{[]string{"--version"}, exitOK, "rebase " + version},
		{[]string{}, exitUsage, "--help"},
		{[]string{"bogus"}, exitUsage, "bogus"},
		{[]string{"serve", "--log-level=loud"}, exitUsage, "loud"},
		{[]string{"serve", "--log-retain=many"}, exitUsage, "256MiB"},
		{[]string{"serve", "--config=" + filepath.Join(dir, "none")}, exitUsage, "none"},
		{[]string{"import", file, "--to=nowhere"}, exitUsage, "nowhere"},
		{[]string{"import", file, "--to=" + url}, exitFailure, "import of"},
		{[]string{"import", filepath.Join(dir, "none"), "--to=" + url}, exitFailure, "no such file"},
		{[]string{"export", url + "/a", "-o", filepath.Join(dir, "no", "such", "file")}, exitFailure, "no such file"},
		{[]string{"serve", "--data=" + filepath.Join(dir, "d"), "--listen=" + address}, exitAddress, "--listen"},
		{[]string{"serve", "--data=" + file, "--listen=127.0.0.1:0"}, exitData, "--data"},
		{[]string{"serve", "--data=" + filepath.Join(dir, "d"), "--listen=:0", "--open"}, exitOpen, "--open"},
		{[]string{"serve", "--data=" + filepath.Join(dir, "d"), "--tls-cert=" + file}, exitTLS, "--tls-key"},
	} {
		code, out, errs := rebase(t, "", c.args...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("rebase %s: exit code %d, want %d with %q; it says\n%s%s", strings.Join(c.args, " "), code, c.code, c.says, out, errs)
		}
	}
}

// What is exported, in whatever way, is what was imported, in whatever way.
func TestImportAndExport(t *testing.T) {
	url := testServer(t)
	dir := t.TempDir()
	text := `{".priority":1,"a":{"b":[1,2,3],"c":"é"},"d":{".value":true,".priority":"x"}}`
	canonical := `{".priority":1,"a":{"b":{"0":1,"1":2,"2":3},"c":"é"},"d":{".value":true,".priority":"x"}}`
	must := func(in string, args ...string) string {
		t.Helper()
		code, out, errs := rebase(t, in, args...)
		if code != 0 {
			t.Fatalf("rebase %s: exit code %d: %s", strings.Join(args, " "), code, errs)
		}
		return out
	}
	must(text, "import", "-", "--to", url+"/x?ns=one")
	if got := must("", "export", url+"/x?ns=one", "--output=-"); got != canonical {
		t.Errorf("exported %s, want %s", got, canonical)
	}
	for i, name := range []string{"plain.json", "packed.json.gz"} {
		name = filepath.Join(dir, name)
		must("", "export", url+"/x?ns=one", "--output", name)
		to := fmt.Sprintf("%s/?ns=copy%d", url, i)
		must("", "import", name, "--to", to, "--replace")
		if got := must("", "export", to, "--output=-"); got != canonical {
			t.Errorf("%s: exported %s, want %s", name, got, canonical)
		}
	}
	_, _, errs := rebase(t, `{"a":1,"b":2}`, "import", "-", "--to", url)
	if !strings.HasPrefix(errs, "imported 2 leaves") {
		t.Errorf("the import says %q", errs)
	}
	if _, _, errs := rebase(t, "1", "import", "-q", "-", "--to", url+"/q"); errs != "" {
		t.Errorf("the quiet import says %q", errs)
	}
}

// pipe is standard output that a test reads lines from as they come.
type pipe struct {
	mu    sync.Mutex
	text  strings.Builder
	lines chan string
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(b)
	for {
		line, rest, found := strings.Cut(p.text.String(), "\n")
		if !found {
			return len(b), nil
		}
		p.text.Reset()
		p.text.WriteString(rest)
		p.lines <- line
	}
}

// A configuration file is in force, the environment goes before it and the
// command line before both; and the line for other programs is there.
func TestServeConfiguration(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "rebase.toml")
	err := os.WriteFile(config, []byte(fmt.Sprintf(
		"[serve]\nlisten = \"256.0.0.1:bad\"\ndata = %q\ndemo = true\nlog-retain = \"1MiB\"\nlog-level = \"nonsense\"\ncheckpoint-every = \"1s\"\n",
		filepath.Join(dir, "data"))), 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("REBASE_LOG_LEVEL", "error")
	ctx, cancel := context.WithCancel(t.Context())
	out := &pipe{lines: make(chan string, 100)}
	var errs bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"serve", "--config", config, "--listen", "127.0.0.1:0"}, streams{nil, out, &errs})
	}()
	var url string
	for url == "" {
		select {
		case line := <-out.lines:
			url, _ = strings.CutPrefix(line, "listening on ")
			if url == line {
				url = ""
			}
		case code := <-ended:
			t.Fatalf("ended with %d: %s", code, &errs)
		}
	}
	resp, err := http.Get(url + "/_rebase/demo/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("the demo page that the file turns on: %d", resp.StatusCode)
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "CHAIN")); err != nil {
		t.Errorf("the data folder that the file names: %v", err)
	}
}

// A setting that is not in force must not look as if it were.
func TestConfigurationMistakes(t *testing.T) {
	dir := t.TempDir()
	for text, says := range map[string]string{
		"[serve]\nlissten = \"x\"":     `no setting "lissten"`,
		"listen = \"127.0.0.1:0\"":     `"listen" is not a command's table`,
		"[server]\nlisten = \"x\"":     `"server" is not a command's table`,
		"[serve]\nlisten = [\"a\"]":    "must be a text",
		"[serve\n":                     "configuration file",
		"[serve]\nopen = \"perhaps\"":  "perhaps",
		"[serve]\nlog-retain = -1":     "-1",
		"[serve]\ndrain = \"forever\"": "forever",
	} {
		config := filepath.Join(dir, "c.toml")
		if err := os.WriteFile(config, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		code, _, errs := rebase(t, "", "serve", "--config", config, "--listen=1.2.3.4:x", "--data", filepath.Join(dir, "d"))
		if code != exitUsage || !strings.Contains(errs, says) {
			t.Errorf("%q: exit code %d, %q; want %d with %q", text, code, errs, exitUsage, says)
		}
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "1KiB": 1024, "256MiB": 256 << 20, "256 mb": 256 << 20, "1G": 1 << 30, "2TiB": 2 << 40, "7B": 7,
	} {
		var b byteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || int64(b) != want {
			t.Errorf("%q: %d, %v; want %d", text, b, err, want)
		}
		var again byteSize
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b {
			t.Errorf("%q is written as %q and read as %d, %v", text, b, again, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5G", "1X", "1GG", "99999999999999", "1 2", "8388608T"} {
		var b byteSize
		if err := b.UnmarshalText([]byte(text)); err == nil && text != "99999999999999" {
			t.Errorf("%q is taken for %d", text, b)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
