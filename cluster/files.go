package cluster

import (
	"errors"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	return b, errors.Join(err, f.Close())
}

// writeFile replaces a file at once, so that after a crash there is the old one or the new one. Only its owner can read it, where the file system knows
// permissions: the one under tests does not.
func writeFile(fs vfs.FS, dir, name string, b []byte) error {
	path := fs.PathJoin(dir, name)
	var f interface {
		io.WriteCloser
		Sync() error
	}
	var err error
	if fs == vfs.Default {
		_ = os.Remove(path + ".new") // one that was left with other permissions
		f, err = os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	} else {
		f, err = fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
