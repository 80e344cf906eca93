package logs

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"

	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/native"
	"rebase/vlog/native/core"
	"rebase/vlog/striped"
)

// nodes are three processes' worth of the native loglet in this one: each with a log server on files of its own and a port on the loopback, through
// which all that is not its own goes. So it is in a cluster whose nodes share a machine.
type nodes struct {
	list      []*native.Node
	listeners []net.Listener
	wg        sync.WaitGroup
}

const nodeCount = 3

func startNodes(dir string) (_ *nodes, err error) {
	n := &nodes{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	for range nodeCount {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		n.listeners = append(n.listeners, l)
	}
	for i, l := range n.listeners {
		disk, err := local.Open(filepath.Join(dir, fmt.Sprint("disk", i+1)), local.Options{})
		if err != nil {
			return nil, err
		}
		node, err := native.Start(native.NodeOptions{ID: core.Node(i + 1), Address: l.Addr().String(), Log: disk, Chain: 1, Candidates: n.candidates})
		if err != nil {
			return nil, errors.Join(err, disk.Close())
		}
		n.list = append(n.list, node)
		n.wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return // closed
				}
				n.wg.Go(func() { node.ServeConn(c) })
			}
		})
	}
	return n, nil
}

func (n *nodes) candidates() (out []native.Candidate) {
	for i, l := range n.listeners {
		out = append(out, native.Candidate{Node: core.Node(i + 1), Address: l.Addr().String(), LogServer: true, Sequencer: true, Alive: true})
	}
	return out
}

func (n *nodes) close() error {
	var err error
	for _, l := range n.listeners {
		err = errors.Join(err, l.Close())
	}
	for _, node := range n.list {
		err = errors.Join(err, node.Close())
	}
	n.wg.Wait()
	return err
}

// wish asks for all three disks and the sequencer of one of the nodes.
func (n *nodes) wish(sequencer int) []byte {
	w := native.Wish{Sequencer: core.Node(sequencer)}
	for i := range n.list {
		w.Servers = append(w.Servers, core.Node(i+1))
	}
	return w.Encode()
}

// native returns the provider of the first node, and what to wish for: its own sequencer.
func (n *nodes) native() (vlog.Provider, []byte) { return n.list[0].Provider(), n.wish(1) }

// striped returns a provider of striped loglets, and what to wish for: two stripes on the same disks, with sequencers on two nodes.
func (n *nodes) striped() (vlog.Provider, []byte) {
	kinds := map[string]vlog.Provider{"native": n.list[0].Provider()}
	return striped.Provider(kinds), striped.Wish{Kind: "native", Configs: [][]byte{n.wish(1), n.wish(2)}}.Encode()
}
