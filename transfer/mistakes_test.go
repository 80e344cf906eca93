package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rebase/tree"
)

// An export to a pipe or a device writes into it. Renamed over, /dev/null would be a file from
// then on, for every program of the machine.
func TestExportIntoWhatIsNoFile(t *testing.T) {
	f := newFake(t)
	f.root = tree.NewInt(5)
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Skip(err)
	}
	read := make(chan string, 1)
	go func() {
		r, err := os.Open(name)
		if err != nil {
			read <- err.Error()
			return
		}
		defer r.Close()
		text, _ := io.ReadAll(r)
		read <- string(text)
	}()
	if _, err := new(Client).ExportFile(context.Background(), f.target(t, ""), name, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(name); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Fatalf("the pipe has become %v (%v)", info.Mode(), err)
	}
	if got := <-read; got != "5" {
		t.Errorf("out of the pipe came %q", got)
	}
}

// The file that a link names is replaced, not the link; a directory is named as such.
func TestExportFollowsLinks(t *testing.T) {
	f := newFake(t)
	f.root = tree.NewInt(5)
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o600), os.Symlink("file", link)); err != nil {
		t.Fatal(err)
	}
	if _, err := new(Client).ExportFile(context.Background(), f.target(t, ""), link, nil); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); string(text) != "5" {
		t.Errorf("the file holds %q (%v)", text, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link has become %v (%v)", info.Mode(), err)
	}
	_, err := new(Client).ExportFile(context.Background(), f.target(t, ""), dir, nil)
	if err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("export over a directory: %v", err)
	}
}

// What time does not mend is told at once.
func TestHopelessRequestsAreNotRepeated(t *testing.T) {
	var waits atomic.Int32
	client := &Client{RetryFor: time.Hour, Waiting: func(error) { waits.Add(1) }}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	for _, url := range []string{
		strings.Replace(plain.URL, "http:", "https:", 1), // speaks no TLS
		secure.URL, // its certificate is of nobody known
	} {
		to, err := ParseURL(url + "/?ns=x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Export(context.Background(), to, io.Discard, false, nil); err == nil {
			t.Errorf("export from %s succeeded", url)
		}
	}
	if !hopeless(&net.DNSError{IsNotFound: true}) {
		t.Error("a name that does not exist is worth waiting for")
	}
	if waits.Load() != 0 {
		t.Errorf("%d requests were repeated", waits.Load())
	}
}

// While nothing answers the caller hears why it takes so long, and so does who ends it.
func TestWaitingIsTold(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	var why error
	client := &Client{RetryFor: time.Hour, Waiting: func(err error) { why = err; cancel(errors.New("enough")) }}
	to, err := ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Export(ctx, to, io.Discard, false, nil)
	if !errors.Is(why, syscall.ECONNREFUSED) {
		t.Errorf("waited for %v", why)
	}
	if err == nil || !strings.Contains(err.Error(), "enough") || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the export failed with %v", err)
	}
}

// Programs on Windows put a mark before UTF-8.
func TestImportSkipsTheByteOrderMark(t *testing.T) {
	f := newFake(t)
	_, err := new(Client).Import(context.Background(), bytes.NewReader([]byte("\xef\xbb\xbf{\"a\":1}")), false, f.target(t, ""), ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(tree.AppendExport(nil, f.tree())); got != `{"a":1}` {
		t.Errorf("imported %s", got)
	}
}

// A disk that is full is told as such, not as JSON that cannot be read.
func TestExportToAFullDisk(t *testing.T) {
	f := newFake(t)
	f.root = tree.NewString(strings.Repeat("x", 1<<20))
	full := errors.New("no space left on device")
	_, err := new(Client).Export(context.Background(), f.target(t, ""), writerFunc(func([]byte) (int, error) { return 0, full }), false, nil)
	if !errors.Is(err, full) || strings.Contains(err.Error(), "JSON") {
		t.Errorf("the export failed with %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
