package native

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// Local is a cluster of log servers in one process, without sockets: for tests, and for measuring what the protocol itself costs. Each server is a Node, and so
// is what runs all sequencers and handles.
type Local struct {
	net  *memoryNetwork
	disk func(server int) (storage, error)

	mu      sync.Mutex
	servers []*Node // nil: stopped
	client  *Node
	disks   []uint64
	configs map[uint64]Config // of the loglets that were made
	closed  bool
}

// clientNode is the number of the node that has no log server; the servers are 1, 2, and so on.
const clientNode = 1 << 32

// NewLocal starts n log servers in memory. What they hold lives as long as the Local, across Stop and Start of a server.
func NewLocal(n int) (*Local, error) {
	var disks []storage
	for i := range n {
		disks = append(disks, newMemory(uint64(i+1)))
	}
	return newLocalOn(n, func(i int) (storage, error) { return disks[i], nil })
}

// NewLocalOn starts n log servers, each of which keeps everything in a log of its own that open opens, and opens again when the server starts again. The
// sequencers live as long as the Local: the loglets of an earlier one are on the servers' disks, but have no use any more.
func NewLocalOn(n int, open func(server int) (vlog.Loglet, error)) (*Local, error) {
	return newLocalOn(n, func(i int) (storage, error) {
		log, err := open(i)
		if err != nil {
			return nil, err
		}
		w, err := openWAL(log)
		if err != nil {
			return nil, err
		}
		return w, nil
	})
}

func newLocalOn(n int, disk func(int) (storage, error)) (*Local, error) {
	l := &Local{net: newMemoryNetwork(), disk: disk, configs: map[uint64]Config{}, servers: make([]*Node, n), disks: make([]uint64, n)}
	for i := range n {
		if err := l.Start(i); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.disks[i] = l.servers[i].Disk()
	}
	var err error
	l.client, err = start(NodeOptions{ID: clientNode, Network: l.net, Candidates: l.candidates}, nil)
	return l, err
}

func (l *Local) candidates() []Candidate {
	out := []Candidate{{Node: clientNode, Sequencer: true, Alive: true}}
	for i, d := range l.disks {
		out = append(out, Candidate{Node: core.Node(i + 1), Disk: d, LogServer: true, Alive: true})
	}
	return out
}

// Start starts server i again after Stop.
func (l *Local) Start(i int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.servers[i] != nil {
		return nil
	}
	disk, err := l.disk(i)
	if err != nil {
		return fmt.Errorf("vlog/native: start log server %d: %w", i, err)
	}
	l.servers[i], err = start(NodeOptions{ID: core.Node(i + 1), Network: l.net}, disk)
	return err
}

// Stop ends server i as a crash would: what it has not yet given to its disk is lost.
func (l *Local) Stop(i int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.servers[i] == nil {
		return nil
	}
	err := l.servers[i].Close()
	l.servers[i] = nil
	return err
}

// StopSequencer ends the sequencer of a segment, for good: there is no way to start one again.
func (l *Local) StopSequencer(id uint64) {
	l.mu.Lock()
	c := l.configs[core.Number(0, id, 0)]
	l.mu.Unlock()
	l.client.endSequencer(c.Incarnation)
}

// Provider returns a vlog.Provider of loglets on these servers, all of them. The Config of a segment is not looked at.
func (l *Local) Provider() vlog.Provider {
	return func(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		loglet, err := l.Open(spec)
		if err != nil {
			return nil, err
		}
		return loglet, nil
	}
}

// Open returns a handle on the loglet with spec's number, and makes it if spec says so.
func (l *Local) Open(spec vlog.LogletSpec) (*Loglet, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, vlog.ErrClosed
	}
	number := core.Number(0, spec.ID, spec.Stripe)
	c, made := l.configs[number]
	switch {
	case made:
		spec.Create, spec.Config = false, c.Encode()
	case !spec.Create:
		return nil, vlog.ErrMissing
	default:
		spec.Config = Wish{Count: len(l.servers)}.Encode()
	}
	loglet, err := l.client.open(context.Background(), spec)
	if err == nil {
		l.configs[number] = loglet.config
	}
	return loglet, err
}

// Close ends everything. Handles that are open should be closed before.
func (l *Local) Close() error {
	var err error
	for i := range l.servers {
		err = errors.Join(err, l.Stop(i))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return err
	}
	l.closed = true
	if l.client != nil {
		err = errors.Join(err, l.client.Close())
	}
	l.net.wg.Wait()
	return err
}
