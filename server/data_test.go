package server

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rebase/store"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// unlockable is a file system whose locks fail.
type unlockable struct {
	vfs.FS
	err error
}

func (u unlockable) Lock(string) (io.Closer, error) { return nil, u.err }

// A folder that may not be written is not one that another server uses.
func TestLockThatCannotBeMadeIsNotHeld(t *testing.T) {
	for _, c := range []struct {
		err    error
		advice string
	}{
		{&os.PathError{Op: "open", Path: "LOCK", Err: os.ErrPermission}, "must be able to read and write"},
		{errors.New("resource temporarily unavailable"), "Another server is using this folder"},
	} {
		_, err := Start(t.Context(), Options{Data: "data", FS: unlockable{vfs.NewMem(), c.err}})
		var start *StartError
		if !errors.As(err, &start) || start.Kind != KindData || !strings.Contains(start.Advice, c.advice) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

// A store that this program is too old for is not damaged, and the first error of a start is not hidden by damage that is met while it is undone.
func TestWhatIsNotDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	markers, err := filepath.Glob(filepath.Join(dir, "marker.format-version.*"))
	if err != nil || len(markers) != 1 {
		t.Fatal(markers, err)
	}
	if err := os.Rename(markers[0], markers[0][:len(markers[0])-3]+"999"); err != nil {
		t.Fatal(err)
	}
	if _, err = store.Open(dir, store.Options{}); err == nil {
		t.Fatal("a store of the future was opened")
	}
	var e *StartError
	if !errors.As(dataError("data", &storeError{err}), &e) || e.Kind != KindData || !strings.Contains(e.Advice, "newer version") {
		t.Errorf("a store of the future: %+v", e)
	}

	first := &StartError{Kind: KindData, What: "the journal cannot be opened", Err: errors.New("permission denied")}
	if err := storeDamage("data", errors.Join(first, pebble.ErrCorruption)); !strings.Contains(err.Error(), "permission denied") || !strings.Contains(err.Error(), "Move the folder") {
		t.Errorf("damage beside another error: %v", err)
	}
	if err := storeDamage("data", first); err != first {
		t.Errorf("no damage: %v", err)
	}
}
