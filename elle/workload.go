package elle

import (
	"fmt"

	"rebase/elle/history"
	"rebase/elle/model"
)

// suits looks whether the micro-operations are those of the workload. A history of registers
// that is taken for one of lists has no dependency at all, and would be proved to be whatever
// one likes.
func (r *Result) suits(w Workload) {
	count := map[Workload]int{}
	for op := range r.h.Ops {
		if r.h.Ops[op].Type == history.Fail {
			continue
		}
		for _, m := range r.h.Mops(op) {
			switch {
			case m.Kind == history.Append || m.Kind == history.ReadList:
				count[ListAppend]++
			case m.Kind == history.Write || m.Val != history.None:
				count[RWRegister]++
			}
		}
	}
	other := ListAppend
	if w == ListAppend {
		other = RWRegister
	}
	if count[other] == 0 {
		return
	}
	r.Unknown = append(r.Unknown, model.WrongWorkload)
	text := fmt.Sprintf("%d micro-operations are of %s, and were left out", count[other], other)
	if count[w] == 0 {
		text += fmt.Sprintf("; none is of %s: check the history as %s", w, other)
	}
	r.Warnings = append(r.Warnings, text)
}
