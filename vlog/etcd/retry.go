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
	firstTimeout = 300 * time.Millisecond

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
	full   bool // a write was refused for want of space, and none has succeeded since

	typical time.Duration // of a request; a moving average
}

// patience is how long the first attempt of a request waits: much longer than requests usually take, and no longer than limit. Where the
// server that it went to has stopped, this is what the call is held up by.
func (h *health) patience(limit time.Duration) time.Duration {
	if h == nil {
		return limit
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return min(max(20*h.typical, firstTimeout), limit)
}

const warnAfter = 5 * time.Second

func (h *health) failed(err error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.Is(err, rpctypes.ErrNoSpace) {
		if !h.full {
			h.full = true
			h.logger.Warn("etcd's quota is full: the log waits; trim it, then run 'etcdctl defrag' and 'etcdctl alarm disarm', or give etcd more with --quota-backend-bytes", "loglet", h.name)
		}
		return
	}
	if h.since.IsZero() {
		h.since = time.Now()
	}
	if h.warned || time.Since(h.since) < warnAfter {
		return
	}
	h.warned = true
	h.logger.Warn("etcd does not answer: the log waits", "loglet", h.name, "error", err)
}

func (h *health) ok(took time.Duration) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.typical += (took - h.typical) / 8
	if h.since.IsZero() {
		return
	}
	if h.warned {
		h.logger.Info("etcd answers again", "loglet", h.name, "after", time.Since(h.since).Round(time.Millisecond))
	}
	h.since, h.warned = time.Time{}, false
}

// wrote notes a write. Reads and deletions succeed with a full quota too.
func (h *health) wrote() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.full {
		h.full = false
		h.logger.Info("etcd takes writes again", "loglet", h.name)
	}
}

// isFull tells whether etcd has no room for writes.
func (h *health) isFull() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.full
}

// retry calls f, with a context of its own for each attempt, until it succeeds, its error is hopeless, or ctx ends. What f
// does must bear repetition. No attempt takes longer than limit.
func retry(ctx context.Context, h *health, limit time.Duration, f func(context.Context) error) error {
	timeout := h.patience(limit)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if err := ctx.Err(); err != nil {
			return err
		}
		began := time.Now()
		attempt, cancel := context.WithTimeout(ctx, timeout)
		err := f(attempt)
		cancel()
		if err == nil {
			h.ok(time.Since(began))
			return nil
		}
		timeout = min(2*timeout, limit)
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
