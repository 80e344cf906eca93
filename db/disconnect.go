package db

import (
	"slices"

	"rebase/tree"
)

// A disconnectQueue holds what a session wants written when it ends, merged path by path
// while it is queued: a later operation at or above an earlier one replaces it, a later one
// below it refines it. The entries are therefore disjoint, and the end of the session is one
// multi-path write, which observers see as one event (as the Firebase SDK's own
// SparseSnapshotTree does it for its local view).
type disconnectQueue []Update

// set queues v for the node at p, or for its priority.
func (q disconnectQueue) set(p tree.Path, priority bool, v *tree.Node) disconnectQueue {
	for i, u := range q {
		if u.Priority || !u.Path.Contains(p) {
			continue
		}
		rel := p.Rel(u.Path)
		if priority {
			q[i].Value = u.Value.SetPriority(rel, v)
		} else {
			q[i].Value = u.Value.Set(rel, v)
		}
		return q
	}
	if priority {
		q = slices.DeleteFunc(q, func(u Update) bool { return u.Priority && u.Path == p })
	} else {
		q = q.dropBelow(p)
	}
	return append(q, Update{Path: p, Priority: priority, Value: v})
}

// cancel drops what is queued at p and below. A value queued above p is first split into its
// children, so that only the part at p is dropped: of a deletion above p nothing is left, since
// it has no children. The priority of what is split goes with it. All of that is what the SDK's
// SparseSnapshotTree does, and so what a client expects to see when it is cut off.
func (q disconnectQueue) cancel(p tree.Path) disconnectQueue {
	for {
		above := slices.IndexFunc(q, func(u Update) bool {
			return !u.Priority && u.Path != p && u.Path.Contains(p) && !u.Value.IsLeaf()
		})
		if above < 0 {
			return q.dropBelow(p)
		}
		u := q[above]
		q = slices.Delete(q, above, above+1)
		for _, c := range u.Value.Children() {
			q = append(q, Update{Path: u.Path.Child(c.Key), Value: c.Node})
		}
	}
}

// cancelPriority drops what is queued for the priority of the node at p.
func (q disconnectQueue) cancelPriority(p tree.Path) disconnectQueue {
	q = slices.DeleteFunc(q, func(u Update) bool { return u.Priority && u.Path == p })
	for i, u := range q {
		if !u.Priority && u.Path.Contains(p) {
			q[i].Value = u.Value.SetPriority(p.Rel(u.Path), nil)
		}
	}
	return q
}

func (q disconnectQueue) dropBelow(p tree.Path) disconnectQueue {
	return slices.DeleteFunc(q, func(u Update) bool { return p.Contains(u.Path) })
}
