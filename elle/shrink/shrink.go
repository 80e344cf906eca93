package shrink

import (
	"context"
	"slices"

	"rebase/elle/history"
)

// Shrink returns the smallest history that it finds for which keep is true, as it must be for h. When ctx ends it returns the smallest so
// far. hint names operations that are believed to be enough, with all that touches the same keys, to begin
// with; it may be empty.
func Shrink(ctx context.Context, h *history.History, hint []int, keep func(*history.History) bool) *history.History {
	s := &shrinker{ctx: ctx, h: h, keep: keep, ops: make([]bool, len(h.Ops)), mops: make([][]bool, len(h.Ops))}
	for op := range h.Ops {
		s.ops[op] = true
		s.mops[op] = slices.Repeat([]bool{true}, len(h.Mops(op)))
	}
	s.start(hint)
	for size := -1; size != s.size() && ctx.Err() == nil; {
		size = s.size()
		s.leaveOut(s.keyItems())
		s.leaveOut(s.opItems())
		s.leaveOut(s.mopItems())
	}
	return s.build()
}

// shrinker is a search: what is still in.
type shrinker struct {
	ctx  context.Context
	h    *history.History
	keep func(*history.History) bool
	ops  []bool
	mops [][]bool
}

// item is something that can be left out, and put back in if it has to.
type item struct {
	op   int
	mops []int // of op; nil means all of the operation
}

// start leaves out, if it may, everything that has nothing to do with the hint.
func (s *shrinker) start(hint []int) {
	keys := map[history.Key]bool{}
	for _, op := range hint {
		for _, m := range s.h.Mops(op) {
			keys[m.Key] = true
		}
	}
	if len(keys) == 0 {
		return
	}
	var others [][]item
	for op := range s.h.Ops {
		var out []int
		for i, m := range s.h.Mops(op) {
			if !keys[m.Key] {
				out = append(out, i)
			}
		}
		if len(out) > 0 {
			others = append(others, []item{{op, out}})
		}
	}
	s.try(others)
}

// try leaves groups of items out, and puts them back if that is too much.
func (s *shrinker) try(groups [][]item) bool {
	type place struct{ op, mop int }
	var ops []int
	var mops []place
	for _, group := range groups {
		for _, it := range group {
			if it.mops == nil && s.ops[it.op] {
				s.ops[it.op] = false
				ops = append(ops, it.op)
			}
			for _, i := range it.mops {
				if s.mops[it.op][i] {
					s.mops[it.op][i] = false
					mops = append(mops, place{it.op, i})
				}
			}
			// A transaction without steps says nothing.
			if it.mops != nil && s.ops[it.op] && !slices.Contains(s.mops[it.op], true) {
				s.ops[it.op] = false
				ops = append(ops, it.op)
			}
		}
	}
	if len(ops)+len(mops) == 0 || s.keep(s.build()) {
		return true
	}
	for _, op := range ops {
		s.ops[op] = true
	}
	for _, p := range mops {
		s.mops[p.op][p.mop] = true
	}
	return false
}

// leaveOut tries to do without the groups: halves first, then ever smaller parts, down to each alone.
func (s *shrinker) leaveOut(groups [][]item) {
	for size := (len(groups) + 1) / 2; size > 0 && len(groups) > 0; {
		var left [][]item
		for from := 0; from < len(groups); from += size {
			part := groups[from:min(from+size, len(groups))]
			if s.ctx.Err() != nil {
				return
			}
			if !s.try(part) {
				left = append(left, part...)
			}
		}
		groups = left
		if size == 1 {
			return
		}
		size = min((size+1)/2, max((len(groups)+1)/2, 1))
	}
}

// keyItems are a group of items for every key.
func (s *shrinker) keyItems() [][]item {
	byKey := make([][]item, s.h.Keys())
	for op := range s.h.Ops {
		if !s.ops[op] {
			continue
		}
		steps := map[history.Key][]int{}
		for i, m := range s.h.Mops(op) {
			if s.mops[op][i] {
				steps[m.Key] = append(steps[m.Key], i)
			}
		}
		for k, list := range steps {
			byKey[k] = append(byKey[k], item{op, list})
		}
	}
	return slices.DeleteFunc(byKey, func(group []item) bool { return len(group) == 0 })
}

func (s *shrinker) opItems() (groups [][]item) {
	for op, in := range s.ops {
		if in {
			groups = append(groups, []item{{op: op}})
		}
	}
	return groups
}

func (s *shrinker) mopItems() (groups [][]item) {
	for op, in := range s.ops {
		if !in || len(s.mops[op]) < 2 {
			continue
		}
		for i, in := range s.mops[op] {
			if in {
				groups = append(groups, []item{{op, []int{i}}})
			}
		}
	}
	return groups
}

// size is how much is still in.
func (s *shrinker) size() int {
	n := 0
	for op, in := range s.ops {
		if in {
			n++
			for _, in := range s.mops[op] {
				if in {
					n++
				}
			}
		}
	}
	return n
}

type element struct {
	key history.Key
	val history.Value
}

// build makes the history of what is still in.
func (s *shrinker) build() *history.History {
	h := s.h
	erased := map[element]bool{} // of lists
	for op := range h.Ops {
		for i, m := range h.Mops(op) {
			if m.Kind == history.Append && !(s.ops[op] && s.mops[op][i]) {
				erased[element{m.Key, m.Val}] = true
			}
		}
	}
	b := history.NewBuilder()
	for at, e := range h.Events() {
		op := int(e >> 1)
		if !s.ops[op] {
			continue
		}
		// The entries come from a history, so that they fit.
		if err := b.Add(s.entry(int32(at), op, e&1 == 1, erased)); err != nil {
			panic("shrink: " + err.Error())
		}
	}
	return b.History()
}

func (s *shrinker) entry(at int32, op int, completion bool, erased map[element]bool) history.Entry {
	h, o := s.h, &s.h.Ops[op]
	index := h.Index(at)
	e := history.Entry{Type: "invoke", F: h.F(op), Index: &index, Unknown: o.Process == history.NoProcess}
	if ns, ok := h.Time(at); ok {
		e.Time = &ns
	}
	if !e.Unknown {
		e.Process = h.Processes[o.Process]
	}
	if completion {
		e.Type = o.Type.String()
	}
	if len(h.Mops(op)) == 0 {
		if e.Value = h.Datum(o.Arg); completion {
			e.Value = h.Datum(o.Val)
		}
		return e
	}
	e.Txn = true
	for i, m := range h.Mops(op) {
		if !s.mops[op][i] {
			continue
		}
		micro := h.Micro(m)
		switch {
		case m.Kind.IsRead() && !completion:
			micro = history.ReadOf(micro.Key)
		case m.Kind == history.ReadList:
			micro.List = micro.List[:0]
			for _, v := range h.List(m) {
				if !erased[element{m.Key, v}] {
					micro.List = append(micro.List, h.Datum(v))
				}
			}
		}
		e.Micros = append(e.Micros, micro)
	}
	return e
}
