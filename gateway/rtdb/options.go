package rtdb

import (
	"log/slog"
	"time"

	"rebase/audit"
	"rebase/auth"
	"rebase/db"
	"rebase/gateway/limit"
	"rebase/live"
	"rebase/tree"
)

// Options are what a Server is made of. DB and Hub are required.
type Options struct {
	DB  *db.DB
	Hub *live.Hub

	// Authenticator names the callers; nil: auth.Open. With auth.Open everyone is let into databases without rules, which are
	// otherwise closed to all but admins.
	Authenticator auth.Authenticator

	// AppChecker checks that clients are the project's apps; nil: every token is accepted, and none is needed.
	AppChecker auth.AppChecker

	// MaxMessageBytes bounds a message of a client, as text; 0: 17 MiB, which is the largest write of an SDK with room around
	// it. A longer request is answered with "write_too_big"; a frame that is longer by itself ends the connection.
	MaxMessageBytes int

	// MaxUnfinishedBytes bounds what the messages of all clients take that have not arrived completely; 0: 256 MiB. The
	// connection of a client that needs more is closed with code 1013, and its SDK tries again.
	MaxUnfinishedBytes int

	// MaxReadBytes bounds the data of a listen or get; 0: 256 MiB. More is answered with "too_big".
	MaxReadBytes int

	// MaxListens bounds the listens of a client; 0: 50 000. One more is answered with "too_many_listens".
	MaxListens int

	// MaxPolling bounds the sessions that use long polling, which unlike others hold no file descriptor; 0: 50 000. A client
	// that comes beyond it is answered with 503, and may try a WebSocket.
	MaxPolling int

	// MaxQueuedPushBytes bounds the changes that wait for a slow client; 0: 4 MiB. Beyond it the client is resynchronised.
	MaxQueuedPushBytes int

	// MaxPipelined bounds the requests of a client that are carried out but not answered; 0: 1024. Beyond it the client's
	// connection is not read.
	MaxPipelined int

	// Audit is told of administrative acts: whole databases written past the rules, credentials refused. It may be nil.
	Audit *audit.Log

	// Limiter bounds what a client takes; nil: nothing does.
	Limiter *limit.Limiter

	Logger  *slog.Logger     // nil: slog.Default()
	Metrics Metrics          // nil: none
	Now     func() time.Time // nil: time.Now; only what is told to clients depends on it
}

// Metrics hears of what happens. Its methods are called from many goroutines, often, and must not block.
type Metrics interface {
	// ConnOpened and ConnClosed count sessions by the transport that they began on, "ws" or "lp".
	ConnOpened(transport string)
	ConnClosed(transport string)
	// MessagesIn and MessagesOut count protocol messages and their bytes on the wire.
	MessagesIn(n, bytes int)
	MessagesOut(n, bytes int)
	// Resync counts slow clients whose pushes were dropped.
	Resync()
	// Replay counts writes that clients sent again and that had been applied before.
	Replay()
}

type noMetrics struct{}

func (noMetrics) ConnOpened(string)    {}
func (noMetrics) ConnClosed(string)    {}
func (noMetrics) MessagesIn(int, int)  {}
func (noMetrics) MessagesOut(int, int) {}
func (noMetrics) Resync()              {}
func (noMetrics) Replay()              {}

func (o *Options) setDefaults() {
	if o.Authenticator == nil {
		o.Authenticator = auth.Open{}
	}
	setDefault(&o.MaxMessageBytes, tree.MaxWriteSDK+1<<20)
	setDefault(&o.MaxUnfinishedBytes, 256<<20)
	setDefault(&o.MaxReadBytes, 256<<20)
	setDefault(&o.MaxListens, 50_000)
	setDefault(&o.MaxPolling, 50_000)
	setDefault(&o.MaxQueuedPushBytes, 4<<20)
	setDefault(&o.MaxPipelined, 1024)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = noMetrics{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func setDefault(n *int, value int) {
	if *n <= 0 {
		*n = value
	}
}
