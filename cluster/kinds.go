package cluster

import (
	"fmt"
	"slices"

	"rebase/vlog"
	"rebase/vlog/native"
	"rebase/vlog/native/core"
)

// driven are the kinds of loglets that the driver moves, with what it must know of their configurations.
var driven = map[string]drivenKind{
	"native": {parts: nativeParts, wish: nativeWish},
}

type drivenKind struct {
	parts func(config []byte) ([]part, error)
	// wish makes the configuration of a loglet like that of config, where p says.
	wish func(config []byte, p plan) ([]byte, error)
}

func nativeParts(config []byte) ([]part, error) {
	cfg, err := native.DecodeConfig(config)
	if err != nil {
		return nil, err
	}
	p := part{sequencer: NodeID(cfg.Sequencer.Node), incarnation: cfg.Incarnation}
	for _, s := range cfg.Servers {
		p.servers = append(p.servers, NodeID(s.Node))
	}
	return []part{p}, nil
}

func nativeWish(_ []byte, p plan) ([]byte, error) {
	w := native.Wish{Sequencer: core.Node(p.sequencers[0]), Count: len(p.servers)}
	for _, id := range p.servers {
		w.Servers = append(w.Servers, core.Node(id))
	}
	return w.Encode(), nil
}

// segment is the one that p asks for in the place of from.
func (c *Cluster) segment(from vlog.Segment, p plan) (vlog.Segment, error) {
	k, ok := driven[from.Kind]
	if !ok {
		return vlog.Segment{}, fmt.Errorf("the log is on an engine of kind %s", from.Kind)
	}
	config, err := k.wish(from.Config, p)
	return vlog.Segment{Kind: from.Kind, Config: config}, err
}

// broken hears from the native loglet that a sequencer's process has no such sequencer any more.
func (c *Cluster) broken(_ uint64, cfg native.Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.orphans, cfg.Incarnation) {
		c.orphans = append(c.orphans, cfg.Incarnation)
		c.orphans = c.orphans[max(0, len(c.orphans)-64):]
	}
}

// orphaned says whether the sequencer of that incarnation is known to be no more.
func (c *Cluster) orphaned(incarnation uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.orphans, incarnation)
}

// parts says what a loglet is made of, if drivers have to do with it.
func (c *Cluster) parts(s vlog.Segment) []part {
	k, ok := driven[s.Kind]
	if !ok {
		return nil
	}
	parts, err := k.parts(s.Config)
	if err != nil {
		return nil
	}
	return parts
}

// Place is a part of a loglet, for people.
type Place struct {
	Servers   []string `json:"servers"`
	Sequencer string   `json:"sequencer"`
}

// Places tells, by names, on which nodes a native or striped loglet is; nothing of one of another kind.
func (c *Cluster) Places(s vlog.Segment) []Place {
	var out []Place
	for _, p := range c.parts(s) {
		place := Place{Sequencer: c.nameOf(p.sequencer)}
		for _, id := range p.servers {
			place.Servers = append(place.Servers, c.nameOf(id))
		}
		out = append(out, place)
	}
	return out
}

func (c *Cluster) nameOf(id NodeID) string {
	for _, r := range c.records() {
		if r.ID == id {
			return r.Name
		}
	}
	return id.String()
}

// uses says whether a loglet is on a node: its sequencer, or one of its disks.
func (c *Cluster) uses(s vlog.Segment, id NodeID) (sequencer, server bool) {
	for _, p := range c.parts(s) {
		sequencer = sequencer || p.sequencer == id
		server = server || slices.Contains(p.servers, id)
	}
	return sequencer, server
}

// Uses says whether a loglet has its sequencer on a node, and whether it has a log server there.
func (c *Cluster) Uses(s vlog.Segment, id NodeID) (sequencer, server bool) { return c.uses(s, id) }
