package db

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"rebase/rules"
	"rebase/tree"
)

// OpKind says what an operation does.
type OpKind uint8

const (
	// OpSet replaces the node at Path (or its priority) by Value.
	OpSet OpKind = iota + 1
	// OpMerge replaces the nodes named by Updates, all of them or none.
	OpMerge
	// OpDisconnectSet queues a set for the end of the session.
	OpDisconnectSet
	// OpDisconnectMerge queues a merge for the end of the session.
	OpDisconnectMerge
	// OpDisconnectCancel drops what is queued at Path and below, or for its priority.
	OpDisconnectCancel
	// OpSetRules replaces the rules of the namespace by Rules.
	OpSetRules
	// opEndSession runs and clears what the session has queued.
	opEndSession
	// opResumeSession begins a session of a client whose writes in another may come again. It is
	// the session's entry number 0.
	opResumeSession
	// opConfirm says what other sessions have confirmed; see confirm.go.
	opConfirm
	// opRefused stands for a write that was refused whatever the state is, so that its client finds it among its writes; see refuse.go.
	opRefused
	// opEndOther ends another session than the proposer's; see owner.go.
	opEndOther
	// opDigest has every replica compute the digest of its state; see digest.go.
	opDigest
)

// Update is one part of a merge: the node at Path, relative to the operation's,
// becomes Value; with Priority set it is the node's priority that becomes Value.
type Update struct {
	Path     tree.Path
	Priority bool
	Value    *tree.Node
}

// Prefixed returns updates relative to a place as they are relative to one above it, from which p
// leads to the first.
func Prefixed(p tree.Path, updates []Update) []Update {
	if p.IsRoot() {
		return updates
	}
	out := slices.Clone(updates)
	for i := range out {
		out[i].Path = p.Join(out[i].Path)
	}
	return out
}

// Condition says that the node at Path, seen from the namespace's root, has this hash (tree.Hash); "" is
// that of no node.
type Condition struct {
	Path tree.Path
	Hash string
}

// Op is an operation on one namespace.
type Op struct {
	Kind     OpKind
	NS       string
	Path     tree.Path
	Priority bool       // OpSet, OpDisconnectSet, OpDisconnectCancel: the priority of the node is meant
	Value    *tree.Node // OpSet, OpDisconnectSet; nil deletes
	Updates  []Update   // OpMerge, OpDisconnectMerge

	// Hash makes an OpSet or OpMerge conditional: the node at Path must have this hash
	// (tree.Hash), else the result is ErrStale.
	Hash *string

	// If makes an OpSet or OpMerge conditional: all of it must hold, else the result is ErrStale.
	If []Condition

	// Caller is in whose name [DB.Do] does the operation; nil is nobody, but the server itself in a namespace of its own. What
	// a session does is done in the name of the session's caller.
	Caller *Caller

	// Rules is the source text for OpSetRules.
	Rules []byte

	// Fingerprint identifies the request among the writes of one client, for
	// clients that send unanswered writes again on reconnect. 0 means that
	// the client does not do so.
	Fingerprint uint64
}

// Result is the outcome of an operation.
type Result struct {
	Err  error
	Pos  uint64 // log position, 0 if the operation never entered the log
	Time int64  // the operation's time, in milliseconds since the Unix epoch

	// Value is what an OpSet stored: its server values are resolved.
	Value *tree.Node
	// Updates is what an OpMerge stored.
	Updates []Update
	// Current is, with the ErrStale of a Hash, the node as it is. A caller who may not read it is denied instead.
	Current *tree.Node
	// Replayed tells that the write had been applied before and was not
	// applied again.
	Replayed bool

	ended bool // by an opEndOther: it was this entry that ended the session
}

// Errors of operations.
var (
	// ErrStale: the precondition of a conditional set does not hold.
	ErrStale = errors.New("the node has changed: its hash is not the expected one")
	// ErrNoNode: a priority was set on a node that does not exist.
	ErrNoNode = errors.New("a node that does not exist cannot have a priority")
)

// Errors of a database or session that no longer takes operations. ErrSessionEnded also says that somebody else has ended the session
// before the operation came up in the log: it was not applied, and never will be. ErrClosed also says that the
// database has failed while the operation was under way, and is then joined with the cause: the
// operation may have been applied, or be applied by a restart.
var (
	ErrClosed       = errors.New("the database is closed")
	ErrSessionEnded = errors.New("the session has ended")
)

// ErrTooOld is matched by every *TooOldError.
var ErrTooOld = errors.New("the store is too old for the log")

// TooOldError says that the log has forgotten entries that the store has not applied: the replica was away for too long. It needs
// the state of a newer snapshot.
type TooOldError struct {
	Applied uint64 // the last entry that the store has
	First   uint64 // the first that the log still has
}

func (e *TooOldError) Error() string {
	return fmt.Sprintf("the store has applied entry %d, but the log begins at %d: the store is too old; restore a newer one", e.Applied, e.First)
}

// Is makes errors.Is(err, ErrTooOld) hold.
func (e *TooOldError) Is(target error) bool { return target == ErrTooOld }

