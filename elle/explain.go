package elle

import (
	"fmt"
	"strings"

	"rebase/elle/anomaly"
	"rebase/elle/history"
)

// Explain tells in words why an anomaly of the result is one, so that a person can hold it
// against the history: the operations, and for a cycle why each precedes the next, until
// the last one contradicts the first.
func (r *Result) Explain(a anomaly.Anomaly) string {
	var b strings.Builder
	names := r.names(a)
	if a.Text != "" {
		b.WriteString(a.Text)
		b.WriteString(".\n")
	}
	if len(a.Ops) > 0 {
		b.WriteString("Let:\n")
		told := map[int]bool{}
		for i, op := range a.Ops {
			if !told[op] {
				told[op] = true
				fmt.Fprintf(&b, "  %s = %s\n", names[i], r.Describe(op))
			}
		}
	}
	if len(a.Steps) == 0 {
		return b.String()
	}
	b.WriteString("Then:\n")
	for i, s := range a.Steps {
		from, to := names[i], names[(i+1)%len(names)]
		if i+1 == len(a.Steps) {
			fmt.Fprintf(&b, "  - However, %s < %s, because %s: a contradiction!\n", from, to, s.Because(from, to))
		} else {
			fmt.Fprintf(&b, "  - %s < %s, because %s.\n", from, to, s.Because(from, to))
		}
	}
	return b.String()
}

// names are what the operations of an anomaly are called: T1, T2 … in order. One that
// occurs twice keeps its name.
func (r *Result) names(a anomaly.Anomaly) []string {
	names := make([]string, len(a.Ops))
	known := map[int]string{}
	for i, op := range a.Ops {
		if known[op] == "" {
			known[op] = fmt.Sprintf("T%d", len(known)+1)
		}
		names[i] = known[op]
	}
	return names
}

// Describe is an operation as Jepsen writes it, on one line; long values are shortened.
func (r *Result) Describe(n int) string {
	h := r.h
	var b strings.Builder
	o := &h.Ops[n]
	event := o.Complete
	if event < 0 {
		event = o.Invoke
	}
	fmt.Fprintf(&b, "{:index %d, :type :%s, ", h.Index(event), o.Type)
	if o.Process != history.NoProcess {
		fmt.Fprintf(&b, ":process %s, ", h.ProcessName(n))
	}
	if f := h.F(n); f != "" {
		fmt.Fprintf(&b, ":f :%s, ", f)
	}
	b.WriteString(":value ")
	mops := h.Mops(n)
	if len(mops) == 0 {
		b.WriteString(shorten(h.Datum(o.Val).String()))
	} else {
		b.WriteByte('[')
		for i, m := range mops {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(shorten(h.Micro(m).String()))
		}
		b.WriteByte(']')
	}
	b.WriteByte('}')
	return b.String()
}

// shorten leaves the beginning and the end of what is long: of a list, the end tells most.
func shorten(text string) string {
	const head, tail = 60, 200
	if len(text) <= head+tail {
		return text
	}
	return text[:head] + " … " + text[len(text)-tail:]
}
