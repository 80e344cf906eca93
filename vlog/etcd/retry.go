package etcd

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"rebase/vlog"
)

// attemptTimeout bounds one attempt of a request. A server that has stopped without closing its connections is noticed by
// nothing else for a while, and the next attempt goes to another endpoint. It is longer than an election takes.
const attemptTimeout = 3 * time.Second

const (
	firstPause = 5 * time.Millisecond
	lastPause  = 500 * time.Millisecond
)

// hopeless tells whether an error of etcd is one that waiting cannot mend.
func hopeless(err error) bool {
	for _, passing := range []error{rpctypes.ErrNotLeader, rpctypes.ErrNotCapable, rpctypes.ErrGRPCNotSupportedForLearner} {
		if errors.Is(err, passing) || err.Error() == passing.Error() {
			return false
		}
	}
	var corrupt *vlog.CorruptError
	if errors.As(err, &corrupt) || errors.Is(err, vlog.ErrSealed) || errors.Is(err, vlog.ErrClosed) || errors.Is(err, errSwept) {
		return true // of this package's own making
	}
	var code codes.Code
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		code = known.Code()
	} else if s, ok := status.FromError(err); ok {
		code = s.Code()
	}
	switch code {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition,
		codes.OutOfRange, codes.DataLoss, codes.Unimplemented, codes.NotFound:
		return true
	case codes.Canceled:
		return clientv3.IsConnCanceled(err) // the client was closed
	}
	return false
}

// health tells an operator, once, that etcd has not answered for a while, and when it does again.
type health struct {
	logger *slog.Logger
	name   string

	mu     sync.Mutex
	since  time.Time // of the first failure in a row; zero if the last attempt succeeded
	warned bool
	full   bool // the last failure was a full quota
}

const warnAfter = 5 * time.Second

func (h *health) failed(err error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		h.since = time.Now()
	}
	h.full = errors.Is(err, rpctypes.ErrNoSpace)
	if h.warned || !h.full && time.Since(h.since) < warnAfter {
		return
	}
	h.warned = true
	if h.full {
		h.logger.Warn("etcd's quota is full: the log waits; trim it, then run 'etcdctl defrag' and 'etcdctl alarm disarm', or give etcd more with --quota-backend-bytes", "loglet", h.name)
	} else {
		h.logger.Warn("etcd does not answer: the log waits", "loglet", h.name, "error", err)
	}
}

func (h *health) ok() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		return
	}
	if h.warned {
		h.logger.Info("etcd answers again", "loglet", h.name, "after", time.Since(h.since).Round(time.Millisecond))
	}
	h.since, h.warned, h.full = time.Time{}, false, false
}

// isFull tells whether etcd's quota was full when last asked.
func (h *health) isFull() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.full
}

// retry calls f, with a context of its own for each attempt, until it succeeds, its error is hopeless, or ctx ends. What f
// does must bear repetition.
func retry(ctx context.Context, h *health, timeout time.Duration, f func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if err := ctx.Err(); err != nil {
			return err
		}
		attempt, cancel := context.WithTimeout(ctx, timeout)
		err := f(attempt)
		cancel()
		if err == nil {
			h.ok()
			return nil
		}
		if cause := ctx.Err(); cause != nil {
			return cause
		}
		if hopeless(err) {
			return err
		}
		h.failed(err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// sleep waits for about d, so that those who failed together do not return together.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d/2 + rand.N(d)):
		return nil
	}
}
