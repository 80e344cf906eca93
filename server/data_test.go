package server

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

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
