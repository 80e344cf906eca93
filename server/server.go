package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"rebase/audit"
	"rebase/auth/users"
	"rebase/gateway/clusteradmin"
	"rebase/gateway/identity"
	"rebase/gateway/rest"
	"rebase/gateway/rtdb"
)

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	o          Options
	log        *slog.Logger
	metrics    *metrics
	data       *data
	audit      *audit.Log
	auth       authentication
	users      *users.Store
	identity   *identity.Server
	rtdb       *rtdb.Server
	rest       *rest.Server
	handler    http.Handler
	operations *clusteradmin.Handler
	http       *httpServer

	stopCheckpoints context.CancelFunc
	checkpoints     sync.WaitGroup

	ending   atomic.Bool
	failed   chan struct{} // closed on failure
	failOnce sync.Once
	err      error // set before failed is closed

	shutdown    sync.Once
	shutdownErr error
}

// Start opens the data and serves it. It returns when requests are taken, which
// after a crash is when the log has been replayed. ctx bounds the start alone.
// Errors are *StartError.
func Start(ctx context.Context, o Options) (*Server, error) {
	o = o.withDefaults()
	raiseFileLimit(o.Logger)
	if err := checkAccess(o); err != nil {
		return nil, err
	}
	// The address before the data: it is the quicker and the commoner thing to
	// fail, and whoever connects during a replay is served after it.
	h, err := listen(o)
	if err != nil {
		return nil, err
	}
	if o.PublicURL == "" && len(o.ACME.Hosts) > 0 {
		o.PublicURL = h.url // the name is the public one
	}
	if o, err = o.inCluster(h); err != nil {
		h.stopListening()
		return nil, err
	}
	s, err := open(ctx, o)
	if err != nil {
		h.stopListening()
		return nil, err
	}
	s.http = h
	s.metrics.observeTLS(h.secure)
	s.started(h.url)
	h.serve(s)
	return s, nil
}

// open is Start without an address.
func open(ctx context.Context, o Options) (_ *Server, err error) {
	s := &Server{o: o, log: o.Logger, metrics: newMetrics(o.Version), failed: make(chan struct{})}
	if s.data, err = openData(ctx, o, s.metrics); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = storeDamage(o.Data, errors.Join(err, s.data.close(ctx)))
		}
	}()
	if s.audit, err = openAudit(o, s.metrics); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.audit.Close())
		}
	}()
	if err = s.openAuth(ctx); err != nil {
		return nil, err
	}
	if err = s.openUsers(ctx); err != nil {
		return nil, err
	}
	s.metrics.observeData(s.data, func() int64 { return diskUsage(o.FS, o.FS.PathJoin(o.Data, "log")) })
	if s.data.cluster != nil {
		s.metrics.observeCluster(s.data.cluster)
		s.metrics.observeReplica(s.data.member)
	}
	limiter := s.newLimiter()
	s.rtdb = rtdb.New(rtdb.Options{
		DB: s.data.db, Hub: s.data.hub, Authenticator: s.authenticator(), AppChecker: s.appChecker(),
		Limiter: limiter, MaxMessageBytes: s.limits().message(), Audit: s.audit, Logger: o.Logger, Metrics: s.metrics.connections(),
	})
	s.rest = rest.New(rest.Options{
		DB: s.data.db, Hub: s.data.hub, Auth: s.authenticator(), AppChecker: s.appChecker(),
		Limiter: limiter, MaxWriteBytes: s.limits().Write, Audit: s.audit, Logger: o.Logger, Metrics: s.metrics.rest(),
	})
	s.operations = s.newOperations()
	s.watchUsers()
	s.watchCredentials()
	s.handler = hurryBodies(bodyGrace, s.routes())
	if o.open() {
		s.handler = refuseProxies(refuseNames(o, s.handler))
	}

	trim, err := s.data.trimmer(o, s.metrics)
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	s.stopCheckpoints = cancel
	c := &checkpointer{
		log: trim, store: s.data.store, retain: o.LogRetain, logger: o.Logger,
		appended: s.metrics.appended.Load,
		observe:  func(took time.Duration) { s.metrics.checkpointSeconds.Observe(took.Seconds()) },
	}
	if s.data.bucket == nil {
		c.chain = s.data.log.Chain
	}
	s.checkpoints.Go(func() { c.run(run, o.CheckpointEvery) })
	s.checkpoints.Go(func() { s.rotateKeys(run) })
	if s.data.member != nil {
		s.data.member.attach(s.fail, s.drain)
	}
	go func() {
		<-s.data.db.Failed()
		if run.Err() == nil { // closing is reported the same way, and is no failure
			s.fail(fmt.Errorf("database: %w", s.data.db.Err()))
		}
	}()
	return s, nil
}

// URL is where the server is reached: "http://127.0.0.1:9000". An address that
// stands for all of the machine's is given as localhost's.
func (s *Server) URL() string { return s.http.url }

// Open tells whether the server is open; see [AccessOpen].
func (s *Server) Open() bool { return s.o.open() }

// Handler is what the server serves, for tests that call it without a socket.
func (s *Server) Handler() http.Handler { return s.handler }

// Done is closed when the server has failed and can only be shut down.
func (s *Server) Done() <-chan struct{} { return s.failed }

// Err is why the server has failed; nil while it works.
func (s *Server) Err() error {
	select {
	case <-s.failed:
		return s.err
	default:
		return nil
	}
}

func (s *Server) fail(err error) {
	s.failOnce.Do(func() {
		s.err = err
		close(s.failed)
	})
}

// Shutdown ends the server. It stops listening, ends connections and streams, so
// that the onDisconnect operations of their clients run, lets requests finish,
// and closes the data with the store flushed. When ctx is done it stops waiting
// for requests and connections and cuts them off, not for the data. Calls after the first wait for it
// and return the same.
func (s *Server) Shutdown(ctx context.Context) error {
	s.shutdown.Do(func() { s.shutdownErr = s.end(ctx) })
	return s.shutdownErr
}

func (s *Server) end(ctx context.Context) error {
	s.ending.Store(true)
	s.http.stopListening()
	if s.data.cluster != nil {
		s.leave(ctx)
	}
	// net/http knows neither hijacked connections nor when a stream ends, so the
	// gateways end theirs first.
	errs := make([]error, 2)
	var gateways sync.WaitGroup
	gateways.Go(func() { errs[0] = s.waited(ctx, "connections", s.rtdb.Shutdown(ctx)) })
	gateways.Go(func() { errs[1] = s.waited(ctx, "streams", s.rest.Shutdown(ctx)) })
	gateways.Wait()
	errs = append(errs, s.waited(ctx, "requests", s.http.shutdown(ctx)))

	s.stopCheckpoints()
	s.checkpoints.Wait()
	s.users.Close()
	// What is under way in the database is finished or refused within this; it
	// waits for the disk alone.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	errs = append(errs, named("data", s.data.close(closing)))
	s.record(audit.Event{Act: audit.ServerStopped})
	errs = append(errs, named("audit journal", s.audit.Close()))
	return errors.Join(errs...)
}

// waited names an error of waiting for clients. That time ran out is none: what was still under
// way was cut off, as whoever gave the time wanted.
func (s *Server) waited(ctx context.Context, what string, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		s.log.Warn("cut off what had not finished in time", "what", what)
		return nil
	}
	return named(what, err)
}

func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ending the %s: %w", what, err)
}
