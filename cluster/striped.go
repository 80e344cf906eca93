package cluster

import (
	"errors"

	"rebase/vlog/native"
	"rebase/vlog/native/core"
	"rebase/vlog/striped"
)

func init() { driven["striped"] = drivenKind{parts: stripedParts, wish: stripedFrom} }

// stripedParts are those of the stripes, if all of them are native ones.
func stripedParts(config []byte) ([]part, error) {
	cfg, err := striped.DecodeConfig(config)
	if err != nil {
		return nil, err
	}
	var out []part
	for _, s := range cfg.Stripes {
		if s.Kind != "native" {
			return nil, errors.New("cluster: not all stripes are native")
		}
		p, err := nativeParts(s.Config)
		if err != nil {
			return nil, err
		}
		out = append(out, p...)
	}
	return out, nil
}

func stripedFrom(_ []byte, p plan) ([]byte, error) {
	w := striped.Wish{N: len(p.sequencers), Kind: "native"}
	for _, id := range p.sequencers {
		config, err := nativeWish(nil, plan{servers: p.servers, sequencers: []NodeID{id}})
		if err != nil {
			return nil, err
		}
		w.Configs = append(w.Configs, config)
	}
	return w.Encode(), nil
}

// stripedWish asks for stripes on the same log servers with sequencers on different nodes, as far as there are any.
func (c *Cluster) stripedWish(w native.Wish, stripes int) ([]byte, error) {
	if stripes < 1 || stripes > 64 {
		return nil, &StartError{What: "the number of stripes is from 1 to 64"}
	}
	var able []core.Node
	for _, m := range c.Members() {
		if m.Database() && m.Alive && m.State == Up {
			able = append(able, core.Node(m.ID))
		}
	}
	if len(able) == 0 {
		return nil, errNotReady
	}
	out := striped.Wish{N: stripes, Kind: "native"}
	for i := range stripes {
		one := w
		if one.Sequencer == 0 {
			one.Sequencer = able[i%len(able)]
		}
		out.Configs = append(out.Configs, one.Encode())
	}
	return out.Encode(), nil
}
