package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rebase/cluster"
	"rebase/gateway/admin"
)

// LogServer is a node of a cluster that only keeps the log: it has no database and takes no clients. What is left of HTTP at its address is
// health, readiness, metrics and version. Its methods are safe for concurrent use.
type LogServer struct {
	log     *slog.Logger
	http    *httpServer
	cluster *cluster.Cluster
	lock    io.Closer
	failed  chan struct{}
	ended   chan struct{}
	watched sync.WaitGroup
}

// KeepsLog says whether a server with these options would be a [LogServer]: its role says so, or its data folder belongs to one.
func KeepsLog(o Options) (bool, error) {
	o = o.withDefaults()
	if o.Cluster != nil && o.Cluster.Role != "" {
		return o.Cluster.Role == cluster.RoleLog, nil
	}
	if info, err := o.FS.Stat(o.Data); err != nil || !info.IsDir() {
		return false, nil
	}
	role, belongs, err := cluster.Belongs(o.Data, o.FS)
	return belongs && role == cluster.RoleLog, clusterError(err)
}

// StartLogServer starts a node that only keeps the log. It returns when the node is one of its cluster's. Of the options those count that concern
// the address, the data folder and the cluster.
func StartLogServer(ctx context.Context, o Options) (_ *LogServer, err error) {
	o = o.withDefaults()
	raiseFileLimit(o.Logger)
	s := &LogServer{log: o.Logger, failed: make(chan struct{}), ended: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.http, err = listen(o); err != nil {
		return nil, err
	}
	if o, err = o.inCluster(s.http); err != nil {
		return nil, err
	}
	if s.lock, err = lockData(o); err != nil {
		return nil, dataError(o.Data, err)
	}
	co := *o.Cluster
	co.Data, co.FS, co.Version, co.Logger, co.Role = o.Data, o.FS, o.Version, o.Logger, cluster.RoleLog
	if s.cluster, err = cluster.Open(ctx, co); err != nil {
		return nil, clusterError(err)
	}
	m := newMetrics(o.Version)
	m.observeCluster(s.cluster)
	s.http.serveHandler(s.routes(o, m.registry), func(err error) { o.Logger.Error("accepting connections", "err", err) })
	s.watched.Go(s.watch)
	return s, nil
}

// routes are those of package admin alone.
func (s *LogServer) routes(o Options, figures prometheus.Gatherer) http.Handler {
	ready := func(context.Context) error { return s.Err() }
	own := admin.New(admin.Options{Gatherer: figures, Ready: ready, Version: o.Version, Started: time.Now(), Profiles: o.Debug})
	return reportPanics(s.log, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, admin.Prefix) {
			http.Error(w, "This node of a Rebase cluster only keeps the log; databases are at other nodes.", http.StatusNotFound)
			return
		}
		own.ServeHTTP(w, r)
	})
}

// URL is where its health is told.
func (s *LogServer) URL() string { return s.http.url }

// Open tells whether the server is open to callers, of whom it has none.
func (s *LogServer) Open() bool { return false }

// Done is closed when the node takes no part any more (Err).
func (s *LogServer) Done() <-chan struct{} { return s.failed }

// watch closes failed when the node takes no part any more.
func (s *LogServer) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for s.Err() == nil {
		select {
		case <-s.ended:
			return
		case <-tick.C:
		}
	}
	close(s.failed)
}

// Err is why the node takes no part any more: its disk has failed, or it was removed. Nil while it does.
func (s *LogServer) Err() error { return s.cluster.Err() }

// Shutdown ends the server.
func (s *LogServer) Shutdown(ctx context.Context) error {
	close(s.ended)
	s.watched.Wait()
	s.http.stopListening()
	return errors.Join(s.http.shutdown(ctx), s.close())
}

func (s *LogServer) close() error {
	var errs []error
	if s.http != nil {
		s.http.stopListening()
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
