package db

import (
	"errors"
	"strings"
	"sync/atomic"

	"rebase/query"
	"rebase/rules"
	"rebase/store"
	"rebase/tree"
)

// ErrDenied: the rules do not let the caller do it.
var ErrDenied = errors.New("permission denied")

// ruleTable holds the rules of all namespaces. It changes under the barrier, and is read anywhere.
type ruleTable struct {
	sets atomic.Pointer[map[string]*ruleset]
}

// ruleset is the rules of one namespace, as given and as understood.
type ruleset struct {
	text   []byte
	parsed *rules.Rules
}

func (t *ruleTable) get(ns string) *ruleset {
	if sets := t.sets.Load(); sets != nil {
		return (*sets)[ns]
	}
	return nil
}

func (t *ruleTable) put(ns string, set *ruleset) {
	sets := map[string]*ruleset{ns: set}
	if old := t.sets.Load(); old != nil {
		for k, v := range *old {
			if k != ns {
				sets[k] = v
			}
		}
	}
	t.sets.Store(&sets)
}

// unbound tells whether c may do everything in a namespace with these rules.
func (c *Caller) unbound(set *ruleset) bool {
	return c.Admin() || set == nil && c.open
}

// state is a namespace as rules look at it.
type state struct {
	r  store.Reader
	ns string
}

var _ rules.State = state{}

func (s state) Leaf(p tree.Path) (*tree.Node, bool, error) { return s.r.Leaf(s.ns, p) }
func (s state) Priority(p tree.Path) (*tree.Node, error)   { return s.r.Priority(s.ns, p) }
func (s state) Children(p tree.Path, f func(string) bool) error {
	return s.r.Children(s.ns, p, "", func(key string, _ bool, _ *tree.Node) bool { return f(key) })
}

// mayRead decides on reading the node at p.
func mayRead(set *ruleset, st rules.State, p tree.Path, q *query.Query, as *Caller, now int64) (bool, error) {
	as = as.orNobody()
	if as.unbound(set) {
		return true, nil
	}
	if set == nil {
		return false, nil
	}
	v := set.parsed.Read(&rules.Request{Auth: as.auth, Now: now, Path: p, Query: q, State: st})
	return v.Allowed, v.Err
}

// mayWrite decides on a write to the namespace as r shows it. Its updates are relative to base, and what is in them is resolved.
func (m *machine) mayWrite(r store.Reader, ns string, base tree.Path, updates []Update, as *Caller, now int64) (bool, error) {
	set := m.rules.get(ns)
	as = as.orNobody()
	if as.unbound(set) {
		return true, nil
	}
	if set == nil {
		return false, nil
	}
	return judgeWrite(set, m.stateOf(r, ns), base, updates, as, now)
}

// judgeWrite asks the rules about a write by somebody whom they bind.
func judgeWrite(set *ruleset, st rules.State, base tree.Path, updates []Update, as *Caller, now int64) (bool, error) {
	changes := make([]rules.Change, len(updates))
	for i, u := range updates {
		changes[i] = rules.Change{Path: base.Join(u.Path), Priority: u.Priority, Value: u.Value}
	}
	req := rules.Request{Auth: as.auth, Now: now, Path: base, State: st, New: rules.Overlay(st, changes)}
	if len(updates) != 1 || !updates[0].Path.IsRoot() {
		req.Updates = make([]tree.Path, len(updates))
		for i, u := range updates {
			req.Updates[i] = u.Path
		}
	}
	v := set.parsed.Write(&req)
	return v.Allowed, v.Err
}

// View is the state at one position with the rules in force there. It must be closed.
type View struct {
	*store.Snapshot
	db  *DB
	set *ruleset
	ns  string
}

// View returns the present state of a namespace.
func (d *DB) View(ns string) *View {
	for {
		// Rules change in an entry of their own, which changes no data. So if the rules are the same before and after,
		// they are those in force for the data of the snapshot.
		set := d.machine.rules.get(ns)
		snap := d.store.Snapshot()
		if d.machine.rules.get(ns) == set {
			return &View{snap, d, set, ns}
		}
		snap.Close()
	}
}

// MayRead returns nil if the caller may read the node at p with the query q, which may be nil; ErrDenied if not; and any
// other error if it could not be found out.
func (v *View) MayRead(p tree.Path, q *query.Query, as *Caller) error {
	return denied(mayRead(v.set, state{v.Snapshot, v.ns}, p, q, as, v.db.now()))
}

// MayRead is [View.MayRead] for the state between two entries: it may be called only under the barrier. looked, if not nil, is told
// what the decision depends on; see [Looked].
func (d *DB) MayRead(ns string, p tree.Path, q *query.Query, as *Caller, looked *Looked) error {
	set := d.machine.rules.get(ns)
	as = as.orNobody()
	if as.unbound(set) {
		return nil
	}
	var st rules.State = d.machine.present(ns)
	if looked != nil {
		looked.state, st = st, looked
	}
	return denied(mayRead(set, st, p, q, as, d.now()))
}

func denied(allowed bool, err error) error {
	if err == nil && !allowed {
		return ErrDenied
	}
	return err
}

// Looked is what a decision has looked at. As long as all of it stays as it is, and the rules and the caller do, a
// decision comes out the same, unless a rule asks for the time.
type Looked struct {
	state rules.State
	At    []Look
}

// Look is one look at a node.
type Look struct {
	Path tree.Path
	// Deep says that it was not only seen what is at Path, but also what children it has, or its priority.
	Deep bool
	// Leaf and Object are what was seen at Path: a leaf, an object, or neither.
	Leaf   *tree.Node
	Object bool
}

// Same tells whether a look that was not deep would show the same now. It may be called only under the barrier.
func (d *DB) Same(ns string, l *Look) bool {
	leaf, object, err := d.machine.present(ns).Leaf(l.Path)
	return err == nil && object == l.Object && tree.Equal(leaf, l.Leaf)
}

// Leaf implements rules.State.
func (l *Looked) Leaf(p tree.Path) (*tree.Node, bool, error) {
	leaf, object, err := l.state.Leaf(p)
	l.At = append(l.At, Look{Path: tree.Path(strings.Clone(string(p))), Leaf: leaf, Object: object})
	return leaf, object, err
}

// Priority implements rules.State.
func (l *Looked) Priority(p tree.Path) (*tree.Node, error) {
	l.At = append(l.At, Look{Path: tree.Path(strings.Clone(string(p))), Deep: true})
	return l.state.Priority(p)
}

// Children implements rules.State.
func (l *Looked) Children(p tree.Path, f func(string) bool) error {
	l.At = append(l.At, Look{Path: tree.Path(strings.Clone(string(p))), Deep: true})
	return l.state.Children(p, f)
}
