package server

import (
	"context"
	"errors"
	"net/http"

	"rebase/vlog"
)

// snapshotPath is where a node gives its state to others, on the peer port.
const snapshotPath = "/snapshot"

// serveSnapshot gives this replica's state to another node.
func (m *member) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "not yet", http.StatusServiceUnavailable)
}

// fetchSnapshot puts another node's state, no older than first needs, in the place of this one's.
func (m *member) fetchSnapshot(ctx context.Context, o Options, first vlog.Position) error {
	return errors.New("no snapshots yet")
}
