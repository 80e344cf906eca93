package db

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rebase/tree"
)

// The body of a log entry. docs/format/entry.md describes every byte.

// codecVersion is what is written. Entries of version 1, from when there were no callers, are still read: whoever made
// them could do everything.
const codecVersion = 2

// Bits of the flags.
const (
	flagPriority = 1 << iota
	flagValue
	flagUpdates
	flagHash
	flagRules
	flagFingerprint
	flagConfirmed
	flagReplay
	flagIf
	flagCaller
	flagSession
	flagOwner
	flagOwned
)

// origin is what an entry says of its proposal beside the operation itself.
type origin struct {
	now       int64     // the proposer's time, in milliseconds
	confirmed uint64    // the session's answers up to here have reached the client
	replayOf  *writeRef // the write seems to be this one, sent again; with opResumeSession the session resumed

	// named says that the entry names its caller. Otherwise it is the session's, which is the one that the last entry
	// with ofSession set has named.
	named     bool
	caller    *Caller
	ofSession bool

	// owned says that the session is one of a node of a cluster. begins says that this is its first entry, which names
	// the owner.
	owned, begins bool
	owner         owner
}

// writeRef names a write: the Seq-th proposal of a session.
type writeRef struct {
	session SessionID
	seq     uint64
}

var errShortEntry = errors.New("entry ends too early")

// appendOp encodes op and the circumstances of its proposal.
func appendOp(dst []byte, op *Op, o origin) []byte {
	var flags uint64
	if op.Priority {
		flags |= flagPriority
	}
	if op.Value != nil {
		flags |= flagValue
	}
	if len(op.Updates) > 0 {
		flags |= flagUpdates
	}
	if op.Hash != nil {
		flags |= flagHash
	}
	if op.Rules != nil {
		flags |= flagRules
	}
	if op.Fingerprint != 0 {
		flags |= flagFingerprint
	}
	if o.confirmed != 0 {
		flags |= flagConfirmed
	}
	if o.replayOf != nil {
		flags |= flagReplay
	}
	if len(op.If) > 0 {
		flags |= flagIf
	}
	if o.named {
		flags |= flagCaller
	}
	if o.ofSession {
		flags |= flagSession
	}
	switch {
	case o.begins:
		flags |= flagOwner
	case o.owned:
		flags |= flagOwned
	}
	dst = binary.AppendUvarint(append(dst, codecVersion, byte(op.Kind)), flags)
	dst = binary.AppendVarint(dst, o.now)
	dst = appendString(dst, op.NS)
	dst = appendString(dst, string(op.Path))
	if op.Value != nil {
		dst = tree.AppendBinary(dst, op.Value)
	}
	if len(op.Updates) > 0 {
		dst = appendUpdates(dst, op.Updates)
	}
	if op.Hash != nil {
		dst = appendString(dst, *op.Hash)
	}
	if op.Rules != nil {
		dst = appendString(dst, string(op.Rules))
	}
	if op.Fingerprint != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, op.Fingerprint)
	}
	if o.confirmed != 0 {
		dst = binary.AppendUvarint(dst, o.confirmed)
	}
	if o.replayOf != nil {
		dst = append(dst, o.replayOf.session[:]...)
		dst = binary.AppendUvarint(dst, o.replayOf.seq)
	}
	if len(op.If) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(op.If)))
		for _, c := range op.If {
			dst = appendString(appendString(dst, string(c.Path)), c.Hash)
		}
	}
	if o.named {
		dst = appendCaller(dst, o.caller)
	}
	if o.begins {
		dst = appendOwner(dst, o.owner)
	}
	return dst
}

// decodeOp is the inverse of appendOp. The op shares no memory with b.
func decodeOp(b []byte) (op *Op, o origin, err error) {
	if len(b) < 3 {
		return nil, o, errShortEntry
	}
	op = &Op{Kind: OpKind(b[1])}
	r := reader{b: b[2:]}
	var flags uint64
	switch b[0] {
	case codecVersion:
		flags = r.uvarint()
	case 1:
		flags = uint64(r.byte())
		o.named, o.caller, o.ofSession = true, Root, true
	default:
		return nil, o, fmt.Errorf("entry has version %d; this program reads versions up to %d: use a newer program", b[0], codecVersion)
	}
	op.Priority = flags&flagPriority != 0
	o.ofSession = o.ofSession || flags&flagSession != 0
	o.now = r.varint()
	op.NS = r.string()
	op.Path = tree.Path(r.string())
	if flags&flagValue != 0 {
		op.Value = r.node()
	}
	if flags&flagUpdates != 0 {
		op.Updates = r.updates()
	}
	if flags&flagHash != 0 {
		h := r.string()
		op.Hash = &h
	}
	if flags&flagRules != 0 {
		op.Rules = []byte(r.string())
	}
	if flags&flagFingerprint != 0 {
		op.Fingerprint = r.uint64()
	}
	if flags&flagConfirmed != 0 {
		o.confirmed = r.uvarint()
	}
	if flags&flagReplay != 0 {
		o.replayOf = &writeRef{session: r.session(), seq: r.uvarint()}
	}
	if flags&flagIf != 0 {
		op.If = r.conditions()
	}
	if flags&flagCaller != 0 {
		o.named, o.caller = true, r.caller()
	}
	if flags&flagOwner != 0 {
		o.begins, o.owner = true, r.owner()
	}
	o.owned = flags&(flagOwner|flagOwned) != 0
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes are left behind the entry's end", len(r.b))
	}
	return op, o, r.err
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendUpdates(dst []byte, updates []Update) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(updates)))
	for _, u := range updates {
		var priority byte
		if u.Priority {
			priority = 1
		}
		dst = append(appendString(dst, string(u.Path)), priority)
		dst = tree.AppendBinary(dst, u.Value)
	}
	return dst
}

// reader takes values off the front of b; after the first error it yields zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errShortEntry)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail(errShortEntry)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail(errShortEntry)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint64() uint64 {
	if len(r.b) < 8 {
		r.fail(errShortEntry)
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) session() (id SessionID) {
	if len(r.b) < len(id) {
		r.fail(errShortEntry)
		return id
	}
	copy(id[:], r.b)
	r.b = r.b[len(id):]
	return id
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail(errShortEntry)
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) node() *tree.Node {
	if r.err != nil {
		return nil
	}
	n, rest, err := tree.DecodeBinary(r.b)
	if err != nil {
		r.fail(err)
		return nil
	}
	r.b = rest
	return n
}

func (r *reader) conditions() []Condition {
	n := r.uvarint()
	if n > uint64(len(r.b))/2 { // a condition takes at least two bytes
		r.fail(errShortEntry)
		return nil
	}
	conditions := make([]Condition, 0, n)
	for range n {
		conditions = append(conditions, Condition{Path: tree.Path(r.string()), Hash: r.string()})
	}
	return conditions
}

func (r *reader) updates() []Update {
	n := r.uvarint()
	if n > uint64(len(r.b)) { // an update takes at least one byte
		r.fail(errShortEntry)
		return nil
	}
	updates := make([]Update, 0, n)
	for range n {
		u := Update{Path: tree.Path(r.string()), Priority: r.byte() != 0}
		u.Value = r.node()
		if r.err != nil {
			return nil
		}
		updates = append(updates, u)
	}
	return updates
}
