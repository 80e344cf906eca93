package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/vlog"
)

// Provider returns a vlog.Provider of local Loglets. A Loglet's directory is its Config, as a path relative to o.Root
// (or absolute), with the Loglet's id below it.
func Provider(o Options) vlog.Provider {
	return func(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		o := o.withDefaults()
		dir := string(spec.Config)
		if !filepath.IsAbs(dir) && o.Root != "" {
			dir = o.FS.PathJoin(o.Root, dir)
		}
		if err := sweep(o, dir, spec.Lowest); err != nil {
			// It costs space, no more.
			o.Logger.Warn("the storage of a dropped part of the log could not be removed", "dir", dir, "err", err)
		}
		dir = o.FS.PathJoin(dir, logletName(spec.ID))
		o.MustExist = !spec.Create
		// Not returned directly: a nil *Loglet must not become a non-nil vlog.Loglet.
		l, err := Open(dir, o)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
}

func logletName(id uint64) string { return fmt.Sprintf("%06d", id) }

// sweep removes the Loglets in dir with ids below lowest: a crash between dropping one from the chain and removing its
// directory leaves it behind.
func sweep(o Options, dir string, lowest uint64) error {
	names, err := o.FS.List(dir)
	if err != nil {
		if oserror.IsNotExist(err) {
			return nil
		}
		return err
	}
	removed := false
	for _, name := range names {
		id, e := strconv.ParseUint(name, 10, 64)
		if e != nil || logletName(id) != name || id >= lowest {
			continue // not ours, or in use
		}
		o.Logger.Info("removing the storage of a dropped part of the log", "dir", dir, "loglet", id)
		err = errors.Join(err, o.FS.RemoveAll(o.FS.PathJoin(dir, name)))
		removed = true
	}
	if removed {
		err = errors.Join(err, syncDir(o.FS, dir))
	}
	return err
}

// ChainFile is the name of the file that FileMeta keeps.
const ChainFile = "CHAIN"

const (
	metaMagic   = "RBMETA01"
	metaHeader  = len(metaMagic) + 4 + 8
	maxMetaSize = 64 << 20
)

// FileMeta returns a MetaStore in a file of dir, which is created when something is stored. A value is written beside the old one,
// synced and renamed over it, so a crash leaves one or the other. It serialises the callers of this process; the
// directory must not be used by another one at the same time, which the lock of the log it describes ensures.
func FileMeta(dir string, fs vfs.FS) vlog.MetaStore {
	if fs == nil {
		fs = vfs.Default
	}
	return &fileMeta{dir: dir, fs: fs}
}

type fileMeta struct {
	dir string
	fs  vfs.FS
	mu  sync.Mutex
}

// Load implements vlog.MetaStore.
func (m *fileMeta) Load(context.Context) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load()
}

func (m *fileMeta) load() ([]byte, uint64, error) {
	path := m.fs.PathJoin(m.dir, ChainFile)
	f, err := m.fs.Open(path)
	if oserror.IsNotExist(err) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("vlog/local: open %s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMetaSize))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, 0, fmt.Errorf("vlog/local: read %s: %w", path, err)
	}
	if len(b) < metaHeader || string(b[:len(metaMagic)]) != metaMagic ||
		binary.LittleEndian.Uint32(b[len(metaMagic):]) != crc32.Checksum(b[len(metaMagic)+4:], castagnoli) {
		return nil, 0, &vlog.CorruptError{File: path, Offset: 0, Reason: "the chain of the log is unreadable; restore this file from a backup"}
	}
	return slices.Clone(b[metaHeader:]), binary.LittleEndian.Uint64(b[len(metaMagic)+4:]), nil
}

// Store implements vlog.MetaStore.
func (m *fileMeta) Store(_ context.Context, value []byte, ifVersion uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, version, err := m.load()
	if err != nil {
		return 0, err
	}
	if version != ifVersion {
		return 0, vlog.ErrConflict
	}
	if err := mkdirAll(m.fs, m.dir); err != nil {
		return 0, fmt.Errorf("vlog/local: create %s: %w", m.dir, err)
	}
	b := make([]byte, metaHeader, metaHeader+len(value))
	copy(b, metaMagic)
	binary.LittleEndian.PutUint64(b[len(metaMagic)+4:], version+1)
	b = append(b, value...)
	binary.LittleEndian.PutUint32(b[len(metaMagic):], crc32.Checksum(b[len(metaMagic)+4:], castagnoli))
	path := m.fs.PathJoin(m.dir, ChainFile)
	if err := m.replace(path, b); err != nil {
		return 0, fmt.Errorf("vlog/local: write %s: %w", path, err)
	}
	return version + 1, nil
}

func (m *fileMeta) replace(path string, b []byte) error {
	temp := path + newSuffix
	f, err := m.fs.Create(temp, walCategory)
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
	if err := m.fs.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(m.fs, m.dir)
}
