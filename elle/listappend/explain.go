package listappend

import (
	"fmt"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
)

// source explains dependencies by looking at the histories of the keys that both
// transactions touch once more; there are few cycles to explain.
type source struct {
	h    *history.History
	refs *refs
	keys map[history.Key]*versions
}

// versions is the order of a key's versions, as the checker found it.
type versions struct {
	order []history.Value
	place map[history.Value]int // in order
	write map[history.Value]ref // of what did not fail
}

func (s *source) key(k history.Key) *versions {
	if v := s.keys[k]; v != nil {
		return v
	}
	c := checker{h: s.h, refs: s.refs, out: &anomaly.Analysis{}, k: k}
	c.collect()
	v := &versions{place: map[history.Value]int{}, write: map[history.Value]ref{}}
	s.keys[k] = v
	if !c.unique() {
		return v
	}
	c.versions()
	v.order = append(v.order, c.order...)
	for i, value := range v.order {
		v.place[value] = i
	}
	for _, w := range c.appends {
		if w.typ != history.Fail {
			v.write[w.val] = w.ref
		}
	}
	return v
}

// after is the first version of key from index at on whose append did not fail.
func (v *versions) after(at int) (history.Value, bool) {
	for ; at < len(v.order); at++ {
		if _, ok := v.write[v.order[at]]; ok {
			return v.order[at], true
		}
	}
	return history.None, false
}

// Explain implements anomaly.Source.
func (s *source) Explain(a, b int, rel graph.Rel) (anomaly.Step, bool) {
	for i, x := range s.h.Mops(a) {
		for j, y := range s.h.Mops(b) {
			if x.Key != y.Key {
				continue
			}
			var step anomaly.Step
			var ok bool
			switch {
			case rel == graph.WW && x.Kind == history.Append && y.Kind == history.Append:
				step, ok = s.ww(x, y)
			case rel == graph.WR && x.Kind == history.Append && y.Kind == history.ReadList:
				step, ok = s.wr(x, y, b)
			case rel == graph.RW && x.Kind.IsRead() && y.Kind == history.Append:
				step, ok = s.rw(x, y)
			}
			if ok {
				step.Rel, step.Key, step.A, step.B = rel, s.h.KeyDatum(x.Key), i, j
				return step, true
			}
		}
	}
	return anomaly.Step{}, false
}

// ww: y was appended next after x, or x is the last that anybody has read and y was not
// read.
func (s *source) ww(x, y history.Mop) (anomaly.Step, bool) {
	v := s.key(x.Key)
	at, ok := v.place[x.Val]
	if !ok {
		return anomaly.Step{}, false
	}
	next, read := v.after(at + 1)
	_, placed := v.place[y.Val]
	if read && next != y.Val || !read && placed {
		return anomaly.Step{}, false
	}
	key, value, new := s.h.KeyDatum(x.Key), s.h.Datum(x.Val), s.h.Datum(y.Val)
	return anomaly.Step{Value: value, Next: new, Because: func(t1, t2 string) string {
		text := fmt.Sprintf("%s appended %s to key %s after %s appended %s", t2, new, key, t1, value)
		if !read {
			text += fmt.Sprintf(" (nobody has read %s, so it comes after all that was read)", new)
		}
		return text
	}}, true
}

// wr: the list y, which operation b has read, ends in x; b's own appends do not count.
func (s *source) wr(x, y history.Mop, b int) (anomaly.Step, bool) {
	list := s.h.List(y)
	v := s.key(x.Key)
	for len(list) > 0 && list[len(list)-1] != x.Val {
		if w, ok := v.write[list[len(list)-1]]; !ok || int(w.op) != b {
			return anomaly.Step{}, false
		}
		list = list[:len(list)-1]
	}
	if len(list) == 0 {
		return anomaly.Step{}, false
	}
	key, value := s.h.KeyDatum(x.Key), s.h.Datum(x.Val)
	return anomaly.Step{Value: value, Because: func(t1, t2 string) string {
		return fmt.Sprintf("%s observed %s's append of %s to key %s", t2, t1, value, key)
	}}, true
}

// rw: y was appended next after the list x.
func (s *source) rw(x, y history.Mop) (anomaly.Step, bool) {
	v := s.key(x.Key)
	list := s.h.List(x)
	if len(list) > len(v.order) {
		return anomaly.Step{}, false
	}
	for i, value := range list {
		if v.order[i] != value {
			return anomaly.Step{}, false
		}
	}
	next, read := v.after(len(list))
	_, placed := v.place[y.Val]
	if read && next != y.Val || !read && placed {
		return anomaly.Step{}, false
	}
	key, new := s.h.KeyDatum(x.Key), s.h.Datum(y.Val)
	step := anomaly.Step{Next: new}
	if len(list) > 0 {
		step.Value = s.h.Datum(list[len(list)-1])
	}
	step.Because = func(t1, t2 string) string {
		if len(list) == 0 {
			return fmt.Sprintf("%s observed the initial (empty) state of key %s, which %s changed by appending %s", t1, key, t2, new)
		}
		return fmt.Sprintf("%s did not observe %s's append of %s to key %s", t1, t2, new, key)
	}
	return step, true
}
