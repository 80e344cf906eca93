package core

// A duel is a short, sharp simulation of the moment in which a log is ended: a few appends are under way, two clients seal, repair and try to install
// their tails, others ask for the tail. Nothing is lost and nobody crashes, but half of all connections are so slow that everybody meets another
// majority. What goes wrong there takes a coincidence of many steps, which the long simulation meets once in many thousand seeds; a
// duel costs little enough for thousands.

func (w *world) prepareDuel() {
	w.loss, w.double = 0, 0
	w.steps = 150 + w.rng.IntN(150)
	w.dragged = 1 + w.rng.IntN(3)
	w.seq = w.newSequencer(w.cfg)
	w.clients = nil
	plan := func(calls ...string) {
		w.clients = append(w.clients, w.newClient())
		w.plans = append(w.plans, calls)
	}
	plan("append", "append", "tail")
	plan("install-seal")
	plan("install-seal", "tail", "tail")
	plan("tail", "tail")
	plan("tail", "wait")
	w.cut[[2]Node{w.clients[1].node, w.cfg.Servers[w.rng.IntN(w.servers)].Node}] = true // the first installer misses one
}

func (w *world) runDuel() error {
	for w.now < w.steps && w.check.err == nil {
		w.now++
		switch x := w.rng.IntN(20); {
		case x < 14:
			if len(w.net) > 0 {
				if i := w.rng.IntN(len(w.net)); !w.slowly(w.net[i]) || w.rng.IntN(15) == 0 {
					w.deliver(i)
				}
			}
		case x < 18:
			if h := w.hosts[w.rng.IntN(w.servers)]; len(h.flying) > 0 {
				w.sync(h, 1+w.rng.IntN(len(h.flying)))
			}
		default:
			i := w.rng.IntN(len(w.clients))
			if w.rng.IntN(8) == 0 {
				w.tick(w.rng.IntN(len(w.clients) + 1))
			}
			if c := w.clients[i]; len(w.plans[i]) > 0 && len(c.calls) == 0 {
				kind := w.plans[i][0]
				w.plans[i] = w.plans[i][1:]
				switch kind {
				case "append":
					w.append(c)
				case "wait":
					w.begin(c, &simCall{kind: kind, from: c.tail + 1})
				default:
					w.begin(c, &simCall{kind: kind})
				}
			}
		}
	}
	return w.check.err
}
