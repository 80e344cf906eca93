package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// tempFolder holds what is being written. No key has a part that begins with a dot.
	tempFolder = ".tmp"
	// abandonedAfter is the age at which a file in it is taken for the leftover of a crash.
	abandonedAfter = 48 * time.Hour
)

// folder is a Bucket of files. An object is written elsewhere, synced, and then linked to its name, which fails if that is taken.
type folder struct {
	fs    vfs.FS
	root  string
	sweep sync.Once
}

var _ Bucket = (*folder)(nil)

// OpenFolder is Open for a folder of any file system. Folders it makes are private to the user of this process.
func OpenFolder(root string, fs vfs.FS) Bucket { return &folder{fs: fs, root: root} }

func (f *folder) URL() string {
	return (&url.URL{Scheme: "file", Path: f.root}).String()
}

func (f *folder) path(key string) string {
	return f.fs.PathJoin(append([]string{f.root}, strings.Split(key, "/")...)...)
}

func (f *folder) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	name := f.path(key)
	if _, err := f.fs.Stat(name); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, name)
	}
	temp, err := f.writeTemp(ctx, r, size)
	if err != nil {
		return f.explain("write", name, err)
	}
	err = f.mkdirAll(f.fs.PathDir(name))
	if err == nil {
		err = f.publish(temp, name)
	}
	if e := f.fs.Remove(temp); e != nil && !oserror.IsNotExist(e) {
		err = errors.Join(err, e) // else renamed
	}
	if err != nil {
		return f.explain("write", name, err)
	}
	return nil
}

// publish gives the file its name, durably.
func (f *folder) publish(temp, name string) error {
	err := f.fs.Link(temp, name)
	if err != nil && !oserror.IsExist(err) {
		// A file system without links: the name may be taken in between, but then by an object of the same key, which the
		// callers of create-only stores take for the same object.
		if _, e := f.fs.Stat(name); e == nil {
			err = os.ErrExist
		} else if !oserror.IsNotExist(e) {
			return e
		} else {
			err = f.fs.Rename(temp, name)
		}
	}
	if oserror.IsExist(err) {
		err = ErrExists
	}
	// Also where it existed: who wrote it may not have come this far, and the caller relies on it.
	return errors.Join(err, f.syncDir(f.fs.PathDir(name)))
}

func (f *folder) writeTemp(ctx context.Context, r io.Reader, size int64) (name string, err error) {
	dir := f.fs.PathJoin(f.root, tempFolder)
	if err := f.mkdirAll(dir); err != nil {
		return "", err
	}
	f.sweep.Do(func() { f.removeAbandoned(dir) })
	var id [16]byte
	rand.Read(id[:]) // never fails
	name = f.fs.PathJoin(dir, hex.EncodeToString(id[:]))
	file, err := f.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, &endsWith{ctx, &exactly{r, size}})
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, f.fs.Remove(name))
	}
	return name, nil
}

// removeAbandoned deletes what crashes have left. It costs space, no more, so failures are not told.
func (f *folder) removeAbandoned(dir string) {
	names, _ := f.fs.List(dir)
	for _, name := range names {
		name = f.fs.PathJoin(dir, name)
		if info, err := f.fs.Stat(name); err == nil && time.Since(info.ModTime()) > abandonedAfter {
			_ = f.fs.Remove(name)
		}
	}
}

func (f *folder) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := f.path(key)
	file, err := f.fs.Open(name)
	if err != nil {
		return nil, f.explain("open", name, err)
	}
	info, err := file.Stat()
	if err != nil || info.IsDir() {
		err = errors.Join(err, file.Close())
		if err == nil {
			err = os.ErrNotExist
		}
		return nil, f.explain("open", name, err)
	}
	off = min(off, info.Size())
	if n < 0 || n > info.Size()-off {
		n = info.Size() - off
	}
	return &section{&endsWith{ctx, io.NewSectionReader(file, off, n)}, file}, nil
}

type section struct {
	io.Reader
	io.Closer
}

func (f *folder) Size(ctx context.Context, key string) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	name := f.path(key)
	info, err := f.fs.Stat(name)
	if err == nil && info.IsDir() {
		err = os.ErrNotExist
	}
	if err != nil {
		return 0, f.explain("look up", name, err)
	}
	return info.Size(), nil
}

func (f *folder) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		var found []Object
		err := checkPrefix(prefix)
		if err == nil {
			// Only the folder that all of them are in.
			dir, _ := path.Split(prefix)
			found, err = f.walk(ctx, strings.TrimSuffix(dir, "/"), prefix, nil)
		}
		slices.SortFunc(found, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
		for _, o := range found {
			if !yield(o, nil) {
				return
			}
		}
		if err != nil {
			yield(Object{}, err)
		}
	}
}

func (f *folder) walk(ctx context.Context, dir, prefix string, found []Object) ([]Object, error) {
	if err := ctx.Err(); err != nil {
		return found, err
	}
	at := f.root
	if dir != "" {
		at = f.path(dir)
	}
	names, err := f.fs.List(at)
	if oserror.IsNotExist(err) {
		return found, nil
	}
	if err != nil {
		return found, f.explain("list", at, err)
	}
	for _, name := range names {
		key := path.Join(dir, name)
		if checkKey(name) != nil || !strings.HasPrefix(key, prefix) && !strings.HasPrefix(prefix, key+"/") {
			continue
		}
		info, err := f.fs.Stat(f.path(key))
		switch {
		case oserror.IsNotExist(err): // deleted meanwhile
		case err != nil:
			return found, f.explain("list", f.path(key), err)
		case info.IsDir():
			if found, err = f.walk(ctx, key, prefix, found); err != nil {
				return found, err
			}
		case strings.HasPrefix(key, prefix):
			found = append(found, Object{Key: key, Size: info.Size()})
		}
	}
	return found, nil
}

func (f *folder) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	name := f.path(key)
	err := f.fs.Remove(name)
	if oserror.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = f.syncDir(f.fs.PathDir(name))
	}
	if err != nil {
		return f.explain("delete", name, err)
	}
	return nil
}

// explain wraps an error of the file system.
func (f *folder) explain(verb, name string, err error) error {
	switch {
	case errors.Is(err, ErrExists):
		return fmt.Errorf("%w: %s", ErrExists, name)
	case oserror.IsNotExist(err) && verb != "write":
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	case oserror.IsPermission(err):
		return fmt.Errorf("%w: %s %s: %w; give the user of this process access to %s", ErrAccess, verb, name, err, f.root)
	}
	return fmt.Errorf("blob: %s %s: %w", verb, name, err)
}

func (f *folder) syncDir(dir string) error {
	d, err := f.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// mkdirAll makes private folders, durably.
func (f *folder) mkdirAll(dir string) error {
	var parents []string
	for d := dir; ; d = f.fs.PathDir(d) {
		if _, err := f.fs.Stat(d); err == nil || d == f.fs.PathDir(d) {
			break
		}
		parents = append(parents, f.fs.PathDir(d))
	}
	if len(parents) == 0 {
		return nil
	}
	if err := f.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, p := range parents {
		if err := f.syncDir(p); err != nil {
			return err
		}
	}
	return nil
}

// endsWith is a reader that fails once its context has ended.
type endsWith struct {
	ctx context.Context
	r   io.Reader
}

func (e *endsWith) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(p)
}
