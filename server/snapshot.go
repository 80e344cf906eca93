package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"rebase/blob"
	"rebase/cluster"
	"rebase/snapshot"
	"rebase/vlog"
)

// snapshotPath is where a node gives its state to others, on the peer port.
const snapshotPath = "/snapshot"

// checkpointFolder is where checkpoints are made that are streamed or uploaded, in the data folder.
const checkpointFolder = "checkpoints"

// maxSnapshots is how many are given at the same time: each keeps files on the disk that the store has long replaced.
const maxSnapshots = 2

func (d *data) snapshotOptions(o Options) snapshot.Options {
	return snapshot.Options{FS: o.FS, Temp: o.FS.PathJoin(o.Data, checkpointFolder)}
}

// snapshots serves the state of this replica to other nodes.
func (d *data) snapshots(o Options) http.Handler {
	slots := make(chan struct{}, maxSnapshots)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.member.database() == nil {
			http.Error(w, "this node is being brought up to date itself", http.StatusServiceUnavailable)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			http.Error(w, "this node gives its state to others already", http.StatusServiceUnavailable)
			return
		}
		s, err := snapshot.Open(d.store, d.snapshotOptions(o))
		if err != nil {
			o.Logger.Warn("no snapshot can be made", "err", err)
			http.Error(w, "no snapshot can be made; the node's log says why", http.StatusInternalServerError)
			return
		}
		defer s.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(s.Bytes(), 10))
		if err := s.Write(r.Context(), w); err != nil {
			o.Logger.Warn("a snapshot could not be given to the end", "to", r.RemoteAddr, "err", err)
			return
		}
		o.Logger.Info("gave a snapshot", "to", r.RemoteAddr, "position", s.Position(), "bytes", s.Bytes())
	})
}

// fetchSnapshot puts the state of another node, or one from the backup, in the place of this one's. It must reach up to the position before first.
func (d *data) fetchSnapshot(ctx context.Context, o Options, first vlog.Position) error {
	dir := o.FS.PathJoin(o.Data, storeFolder)
	var errs []error
	for _, m := range d.cluster.Members() {
		if m.Self || !m.Alive || !m.Database() || m.State == cluster.Left {
			continue
		}
		pos, err := d.fetchFrom(ctx, o, m, dir)
		if err == nil && vlog.Position(pos)+1 < first {
			err = fmt.Errorf("its state is of position %d, and the log begins at %d", pos, first)
		}
		if err == nil {
			o.Logger.Info("took over the state of another node", "node", m.Name, "position", pos)
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", m.Name, err))
	}
	if d.bucket != nil {
		err := d.fetchBackup(ctx, o, first, dir)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("the backup: %w", err))
	}
	if len(errs) == 0 {
		return errors.New("no other database node is alive")
	}
	return errors.Join(errs...)
}

func (d *data) fetchFrom(ctx context.Context, o Options, m cluster.Member, dir string) (uint64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.cluster.PeerURL(m.Record, snapshotPath), nil)
	if err != nil {
		return 0, err
	}
	res, err := d.cluster.HTTP().Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("it answers %s", res.Status)
	}
	if err := o.FS.RemoveAll(dir); err != nil {
		return 0, err
	}
	return snapshot.Restore(ctx, res.Body, dir, d.snapshotOptions(o))
}

func (d *data) fetchBackup(ctx context.Context, o Options, first vlog.Position, dir string) error {
	info, err := snapshot.Latest(ctx, d.bucket, snapshotPrefix)
	if errors.Is(err, blob.ErrNotFound) {
		return errors.New("it has no snapshot")
	}
	if err != nil {
		return err
	}
	if vlog.Position(info.Position)+1 < first {
		return fmt.Errorf("its newest snapshot is of position %d, and the log begins at %d", info.Position, first)
	}
	if err := o.FS.RemoveAll(dir); err != nil {
		return err
	}
	_, err = snapshot.Download(ctx, d.bucket, info, dir, d.snapshotOptions(o))
	if err == nil {
		o.Logger.Info("took over a snapshot from the backup", "position", info.Position)
	}
	return err
}
