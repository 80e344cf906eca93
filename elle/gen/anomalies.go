package gen

import "strings"

// The anomalies, each as a history that shows it and as little else as can be. How they are written is
// said at type injection. The names with -process and -realtime need an edge of that kind in their cycle.

// shared are those that read the same for lists and registers; "+" stands for append or w. They rest
// on reads of what was never written, so they need no assumption about the order of a register's versions.
var shared = map[string]string{
	"G1a": `
		a 1 fail + x 1
		b 1 ok r x 1`,
	"G1b": `
		a 1 ok + x 1, + x 2
		b 1 ok r x 1`,
	"G1c": `
		a 1 ok + x 1, r y 1
		b 1 ok + y 1, r x 1`,
	"G-single-item": `
		a 1 ok + x 1, + y 1
		b 1 ok r x 1, r y`,
	"G-nonadjacent-item": `
		a 1 ok + x 1
		b 1 ok + y 1
		c 1 ok r x 1, r y
		d 1 ok r y 1, r x`,
	"G2-item": `
		a 1 ok r x, + y 1
		b 1 ok r y, + x 1
		c 2 ok r x 1, r y 1`,
	"G1c-process": `
		a 1 ok r y 1
		b 1-2 ok + y 1, r x 1
		a 2 ok + x 1`,
	"G-single-item-process": `
		a 1 ok + x 1
		a 2 ok r x`,
	"G-nonadjacent-item-process": `
		a 1-2 ok + x 1
		b 1-2 ok r x 1, r y
		c 1 ok + y 1
		c 2 ok r x`,
	"G2-item-process": `
		a 1 ok + y 1
		b 1-2 ok + x 1, r y
		a 2 ok r x`,
	"G1c-realtime": `
		a 1 ok r y 1
		b 1-2 ok + y 1, r x 1
		c 2 ok + x 1`,
	"G-single-item-realtime": `
		a 1 ok + x 1
		b 2 ok r x`,
	"G-nonadjacent-item-realtime": `
		a 1-2 ok + x 1
		b 1-2 ok r x 1, r y
		c 1 ok + y 1
		d 2 ok r x`,
	"G2-item-realtime": `
		a 1 ok + y 1
		b 1-2 ok + x 1, r y
		c 2 ok r x`,
	"internal": `
		a 1 ok r x, r x 1
		b 1 ok + x 1`,
	"garbage-read": `
		a 1 ok + x 1
		b 1 ok r x 9`,
	// A transaction whose outcome nobody knows was seen by others, so it has happened.
	"G1c-info": `
		a 1 info + x 1, + z 1
		b 1 ok r x 1, + y 1
		c 1 ok r y 1, + w 1
		d 1 ok r w 1, r z`,
	"fractured-read": `
		a 1 ok + x 1, + y 1
		b 1 ok r y 1, r x`,
	"causal-cycle": `
		a 1 ok + x 1
		b 1 ok r x 1, + y 1
		c 1 ok r y 1, r x`,
}

var listAnomalies = with("append", map[string]string{
	"G0": `
		a 1 ok + x 1, + y 1
		b 1 ok + x 2, + y 2
		c 2 ok r x 1 2, r y 2 1`,
	"G0-process": `
		a 1 ok + x 2
		b 1-2 ok + y 2, + x 1
		a 2 ok + y 1
		c 3 ok r x 1 2, r y 1 2`,
	"G0-realtime": `
		a 1 ok + x 2
		b 2 ok + x 1
		c 3 ok r x 1 2`,
	"lost-update": `
		a 1 ok r x, + x 1
		b 1 ok r x, + x 2
		c 2 ok r x 1 2`,
	"dirty-update": `
		a 1 fail + x 1
		b 1 ok + x 2
		c 2 ok r x 1 2`,
	"future-read": `
		a 1 ok r x 1, + x 1`,
	"duplicate-elements": `
		a 1 ok + x 1
		b 1 ok r x 1 1`,
	"incompatible-order": `
		a 1 ok + x 1
		b 1 ok + x 2
		c 1 ok r x 1 2
		d 1 ok r x 2 1`,
})

var registerAnomalies = with("w", map[string]string{
	"lost-update": `
		a 1 ok r x, + x 1
		b 1 ok r x, + x 2`,
	// The next two need the order of versions that sequential keys give.
	"G0": `
		a 1 ok + x 1, + y 1
		b 1 ok + x 2, + y 2
		c 2 ok r x 1
		d 2 ok r y 2
		c 3 ok r x 2
		d 3 ok r y 1`,
	"cyclic-versions": `
		a 1 ok + x 1
		b 1 ok + x 2
		c 1 ok r x 1
		d 1 ok r x 2
		c 2 ok r x 2
		d 2 ok r x 1`,
})

// with returns the shared anomalies and others, of a workload that writes in one way.
func with(write string, more map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{shared, more} {
		for name, text := range m {
			all[name] = strings.ReplaceAll(text, "+", write)
		}
	}
	return all
}
