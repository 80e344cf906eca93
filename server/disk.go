package server

import (
	"errors"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskUsage adds up the sizes of the files in and below dir. What cannot be read
// counts nothing: files come and go meanwhile.
func diskUsage(fs vfs.FS, dir string) int64 {
	names, err := fs.List(dir)
	if err != nil {
		return 0
	}
	var total int64
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		switch {
		case err != nil:
		case info.IsDir():
			total += diskUsage(fs, path)
		default:
			total += info.Size()
		}
	}
	return total
}

// makeDir makes dir and what is missing above it, so that a power cut does not
// take them back. The directory above dir is synced even if dir exists: it may
// have been made by an attempt that was cut off before it came to that.
func makeDir(fs vfs.FS, dir string) error {
	above := []string{fs.PathDir(dir)}
	for d := above[0]; ; {
		if _, err := fs.Stat(d); err == nil {
			break
		}
		up := fs.PathDir(d)
		if up == d {
			break
		}
		above = append(above, up)
		d = up
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range above {
		if err := syncDir(fs, d); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

var errShared = errors.New("it is made to be shared, and was left as it is")

// keepPrivate takes from others what they may do in the data folder, which somebody else may have made: log and store hold the
// keys that tokens are signed with. The file system under tests knows no permissions.
func keepPrivate(fs vfs.FS, dir string, log *slog.Logger) {
	if fs != vfs.Default {
		return
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return
	}
	if err = errShared; info.Mode()&(os.ModeSticky|os.ModeSetgid) == 0 {
		err = os.Chmod(dir, info.Mode().Perm()&0o700)
	}
	if err != nil {
		log.Warn("others may read the data folder, which holds secrets", "folder", dir, "mode", info.Mode().Perm().String(), "err", err)
		return
	}
	log.Info("closed the data folder to other users: it holds secrets", "folder", dir, "before", info.Mode().Perm().String())
}
