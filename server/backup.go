package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"rebase/blob"
	"rebase/snapshot"
	"rebase/store"
	"rebase/vlog"
	"rebase/vlog/backup"
)

// archiver moves what the checkpoints do not need any more of the log into the backup, instead of forgetting it: the log goes on being readable from its
// beginning. The loglets of the chain are archived as a whole, when they are sealed; so now and then the log is continued in a fresh one of
// the same kind. Now and then it also puts a snapshot of the store beside them, from which a new node can begin.
type archiver struct {
	log      *vlog.Log
	store    *store.Store
	bucket   blob.Bucket
	name     string      // of the log, in the bucket
	mine     func() bool // whether it is this node's turn; others do it for all
	durable  func() vlog.Position
	appended func() int64
	turnover int64 // bytes after which the log is continued in a fresh loglet
	snapshot snapshot.Options
	logger   *slog.Logger

	turned      time.Time
	turnedBytes int64
	saved       time.Time
}

const (
	snapshotPrefix = "snapshots"
	// turnoverEvery is the longest that a loglet is used while something is written.
	turnoverEvery = 24 * time.Hour
	// snapshotEvery is the time between snapshots.
	snapshotEvery = time.Hour
	keepSnapshots = 3
)

// Tail implements trimmer.
func (a *archiver) Tail(ctx context.Context) (vlog.Tail, error) { return a.log.Tail(ctx) }

// Trim implements trimmer: it archives what is before, and forgets nothing.
func (a *archiver) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	if !a.mine() {
		return a.log.Chain().First(), nil
	}
	before = min(before, a.durable()+1)
	active := a.log.Chain().Active()
	due := a.appended()-a.turnedBytes >= a.turnover || time.Since(a.turned) >= turnoverEvery
	if due && before > active.Start {
		if err := a.log.ReconfigureFrom(ctx, active.ID, vlog.Segment{Kind: active.Kind, Config: active.Config}); err != nil && !errors.Is(err, vlog.ErrOvertaken) {
			return 0, fmt.Errorf("continue the log so that what was before can be archived: %w", err)
		}
		a.turned, a.turnedBytes = time.Now(), a.appended()
	}
	begun := time.Now()
	n, err := backup.Archive(ctx, a.log, a.bucket, backup.ArchiveOptions{Log: a.name, Before: before})
	if n > 0 {
		a.logger.Info("archived a part of the log", "loglets", n, "took", time.Since(begun).Round(time.Millisecond))
	}
	if err != nil {
		return 0, err
	}
	if time.Since(a.saved) >= snapshotEvery || n > 0 {
		if err := a.save(ctx); err != nil {
			return 0, err
		}
	}
	return a.log.Chain().First(), nil
}

// save puts a snapshot of the store into the bucket.
func (a *archiver) save(ctx context.Context) error {
	info, err := snapshot.Upload(ctx, a.store, a.bucket, snapshotPrefix, a.snapshot)
	if err != nil {
		return err
	}
	a.saved = time.Now()
	a.logger.Info("saved a snapshot", "position", info.Position, "bytes", info.Bytes)
	_, err = snapshot.Prune(ctx, a.bucket, snapshotPrefix, keepSnapshots)
	return err
}

// newArchiver returns what archives the log of d.
func newArchiver(d *data, o Options, appended func() int64) (*archiver, error) {
	a := &archiver{
		log: d.log, store: d.store, bucket: d.bucket, appended: appended, turnover: 4 * o.LogRetain, snapshot: d.snapshotOptions(o), logger: o.Logger,
		turned: time.Now(), saved: time.Now(),
		mine: func() bool { return true }, durable: func() vlog.Position { return vlog.Position(d.store.Durable()) },
	}
	folder := "log"
	if d.member != nil {
		folder = "logserver"
	}
	// What earlier runs have logged counts, too: a server that is often started again must come to it as well.
	a.turnedBytes = appended() - diskUsage(o.FS, o.FS.PathJoin(o.Data, folder))
	if d.member != nil {
		a.name, a.mine, a.durable = d.cluster.ClusterID(), d.member.first, d.member.durable
		return a, nil
	}
	var err error
	a.name, err = logName(o)
	return a, err
}

// logNameFile holds the name of the log of a server by itself: every log has one of its own, for ever.
const logNameFile = "log-name"

func logName(o Options) (string, error) {
	f, err := o.FS.Open(o.FS.PathJoin(o.Data, logNameFile))
	if err == nil {
		defer f.Close()
		text, err := io.ReadAll(f)
		if name := strings.TrimSpace(string(text)); err == nil && name != "" {
			return name, nil
		}
		return "", fmt.Errorf("%s holds no name: %w", logNameFile, errors.Join(err, fs.ErrInvalid))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var b [8]byte
	rand.Read(b[:]) // never fails
	name := hex.EncodeToString(b[:])
	return name, writeSecret(o.FS, o.Data, logNameFile, name+"\n")
}

// openBackup opens the bucket, if there is to be one.
func (d *data) openBackup(ctx context.Context, o Options) error {
	if o.Backup == "" {
		return nil
	}
	b, err := blob.Open(ctx, o.Backup)
	if err == nil {
		err = blob.Check(ctx, b)
	}
	if err != nil {
		return &StartError{Kind: KindOther, What: "the backup in " + o.Backup + " cannot be used", Err: err}
	}
	d.bucket = b
	return nil
}
