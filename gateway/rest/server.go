package rest

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"rebase/audit"
	"rebase/auth"
	"rebase/db"
	"rebase/gateway/budget"
	"rebase/gateway/limit"
	"rebase/live"
	"rebase/tree"
)

// Options configure a Server. DB and Hub are required.
type Options struct {
	DB  *db.DB
	Hub *live.Hub
	// Auth decides who is calling; nil is auth.Open{}. With auth.Open everyone is let into databases without rules, which
	// are otherwise closed to all but admins.
	Auth auth.Authenticator
	// AppChecker checks that callers are the project's apps; nil: none need be.
	AppChecker auth.AppChecker
	// Limiter bounds what callers take; nil: nothing does.
	Limiter *limit.Limiter
	// Audit is told of administrative acts: rules replaced, whole databases written past them, credentials refused. It may be nil.
	Audit *audit.Log
	// Logger gets failures of the server, not mistakes of clients. nil discards.
	Logger *slog.Logger
	// Metrics are called for each request and stream.
	Metrics Metrics
	// Now is the clock behind push ids; nil is time.Now.
	Now func() time.Time
	// PushIDs names the children that POST creates; nil makes one from crypto/rand.
	PushIDs *tree.PushIDs
	// MaxWriteBytes bounds a request's body; 0 is tree.MaxWriteREST (256 MB).
	MaxWriteBytes int64
	// MaxBodiesBytes bounds the bodies of all requests under way together; what is
	// beyond it is refused with 503. 0 is twice MaxWriteBytes.
	MaxBodiesBytes int64
	// MaxReadBytes bounds what a response is built from in memory, as JSON; 0 is 256 MB.
	MaxReadBytes int
	// MaxReadsBytes bounds the memory of all large responses that are being built or sent;
	// what is beyond it is refused with 503. 0 is eight times MaxReadBytes, enough for one
	// of the largest.
	MaxReadsBytes int64
	// StreamQueueBytes bounds what waits for one stream's reader, as JSON; when it
	// is exceeded the stream starts over with the whole data. 0 is 4 MB.
	StreamQueueBytes int
	// KeepAlive is the time between keep-alive events of a stream; 0 is 30 s.
	KeepAlive time.Duration
	// WriteStall is how long a response may be stuck on a client that takes nothing
	// before its connection is given up; 0 is 60 s.
	WriteStall time.Duration
	// Patience is how long a request waits for the database's log, which says nothing for as long as a majority of its disks is away; 0 is 50 s,
	// which is less than the minute after which proxies give up.
	Patience time.Duration
}

// Metrics are hooks; each may be nil. They are called concurrently.
type Metrics struct {
	// Request is called when a request has been answered. For a stream that is
	// when it has ended; its method is MethodStream.
	Request func(method string, status int, took time.Duration, bytesOut int64)
	// Streams is called with +1 and -1 as streams open and close.
	Streams func(delta int)
	// Resync is called when a stream's reader was too slow for its queue.
	Resync func()
}

// MethodStream stands for GET in Metrics if the answer was a stream of events, whose
// duration says nothing about how quick the server is.
const MethodStream = "STREAM"

// Server is the REST gateway. It is safe for concurrent use.
type Server struct {
	o    Options
	log  *slog.Logger
	open bool // o.Auth lets everyone into databases without rules

	bodies, reads budget.Budget
	loads         chan struct{} // holds a token for each first read of a stream under way

	revocations atomic.Uint64                 // how many there were
	redirect    atomic.Pointer[func() string] // where streams are sent; nil: they may stay

	mu      sync.Mutex
	closed  bool
	closing chan struct{}        // closed by Shutdown
	streams sync.WaitGroup       // one for each open stream; Add only under mu while !closed
	readers map[*reader]struct{} // those of the streams
}

var _ http.Handler = (*Server)(nil)

