package cluster

import "sync/atomic"

// Stats counts what has happened since the start.
type Stats struct {
	Refused          int64 `json:"refused"`          // connections to the peer port, mostly for a wrong secret
	Suspicions       int64 `json:"suspicions"`       // times that a node was taken for dead
	Trusted          int64 `json:"trusted"`          // times that one was heard again
	Reconfigurations int64 `json:"reconfigurations"` // of the log by this node's driver
	Failed           int64 `json:"failed"`           // of those, without success
	NodesGone        int64 `json:"nodesGone"`        // times that the sessions of nodes were ended
}

type counters struct {
	refused, suspicions, trusted, reconfigurations, failed, gone atomic.Int64
}

// Stats returns the counters.
func (c *Cluster) Stats() Stats {
	n := &c.counters
	return Stats{Refused: n.refused.Load(), Suspicions: n.suspicions.Load(), Trusted: n.trusted.Load(),
		Reconfigurations: n.reconfigurations.Load(), Failed: n.failed.Load(), NodesGone: n.gone.Load()}
}
