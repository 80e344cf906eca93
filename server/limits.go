package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"rebase/gateway/limit"
	"rebase/tree"
)

// Limits bound what clients take, each in its scope; see package limit. Zero values
// are no limits.
type Limits struct {
	Database, Connection, User, Address limit.Limits
	// Write bounds the bytes of a single write; 0 is the protocol's own limit, of
	// 16 MiB for SDKs and 256 MiB for REST.
	Write int64
}

// DefaultLimits are those of a server that others reach, if nothing else is said. They
// are far above what an app does, and below what one client would need to keep the server from the others.
func DefaultLimits() Limits {
	return Limits{
		// What Firebase allows a database.
		Database: limit.Limits{Connections: 200_000},
		Connection: limit.Limits{
			Operations: limit.Rate{PerSecond: 2_000, Burst: 10_000},
			Bytes:      limit.Rate{PerSecond: 32 << 20, Burst: 256 << 20},
		},
		User: limit.Limits{
			Connections: 500,
			Operations:  limit.Rate{PerSecond: 5_000, Burst: 20_000},
			Bytes:       limit.Rate{PerSecond: 64 << 20, Burst: 256 << 20},
		},
		// A school or a company may be behind one address.
		Address: limit.Limits{
			Connections: 5_000,
			Operations:  limit.Rate{PerSecond: 10_000, Burst: 40_000},
			Bytes:       limit.Rate{PerSecond: 128 << 20, Burst: 512 << 20},
		},
	}
}

// limits are those in force.
func (s *Server) limits() (l Limits) {
	if !s.o.open() {
		l = DefaultLimits()
	}
	if s.o.Limits != nil {
		s.o.Limits(&l)
	}
	return l
}

// message is the longest message of an SDK: a write with something around it; 0 is the gateway's own.
func (l Limits) message() int {
	if l.Write <= 0 || l.Write >= tree.MaxWriteSDK {
		return 0
	}
	return int(l.Write) + 1024
}

// newLimiter counts what clients take. A project may have limits of its own for its databases, but not in an
// open server: that has only those that were asked for, and nil if there are none.
func (s *Server) newLimiter() *limit.Limiter {
	hits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rebase_limit_hits_total", Help: "Times that clients met a limit: outcome delayed, or refused.",
	}, []string{"scope", "kind", "outcome"})
	s.metrics.registry.MustRegister(hits)
	own := s.limits()
	if s.o.open() && own == (Limits{Write: own.Write}) {
		return nil
	}
	return limit.New(limit.Options{
		Database: own.Database, Connection: own.Connection, User: own.User, Address: own.Address,
		Of: func(ns string) (limit.Limits, bool) {
			c, ok := s.auth.projects.Config(s.auth.projects.Of(ns))
			if !ok {
				return limit.Limits{}, false
			}
			l := own.Database
			if n := c.Limits.Connections; n != 0 {
				l.Connections = max(n, 0)
			}
			if n := c.Limits.Operations; n != 0 {
				l.Operations = limit.Rate{PerSecond: max(n, 0)}
			}
			if n := c.Limits.Bytes; n != 0 {
				l.Bytes = limit.Rate{PerSecond: max(n, 0)}
			}
			return l, true
		},
		Hit: func(scope limit.Scope, kind limit.Kind, refused bool) {
			outcome := "delayed"
			if refused {
				outcome = "refused"
			}
			hits.WithLabelValues(string(scope), string(kind), outcome).Inc()
		},
	})
}
