package db

import (
	"errors"

	"rebase/rules"
	"rebase/tree"
)

// The rules decide when an operation is applied, on the state that it finds. But what they refuse whatever the state is
// need not enter the log: or anybody, without a credential, could fill it with writes that are as large as may be.

// errLooked ends a decision that is about to depend on the state.
var errLooked = errors.New("the decision looks at the state")

// blind is a state of which nothing is known.
type blind struct{}

var _ rules.State = blind{}

func (blind) Leaf(tree.Path) (*tree.Node, bool, error)        { return nil, false, errLooked }
func (blind) Priority(tree.Path) (*tree.Node, error)          { return nil, errLooked }
func (blind) Children(tree.Path, func(key string) bool) error { return errLooked }

// Closed tells whether the caller can do nothing in the namespace as it is now: it has no rules, and is not open to everyone.
func (d *DB) Closed(ns string, as *Caller) bool {
	set := d.machine.rules.get(ns)
	return set == nil && !as.orNobody().unbound(set)
}

// Refuses tells whether any write of the caller to the node at p would be refused now, whatever it is and whatever is there. A gateway
// can ask before it takes in what may be large. false promises nothing.
func (d *DB) Refuses(ns string, p tree.Path, as *Caller) bool {
	set, as := d.machine.rules.get(ns), as.orNobody()
	if as.unbound(set) || set == nil {
		return d.Closed(ns, as)
	}
	v := set.parsed.Write(&rules.Request{Auth: as.auth, Now: d.now(), Path: p, State: blind{}, New: blind{}})
	return v.Err == nil && !v.Allowed
}

// refuses tells whether the rules now refuse the operation whatever the state is. It has passed check.
func (d *DB) refuses(op *Op, as *Caller) bool {
	switch op.Kind {
	case OpSet, OpMerge, OpDisconnectSet, OpDisconnectMerge:
	default:
		return false
	}
	as = as.orNobody()
	set := d.machine.rules.get(op.NS)
	if as.unbound(set) {
		return false
	}
	if set == nil {
		return true
	}
	updates := op.Updates
	if op.Kind == OpSet || op.Kind == OpDisconnectSet {
		updates = []Update{{Priority: op.Priority, Value: op.Value}}
	}
	if op.increments() || op.size(updates) < smallWrite {
		return false
	}
	now := d.now()
	for i := range updates {
		if updates[i].Value.HasServerValues() { // a time
			updates = resolveTimes(updates, now)
			break
		}
	}
	// A condition that does not hold is told before the rules are asked, to those who may read.
	if op.Hash != nil {
		if may, err := mayRead(set, blind{}, op.Path, nil, as, now); may || err != nil {
			return false
		}
	}
	allowed, err := judgeWrite(set, blind{}, op.Path, updates, as, now)
	return err == nil && !allowed
}

// smallWrite is the size up to which a write costs the log no more than to find out that it would be refused.
const smallWrite = 1 << 10

// size is about what the updates of the operation take in the log; it need not be more than smallWrite.
func (op *Op) size(updates []Update) (n int) {
	for i := range updates {
		n += len(updates[i].Path) + updates[i].Value.SizeBytes()
		if n >= smallWrite {
			break
		}
	}
	return n
}

func resolveTimes(updates []Update, now int64) []Update {
	out := make([]Update, len(updates))
	for i, u := range updates {
		u.Value = u.Value.Resolve(now, func(tree.Path) *tree.Node { return nil })
		out[i] = u
	}
	return out
}
