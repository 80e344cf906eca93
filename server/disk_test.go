package server

import (
	"os"
	"testing"
)

// TestDataFolderIsPrivate: also one that somebody else has made.
func TestDataFolderIsPrivate(t *testing.T) {
	for name, mode := range map[string]os.FileMode{"open": 0o755, "writable": 0o777, "private": 0o700, "shared": 0o777 | os.ModeSticky} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		closed(t, dir, nil)
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		want := os.FileMode(0o700)
		if mode&os.ModeSticky != 0 {
			want = 0o777
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: the folder is %v, want %v", name, got, want)
		}
	}
}
