package audit

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// files are the files of a journal: "audit-000001.jsonl" and so on, of which the
// last is written to.
type files struct {
	fs           vfs.FS
	dir          string
	size, retain int64

	old    []file // those before the current, oldest first
	number int    // of the current
	f      vfs.File
	at     int64 // its end
}

type file struct {
	number int
	size   int64
}

const filePrefix, fileSuffix = "audit-", ".jsonl"

func fileName(number int) string { return fmt.Sprintf("%s%06d%s", filePrefix, number, fileSuffix) }

// category names the journal's writes in statistics of a vfs.
const category = vfs.WriteCategoryUnspecified

// list returns the files of a journal, oldest first.
func list(fs vfs.FS, dir string) ([]file, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var found []file
	for _, name := range names {
		digits, ok1 := strings.CutPrefix(name, filePrefix)
		digits, ok2 := strings.CutSuffix(digits, fileSuffix)
		n, err := strconv.Atoi(digits)
		if !ok1 || !ok2 || err != nil || n < 1 || fileName(n) != name {
			continue
		}
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return nil, err
		}
		found = append(found, file{n, info.Size()})
	}
	slices.SortFunc(found, func(a, b file) int { return a.number - b.number })
	return found, nil
}

func (fl *files) open() error {
	if err := fl.fs.MkdirAll(fl.dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(fl.fs, fl.fs.PathDir(fl.dir)); err != nil { // the folder's own name
		return err
	}
	found, err := list(fl.fs, fl.dir)
	if err != nil {
		return err
	}
	if n := len(found); n > 0 && found[n-1].size < fl.size {
		fl.old = found[:n-1]
		return fl.resume(found[n-1])
	} else if n > 0 {
		fl.number = found[n-1].number
	}
	fl.old = found
	return fl.begin()
}

// resume goes on with a file, on a line of its own.
func (fl *files) resume(last file) error {
	f, err := fl.fs.OpenReadWrite(fl.fs.PathJoin(fl.dir, fileName(last.number)), category)
	if err != nil {
		return err
	}
	fl.f, fl.number, fl.at = f, last.number, last.size
	if last.size == 0 {
		return nil
	}
	var end [1]byte
	if _, err := f.ReadAt(end[:], last.size-1); err != nil && err != io.EOF {
		return err
	}
	if end[0] != '\n' {
		return fl.put([]byte("\n"))
	}
	return nil
}

// begin makes the next file.
func (fl *files) begin() error {
	name := fl.fs.PathJoin(fl.dir, fileName(fl.number+1))
	f, err := fl.fs.OpenReadWrite(name, category)
	if err != nil {
		return err
	}
	fl.f, fl.at = f, 0
	fl.number++
	if err := syncDir(fl.fs, fl.dir); err != nil {
		fl.finish()
		return err
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// append writes lines and syncs. After a failure it goes on in another file: what
// became of this one's end is unknown.
func (fl *files) append(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if fl.f != nil && fl.at > 0 && fl.at+int64(len(lines)) > fl.size {
		fl.finish()
	}
	if fl.f == nil {
		if err := fl.begin(); err != nil {
			return err
		}
		if err := fl.forget(int64(len(lines))); err != nil {
			return err
		}
	}
	if err := fl.put(lines); err != nil {
		fl.finish()
		return err
	}
	return nil
}

func (fl *files) put(b []byte) error {
	n, err := fl.f.WriteAt(b, fl.at)
	fl.at += int64(n)
	if err != nil {
		return err
	}
	return fl.f.Sync()
}

// finish leaves the current file; all that was acknowledged in it is synced.
func (fl *files) finish() {
	fl.f.Close()
	fl.old = append(fl.old, file{fl.number, fl.at})
	fl.f = nil
}

// forget removes the oldest files, as many as must go so that more bytes fit.
func (fl *files) forget(more int64) error {
	total := more
	for _, f := range fl.old {
		total += f.size
	}
	for len(fl.old) > 0 && total > fl.retain {
		if err := fl.fs.Remove(fl.fs.PathJoin(fl.dir, fileName(fl.old[0].number))); err != nil {
			return err
		}
		total -= fl.old[0].size
		fl.old = fl.old[1:]
	}
	return nil
}

func (fl *files) close() error {
	if fl.f == nil {
		return nil
	}
	err := fl.f.Close()
	fl.f = nil
	return err
}
