package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"rebase/blob"
	"rebase/cluster"
	"rebase/db"
	"rebase/live"
	"rebase/store"
	"rebase/vlog"
	"rebase/vlog/local"
)

// data is everything that lives in the data folder:
//
//	LOCK    held while a server runs
//	CHAIN   of which parts the log consists
//	log/    the log's files
//	store/  the store's files
//
// A node of a cluster has neither CHAIN nor log/, but what package cluster keeps there.
type data struct {
	lock    io.Closer
	cluster *cluster.Cluster // nil: a server by itself
	engines *engines
	bucket  blob.Bucket // of the backup; nil: none
	log     *vlog.Log
	store   *store.Store
	db      *db.DB
	hub     *live.Hub
	member  *member // nil: a server by itself
}

func openData(ctx context.Context, o Options, m *metrics) (_ *data, err error) {
	if o.Data == "" {
		return nil, &StartError{Kind: KindData, What: "no data folder was given"}
	}
	d := &data{hub: live.New(o.Logger)}
	defer func() {
		if err != nil {
			err = dataError(o.Data, errors.Join(err, d.closeFiles()))
		}
	}()
	if d.lock, err = lockData(o); err != nil {
		return nil, err
	}
	if err := d.openBackup(ctx, o); err != nil {
		return nil, err
	}
	if o.Cluster != nil {
		if err := d.openMember(ctx, o, m); err != nil {
			return nil, err
		}
	} else if err := d.openAlone(ctx, o, m); err != nil {
		return nil, err
	}
	d.hub.Attach(d.db)
	return d, nil
}

// lockData makes the data folder, if need be, and keeps other servers and other users out of it.
func lockData(o Options) (io.Closer, error) {
	if err := makeDir(o.FS, o.Data); err != nil {
		return nil, err
	}
	lock, err := o.FS.Lock(o.FS.PathJoin(o.Data, "LOCK"))
	var opening *os.PathError
	switch {
	case errors.As(err, &opening): // the file, not the lock
		return nil, err
	case err != nil:
		return nil, &lockedError{err}
	}
	keepPrivate(o.FS, o.Data, o.Logger)
	return lock, nil
}

// openAlone opens the data of a server by itself: the chain is in a file.
func (d *data) openAlone(ctx context.Context, o Options, m *metrics) (err error) {
	if d.engines, err = newEngines(o, m, nil); err != nil {
		return err
	}
	d.log, err = vlog.Open(ctx, vlog.Options{
		Meta: local.FileMeta(o.Data, o.FS), Providers: d.engines.providers,
		Initial: vlog.Segment{Kind: kindLocal}, Logger: o.Logger, OnReconfigure: m.reconfigured,
	})
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if err := d.openStore(o); err != nil {
		return err
	}
	d.db, err = db.Open(ctx, db.Options{
		Log: &meteredLog{Log: d.log, m: m}, Store: d.store, Observer: d.hub, Logger: o.Logger, OnApply: m.applied,
	})
	return err
}

func (d *data) openStore(o Options) (err error) {
	d.store, err = store.Open(o.FS.PathJoin(o.Data, storeFolder), store.Options{FS: o.FS, CacheBytes: o.CacheBytes, Logger: o.Logger})
	if err != nil {
		return &storeError{err}
	}
	return nil
}

// storeFolder is the folder of the store in the data folder.
const storeFolder = "store"

// close ends the database, brings the store up to the log's tail, and closes
// the files.
func (d *data) close(ctx context.Context) error {
	d.member.stop()
	err := d.db.Close(ctx)
	return errors.Join(err, d.closeFiles())
}

func (d *data) closeFiles() error {
	var errs []error
	if d.store != nil {
		errs = append(errs, d.store.Close()) // which flushes
	}
	if d.log != nil {
		errs = append(errs, d.log.Close())
	}
	errs = append(errs, d.engines.close())
	if d.cluster != nil {
		errs = append(errs, d.cluster.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

// trimmer is how the log is trimmed.
func (d *data) trimmer(o Options, m *metrics) (trimmer, error) {
	switch {
	case d.bucket != nil:
		return newArchiver(d, o, m.appended.Load)
	case d.member != nil:
		return sharedTrimmer{d.log, d.member}, nil
	}
	return d.log, nil
}

// healthy says whether the data can be written.
func (d *data) healthy(ctx context.Context) error {
	if err := d.db.Err(); err != nil {
		return err
	}
	if err := d.store.Err(); err != nil {
		return err
	}
	if d.cluster != nil {
		if why := d.cluster.Stranded(); why != "" {
			return errors.New("the log cannot be written: " + why)
		}
	}
	_, err := d.log.Tail(ctx)
	return err
}

type lockedError struct{ err error }

func (e *lockedError) Error() string { return "it is locked: " + e.err.Error() }
func (e *lockedError) Unwrap() error { return e.err }

// storeError is an error of opening the store.
type storeError struct{ err error }

func (e *storeError) Error() string { return e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

const storeAdvice = "The store is damaged; the log is not. Move the folder \"store\" away and start again: the store is made anew if " +
	"the log still goes back to its first entry. If the start then says that the log begins later, restore the whole " +
	"folder from a backup (log, store and CHAIN belong together)."

// storeDamage is err, or, if what a start has come upon is damage in the store, what that means for the operator, whoever was the first to read it.
func storeDamage(dir string, err error) error {
	if !pebble.IsCorruptionError(err) {
		return err
	}
	var met *StartError
	if errors.As(err, &met) && pebble.IsCorruptionError(met.Err) {
		err = met.Err // he took it for damage of what he was reading
	}
	return &StartError{Kind: KindCorrupt, What: fmt.Sprintf("the data in %s cannot be read", dir), Err: err, Advice: storeAdvice}
}

// dataError tells the operator what an error of opening the data means.
func dataError(dir string, err error) error {
	var already *StartError
	if errors.As(err, &already) {
		return err
	}
	e := &StartError{Kind: KindOther, What: fmt.Sprintf("the data in %s cannot be opened", dir), Err: err}
	var corrupt *vlog.CorruptError
	var locked *lockedError
	var ofStore *storeError
	var system syscall.Errno
	switch {
	case errors.As(err, &locked):
		e.Kind = KindData
		e.Advice = "Another server is using this folder: end it, or give this one another --data."
	case errors.As(err, &ofStore) && strings.Contains(err.Error(), "unknown format major version"):
		e.Kind = KindData
		e.Advice = "The store was written by a newer version of this program: start that one."
	case pebble.IsCorruptionError(err), errors.As(err, &ofStore) && (errors.Is(err, fs.ErrNotExist) || !errors.As(err, &system)):
		// A list of files that is cut short names files that are gone. What is neither the system's error nor called corrupt is a file that can be
		// read and says what it must not say.
		e.Kind = KindCorrupt
		e.Advice = storeAdvice
	case errors.As(err, &corrupt), errors.Is(err, vlog.ErrMissing):
		e.Kind = KindCorrupt
		e.Advice = "Nothing was changed. Restore the whole folder from a backup (log, store and CHAIN belong together); keep the damaged one to look into."
	case errors.Is(err, fs.ErrPermission):
		e.Kind = KindData
		e.Advice = "The user that the server runs as must be able to read and write this folder and everything in it."
	case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist), strings.Contains(err.Error(), "not a directory"):
		e.Kind = KindData
		e.Advice = "Give --data a folder that exists, or one that can be made."
	}
	return e
}
