package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"rebase/db"
	"rebase/store"
	"rebase/tree"
	"rebase/vlog"
	"rebase/vlog/local"
)

var quiet = slog.New(slog.DiscardHandler)

// copyData copies a data folder without, if so wished, the store.
func copyData(t *testing.T, from string, withStore bool) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if !withStore {
		if err := os.RemoveAll(filepath.Join(to, "store")); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func openLog(t *testing.T, data string) *vlog.Log {
	t.Helper()
	log, err := vlog.Open(context.Background(), vlog.Options{
		Meta:      local.FileMeta(data, nil),
		Providers: map[string]vlog.Provider{"local": local.Provider(local.Options{Root: filepath.Join(data, "log"), Logger: quiet})},
		Initial:   vlog.Segment{Kind: "local"},
		Logger:    quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

// openCopy opens a copy of a folder that no server uses, brings its store up to the
// log's tail, and returns all state in it: every database, and the database's own
// records.
func openCopy(t *testing.T, data string, withStore bool) []byte {
	t.Helper()
	ctx := context.Background()
	dir := copyData(t, data, withStore)
	log := openLog(t, dir)
	s, err := store.Open(filepath.Join(dir, "store"), store.Options{CacheBytes: 16 << 20, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if applied := s.Applied(); withStore != (applied > 0) {
		t.Fatalf("the store begins at %d", applied)
	}
	d, err := db.Open(ctx, db.Options{Log: log, Store: s, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close(ctx)
	snap := d.Snapshot()
	defer snap.Close()
	var out bytes.Buffer
	fmt.Fprintf(&out, "position %d\n", snap.Applied())
	names, err := snap.Namespaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		n, err := snap.Get(name, "")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "namespace %q\n%s\n", name, tree.AppendExport(nil, n))
	}
	if err := snap.ScanMeta(nil, func(key, val []byte) bool {
		fmt.Fprintf(&out, "record %q = %x\n", key, val)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// firstPosition is where the log of a folder that no server uses begins.
func firstPosition(t *testing.T, data string) vlog.Position {
	t.Helper()
	log := openLog(t, copyData(t, data, false))
	_, err := log.Read(context.Background(), 1, 2, 1)
	var trimmed *vlog.TrimmedError
	if errors.As(err, &trimmed) {
		return trimmed.First
	}
	if err != nil {
		t.Fatal(err)
	}
	return 1
}