// New returns a handler for databases of o.DB.
func New(o Options) *Server {
	if o.Auth == nil {
		o.Auth = auth.Open{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PushIDs == nil {
		o.PushIDs = tree.NewPushIDs(rand.Reader)
	}
	if o.MaxWriteBytes <= 0 {
		o.MaxWriteBytes = tree.MaxWriteREST
	}
	if o.MaxReadBytes <= 0 {
		o.MaxReadBytes = 256 << 20
	}
	if o.StreamQueueBytes <= 0 {
		o.StreamQueueBytes = 4 << 20
	}
	if o.KeepAlive <= 0 {
		o.KeepAlive = 30 * time.Second
	}
	if o.WriteStall <= 0 {
		o.WriteStall = time.Minute
	}
	if o.Patience <= 0 {
		o.Patience = 50 * time.Second
	}
	if o.MaxBodiesBytes <= 0 {
		o.MaxBodiesBytes = 2 * o.MaxWriteBytes
	}
	if o.MaxReadsBytes <= 0 {
		o.MaxReadsBytes = 8 * int64(o.MaxReadBytes)
	}
	_, open := o.Auth.(auth.Open)
	s := &Server{o: o, log: o.Logger, open: open, closing: make(chan struct{}), readers: map[*reader]struct{}{}, loads: make(chan struct{}, 4)}
	s.bodies.Set(o.MaxBodiesBytes)
	s.reads.Set(o.MaxReadsBytes)
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	out := &output{w: w, r: r, stall: s.o.WriteStall}
	q := &request{Server: s, r: r, out: out, method: effectiveMethod(r)}
	defer func() {
		q.limits.Debit(int(out.written))
		q.limits.Release()
		s.bodies.Give(q.held)
		s.reads.Give(q.reading)
		if m := s.o.Metrics.Request; m != nil {
			method := q.method
			if q.streamed {
				method = MethodStream
			}
			m(method, out.status, time.Since(start), out.written)
		}
	}()
	if err := q.serve(); err != nil {
		q.fail(err)
	}
}

// Shutdown ends all streams and waits until they are gone or ctx is done. New
// streams are refused from then on with 503; other requests are still served. It
// does not wait for those: http.Server.Shutdown does.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		s.streams.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reader is for whom a stream is.
type reader struct {
	identity auth.Identity
	revoked  chan struct{} // closed when the credential has lost its force
	moved    chan struct{} // closed, by moving, when the stream is to begin again, elsewhere
	moving   sync.Once
}

// Revoke ends the streams of a user whose credential was issued before a moment: the user has been deleted or disabled, or
// its tokens have been revoked.
func (s *Server) Revoke(project, uid string, before time.Time) {
	s.revoke(func(id *auth.Identity) bool {
		return id.UID == uid && id.Project == project && id.Issued.Before(before)
	})
}

// RevokeIf ends streams whose credentials may have been withdrawn. Those whose credentials are still good begin again. meant must
// be safe for concurrent use; it is not asked about readers that have shown none.
func (s *Server) RevokeIf(meant func(auth.Identity) bool) {
	s.revoke(func(id *auth.Identity) bool { return (id.Project != "" || id.Name != "") && meant(*id) })
}

func (s *Server) revoke(meant func(*auth.Identity) bool) {
	s.revocations.Add(1) // before it looks for streams; see stream
	s.mu.Lock()
	defer s.mu.Unlock()
	for rd := range s.readers {
		if meant(&rd.identity) {
			delete(s.readers, rd)
			close(rd.revoked)
		}
	}
}

// enterStream registers a stream, unless the server is shutting down.
func (s *Server) enterStream(rd *reader) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.readers[rd] = struct{}{}
	s.streams.Add(1)
	if m := s.o.Metrics.Streams; m != nil {
		m(1)
	}
	return true
}

func (s *Server) leaveStream(rd *reader) {
	s.mu.Lock()
	delete(s.readers, rd)
	s.mu.Unlock()
	if m := s.o.Metrics.Streams; m != nil {
		m(-1)
	}
	s.streams.Done()
}

// fail answers with err, or aborts the response if it is under way already.
func (q *request) fail(err error) {
	if q.out.committed {
		if q.r.Context().Err() == nil && !q.out.broken {
			q.log.Error("response broken off", "method", q.method, "path", q.r.URL.Path, "ns", q.ns, "err", err)
		}
		// The status has been sent: all that is left is to break the connection,
		// so that the client cannot take half a document for the whole.
		panic(http.ErrAbortHandler)
	}
	var e *apiError
	if !errors.As(err, &e) {
		e = q.classify(err)
		// What was refused on purpose, also with a 5xx, shows in the metrics; a line for each
		// would be much when there are many.
		if e.status >= 500 {
			q.log.Error("request failed", "method", q.method, "path", q.r.URL.Path, "ns", q.ns, "err", err)
		}
	}
	q.out.reset()
	q.out.header().Set("Content-Type", jsonType)
	for k, v := range e.header {
		q.out.header()[k] = v
	}
	if e.body != nil {
		q.out.Write(e.body)
	} else {
		q.out.Write(errorBody(e.msg))
	}
	q.out.finish(e.status)
}