// InvalidError says why an operation was refused before it entered the log.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return "invalid operation: " + e.Reason }

func invalidf(format string, args ...any) error {
	return &InvalidError{Reason: fmt.Sprintf(format, args...)}
}

// MaxDisconnectOps and MaxDisconnectBytes bound what one session can queue for its end. The bytes
// are those of its records.
const (
	MaxDisconnectOps   = 10_000
	MaxDisconnectBytes = 16 << 20
)

// MaxNamespaceBytes bounds the length of a namespace's name.
const MaxNamespaceBytes = 128

// CheckNamespace tells whether name can name a namespace: lower-case letters,
// digits, '-', '_' and '.', beginning with a letter or a digit; or with '_', which is for the server's own.
func CheckNamespace(name string) error {
	if name == "" || len(name) > MaxNamespaceBytes {
		return invalidf("a namespace's name has 1 to %d characters, not %d", MaxNamespaceBytes, len(name))
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '_', i > 0 && (c == '-' || c == '.'):
		default:
			return invalidf("namespace %q: character %q at %d is not allowed", name, c, i)
		}
	}
	return nil
}

// ownNamespace tells a namespace of the server's own, that nobody reaches from outside.
func ownNamespace(name string) bool { return strings.HasPrefix(name, "_") }

// check refuses what no state could make valid.
func (op *Op) check() error {
	if err := CheckNamespace(op.NS); err != nil {
		return err
	}
	switch op.Kind {
	case OpSet, OpDisconnectSet:
		return checkNode(op.Path, op.Priority, op.Value)
	case OpMerge, OpDisconnectMerge:
		return op.checkUpdates()
	case OpDisconnectCancel:
		return nil
	case OpSetRules:
		_, err := rules.Parse(op.Rules)
		return err
	}
	return invalidf("unknown kind %d", op.Kind)
}

func (op *Op) checkUpdates() error {
	for _, u := range op.Updates {
		if err := checkNode(op.Path.Join(u.Path), u.Priority, u.Value); err != nil {
			return err
		}
	}
	return checkDisjoint(op.Updates)
}

func checkNode(p tree.Path, priority bool, v *tree.Node) error {
	if !priority {
		if d := p.Depth() + v.Depth(); d > tree.MaxDepth {
			return &tree.LimitError{Limit: "depth", Path: p, Got: d, Max: tree.MaxDepth}
		}
		return nil
	}
	switch v.Kind() {
	case tree.Null, tree.Int, tree.Float, tree.String, tree.ServerValue:
		return nil
	}
	return invalidf("a priority at /%s must be a number, a string or null", p)
}

// checkDisjoint refuses a merge in which one path is at or above another: the
// outcome would depend on an order that the protocol does not define.
func checkDisjoint(updates []Update) error {
	if len(updates) < 2 || rising(updates) {
		return nil
	}
	seen := make(map[tree.Path]struct{}, len(updates))
	for _, u := range updates {
		p := u.wirePath()
		if _, dup := seen[p]; dup {
			return invalidf("the path %q occurs twice in one update", "/"+p)
		}
		seen[p] = struct{}{}
	}
	for _, u := range updates {
		for p := u.wirePath(); !p.IsRoot(); {
			p = p.Parent()
			if _, above := seen[p]; above {
				return invalidf("the path %q of an update is an ancestor of %q", "/"+p, "/"+u.wirePath())
			}
		}
	}
	return nil
}

// rising tells whether each path comes behind the one before it in the order of a walk by keys,
// and not below it. Since what is below a node adjoins in that order, none is then below any
// other. Imports send such merges, of tens of thousands of updates, and need no map for this.
func rising(updates []Update) bool {
	last := updates[0].wirePath()
	for i := range updates[1:] {
		p := updates[i+1].wirePath()
		if !precedes(string(last), string(p)) {
			return false
		}
		last = p
	}
	return true
}

// precedes compares the first components in which the paths differ.
func precedes(a, b string) bool {
	start, n := 0, min(len(a), len(b))
	for i := 0; i < n && a[i] == b[i]; i++ {
		if a[i] == '/' {
			start = i + 1
		}
	}
	x, _, _ := strings.Cut(a[start:], "/")
	y, _, _ := strings.Cut(b[start:], "/")
	return x != "" && tree.CompareKeys(x, y) < 0
}

// wirePath is the path as a client names it: a priority is a child of its node.
func (u *Update) wirePath() tree.Path {
	if u.Priority {
		return u.Path.Child(".priority")
	}
	return u.Path
}

// touches tells whether the operation writes at, above or below p.
func (op *Op) touches(p tree.Path) bool {
	if op.Kind != OpMerge {
		return op.Path.Contains(p) || p.Contains(op.Path)
	}
	for _, u := range op.Updates {
		if at := op.Path.Join(u.Path); at.Contains(p) || p.Contains(at) {
			return true
		}
	}
	return false
}

// increments tells whether the operation depends on the values that it replaces.
func (op *Op) increments() bool {
	if op.Value.HasIncrements() {
		return true
	}
	for _, u := range op.Updates {
		if u.Value.HasIncrements() {
			return true
		}
	}
	return false
}
