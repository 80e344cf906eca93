package gen

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Anomalies returns the names that Options.Inject knows for a workload, sorted.
func Anomalies(w Workload) []string {
	switch w {
	case ListAppend:
		return slices.Sorted(maps.Keys(listAnomalies))
	case Register:
		return slices.Sorted(maps.Keys(registerAnomalies))
	case Set:
		return []string{garbageElement, lostElement}
	}
	return []string{outOfBounds}
}

// What can be put into sets and counters: it is done to the store itself.
const (
	garbageElement = "garbage-element"
	lostElement    = "lost-element"
	outOfBounds    = "out-of-bounds"
)

// injection is an anomaly on its way into a history: a small history of its own.
//
// It is written down as lines of process, sections, outcome and steps. A transaction is invoked when its first section begins and
// completed when its last one ends; transactions of one section are concurrent. Keys are letters, and
// so are processes; both are fresh each time. "r x" is a read that found nothing.
type injection struct {
	at     int64 // when so many operations have been invoked
	lines  []injected
	events []Event // to come
	damage string  // to the one object of a set or counter
}

type injected struct {
	process     string
	first, last int
	outcome     Type
	ops         []Op
	keys        []string // of the ops
}

func newInjection(w Workload, name string) (*injection, error) {
	var text string
	switch w {
	case ListAppend:
		text = listAnomalies[name]
	case Register:
		text = registerAnomalies[name]
	default:
		if slices.Contains(Anomalies(w), name) {
			return &injection{damage: name}, nil
		}
	}
	if text == "" {
		return nil, fmt.Errorf("no anomaly %q of the workload %v; there are %s", name, w, strings.Join(Anomalies(w), ", "))
	}
	in := &injection{}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		l, err := parseInjected(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("anomaly %s, %q: %w", name, line, err)
		}
		in.lines = append(in.lines, l)
	}
	return in, nil
}

func parseInjected(line string) (l injected, err error) {
	fields := strings.SplitN(line, " ", 4)
	if len(fields) != 4 {
		return l, fmt.Errorf("%d fields", len(fields))
	}
	l.process = fields[0]
	first, last, span := strings.Cut(fields[1], "-")
	if l.first, err = strconv.Atoi(first); err != nil {
		return l, err
	}
	if l.last = l.first; span {
		if l.last, err = strconv.Atoi(last); err != nil {
			return l, err
		}
	}
	l.outcome = Type(slices.Index(typeNames[:], fields[2]))
	for step := range strings.SplitSeq(fields[3], ", ") {
		words := strings.Fields(step)
		op := Op{Kind: Read, Known: true}
		for _, w := range words[2:] {
			v, err := strconv.ParseInt(w, 10, 64)
			if err != nil {
				return l, err
			}
			op.Val, op.Set, op.List = v, true, append(op.List, v)
		}
		switch words[0] {
		case "append":
			op.Kind = Append
		case "w":
			op.Kind = Write
		}
		l.ops, l.keys = append(l.ops, op), append(l.keys, words[1])
	}
	return l, nil
}

// start puts the events into the order in which they are going to happen.
func (in *injection) start(s *sim) {
	keys, processes := map[string]int64{}, map[string]int64{}
	sections := 0
	for i := range in.lines {
		l := &in.lines[i]
		sections = max(sections, l.last)
		for j := range l.ops {
			id, ok := keys[l.keys[j]]
			if !ok {
				id = s.keys.fresh().id
				keys[l.keys[j]] = id
			}
			l.ops[j].Key = id
		}
		if _, ok := processes[l.process]; !ok {
			processes[l.process] = s.nextProcess
			s.nextProcess++
		}
	}
	for section := 1; section <= sections; section++ {
		for _, i := range s.rng.perm(len(in.lines)) {
			if l := &in.lines[i]; l.first == section {
				ops := slices.Clone(l.ops)
				for j := range ops {
					if ops[j].Kind == Read {
						ops[j] = Op{Kind: Read, Key: ops[j].Key}
					}
				}
				in.events = append(in.events, Event{Type: Invoke, Process: processes[l.process], Ops: ops})
			}
		}
		for _, i := range s.rng.perm(len(in.lines)) {
			if l := &in.lines[i]; l.last == section {
				in.events = append(in.events, Event{Type: l.outcome, Process: processes[l.process], Ops: l.ops})
			}
		}
	}
}

// turn emits the next event, and says whether it was the last.
func (in *injection) turn(s *sim) (done bool, err error) {
	if in.damage != "" {
		return s.store.(*lateStore).inflict(in.damage) || len(s.clients) == 0, nil
	}
	e := in.events[0]
	in.events = in.events[1:]
	return len(in.events) == 0, s.put(e.Type, e.Process, e.Ops)
}

func (r *rng) perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		j := r.intn(i + 1)
		p[i], p[j] = p[j], i
	}
	return p
}
