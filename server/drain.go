package server

import (
	"context"
	"sync"
	"time"
)

// Moving clients of a node of a cluster to other nodes: while it is drained, and before it ends.

const (
	// handOverTimeout and moveTimeout bound duties of politeness before the end.
	handOverTimeout = 3 * time.Second
	moveTimeout     = 4 * time.Second
)

// drain follows what operators want of this node.
func (s *Server) drain(on bool) {
	if !on {
		s.rtdb.EndRedirect()
		s.rest.EndRedirect()
		return
	}
	s.log.Info("sending clients to other nodes: this one is drained")
	s.moveClients(s.data.member.run)
}

// moveClients tells all clients to go to other nodes, and returns when they have gone or ctx ends. It does nothing if there is no other node.
func (s *Server) moveClients(ctx context.Context) {
	to := s.data.member.elsewhere
	if to() == "" {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { s.rtdb.Redirect(ctx, to) })
	both.Go(func() { s.rest.Redirect(ctx, to) })
	both.Wait()
}

// leave prepares the end of a node of a cluster: others order the log, and serve the clients, before anybody has to find out.
func (s *Server) leave(ctx context.Context) {
	handing, cancel := context.WithTimeout(ctx, handOverTimeout)
	if err := s.data.cluster.HandOver(handing); err != nil {
		s.log.Warn("others will have to find out that this node does not order the log any more", "err", err)
	}
	cancel()
	moving, cancel := context.WithTimeout(ctx, moveTimeout)
	s.moveClients(moving)
	cancel()
}
