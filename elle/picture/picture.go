package picture

import (
	"fmt"
	"strings"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
)

// Picture is what is drawn.
type Picture struct {
	Title, Subtitle string
	Rows            []Row
	// Arrows[i] leads from Rows[i] to the next row, the last to the first.
	Arrows []Arrow
}

// Row is a transaction.
type Row struct {
	Name   string // "T1"
	About  string // "process 7, index 31"
	Type   history.Type
	Cells  []Cell
	marked map[int]bool // cells that arrows touch
}

// Cell is a micro-operation: as it is drawn, and in full.
type Cell struct{ Short, Full string }

// Arrow says why a transaction precedes the next.
type Arrow struct {
	Rel      graph.Rel
	From, To int // cells, or -1: the whole transaction
	Label    string
	Because  string
}

// maxCells bounds what is drawn of a long transaction, beside the cells that arrows touch.
const maxCells = 8

// Of is the picture of a cycle; ok is false for an anomaly that is none.
func Of(h *history.History, a anomaly.Anomaly) (p *Picture, ok bool) {
	if len(a.Steps) == 0 {
		return nil, false
	}
	p = &Picture{Title: string(a.Type)}
	names := map[int]string{}
	for _, op := range a.Ops {
		if names[op] == "" {
			names[op] = fmt.Sprintf("T%d", len(names)+1)
		}
		p.Rows = append(p.Rows, row(h, op, names[op]))
	}
	p.Subtitle = strings.Join(rels(a.Steps), " → ")
	n := len(a.Ops)
	for i, s := range a.Steps {
		to := (i + 1) % n
		from, next := p.Rows[i].Name, p.Rows[to].Name
		arrow := Arrow{Rel: s.Rel, From: s.A, To: s.B, Label: label(s), Because: from + " < " + next + ", because " + s.Because(from, next)}
		if s.A >= 0 {
			p.Rows[i].marked[s.A] = true
			p.Rows[to].marked[s.B] = true
		}
		p.Arrows = append(p.Arrows, arrow)
	}
	for i := range p.Rows {
		p.fold(i)
	}
	return p, true
}

func rels(steps []anomaly.Step) []string {
	list := make([]string, len(steps))
	for i, s := range steps {
		list[i] = s.Rel.String()
	}
	return list
}

func label(s anomaly.Step) string {
	if s.A < 0 {
		return s.Rel.String()
	}
	if s.Next.IsNil() {
		return fmt.Sprintf("%s  %s: %s", s.Rel, s.Key, clip(s.Value.String()))
	}
	value := clip(s.Value.String())
	if s.Value.IsNil() {
		value = "initial"
	}
	return fmt.Sprintf("%s  %s: %s → %s", s.Rel, s.Key, value, clip(s.Next.String()))
}

func row(h *history.History, op int, name string) Row {
	o := &h.Ops[op]
	event := o.Complete
	if event == history.NoEvent {
		event = o.Invoke
	}
	r := Row{Name: name, Type: o.Type, marked: map[int]bool{}, About: fmt.Sprintf("index %d", h.Index(event))}
	if o.Process != history.NoProcess {
		r.About = "process " + h.ProcessName(op) + ", " + r.About
	}
	if o.Type != history.OK {
		r.About += ", " + o.Type.String()
	}
	for _, m := range h.Mops(op) {
		r.Cells = append(r.Cells, cell(h, m))
	}
	return r
}

// cell shortens lists to their first element and their last few, which tell most.
func cell(h *history.History, m history.Mop) Cell {
	micro := h.Micro(m)
	c := Cell{Full: micro.String()}
	result := clip(micro.Value.String())
	if m.Kind == history.ReadList {
		list := micro.List
		words := make([]string, 0, 8)
		if len(list) > 6 {
			words = append(words, clip(list[0].String()), "…")
			list = list[len(list)-4:]
		}
		for _, d := range list {
			words = append(words, clip(d.String()))
		}
		result = "[" + strings.Join(words, " ") + "]"
	}
	c.Short = fmt.Sprintf("%s %s %s", m.Kind, clip(micro.Key.String()), result)
	return c
}

// fold leaves out cells of a long row that no arrow touches.
func (p *Picture) fold(i int) {
	r := &p.Rows[i]
	if len(r.Cells) <= maxCells {
		return
	}
	at := make([]int, len(r.Cells)) // where each cell goes
	var cells []Cell
	marked := map[int]bool{}
	var left []string
	for n, c := range r.Cells {
		if !r.marked[n] && n >= 2 {
			left = append(left, c.Full)
			at[n] = -1
			continue
		}
		if len(left) > 0 {
			cells = append(cells, Cell{"…", strings.Join(left, " ")})
			left = nil
		}
		at[n] = len(cells)
		marked[len(cells)] = r.marked[n]
		cells = append(cells, c)
	}
	if len(left) > 0 {
		cells = append(cells, Cell{"…", strings.Join(left, " ")})
	}
	r.Cells, r.marked = cells, marked
	if a := &p.Arrows[i]; a.From >= 0 {
		a.From = at[a.From]
	}
	before := (i + len(p.Rows) - 1) % len(p.Rows)
	if a := &p.Arrows[before]; a.To >= 0 {
		a.To = at[a.To]
	}
}

// clip shortens a single value.
func clip(s string) string {
	r := []rune(s)
	if len(r) > 24 {
		return string(r[:14]) + "…" + string(r[len(r)-8:])
	}
	return s
}
