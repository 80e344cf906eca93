package rtdb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/gobwas/ws"

	"rebase/auth"
	"rebase/db"
	"rebase/jsonscan"
	"rebase/query"
	"rebase/tree"
)

// machine is the protocol of one session: it takes messages and says what they ask for. It does no input or output, knows
// no clock, and is not safe for concurrent use.
type machine struct {
	ns      string
	out     outbox
	answers answers
	live    liveness
	upgrade upgradePhase
}

// upgradePhase is how far the switch from long polling to a WebSocket has come. The client opens a second connection, proves with
// two pings that it works, and then says on the old one that nothing more will come there and on the new one that it continues
// here. The two can arrive in either order.
type upgradePhase uint8

const (
	notUpgrading upgradePhase = iota
	offered                   // the second connection is there
	newReady                  // "a" has arrived on the new one, "n" not yet on the old one
	oldEnded                  // "n" has arrived on the old one, "a" not yet on the new one
	upgraded
)

// line is the connection on which a message came.
type line uint8

const (
	primary line = iota
	secondary
)

// effect is what a message asks for.
type effect struct {
	kind effectKind
	slot uint64 // of the request to be answered

	status  string // answer
	payload []byte

	op    *db.Op    // propose
	path  tree.Path // listen, unlisten, get
	query query.Query
	tag   *int64
	hash  *string
	comp  *compound
	cred  auth.Credential // authenticate
	token string          // checkApp

	reply frame // say: goes out on the line that the message came on, if that is the secondary
}

type effectKind uint8

const (
	nothing      effectKind = iota
	answer                  // the request is answered without more ado
	propose                 // to the database
	listen                  // send data, answer, go on sending changes
	unlisten                // and answer
	get                     // read once
	authenticate            // then answer
	forget                  // the credential
	checkApp                // then answer
	forgetApp               // that the app was checked
	say                     // reply on the secondary line
	endPrimary              // flush the old transport, end it, send on the new one
	awaitOld                // read nothing on the new line before the old one has ended
)

// compound is what a client with a large cache says about it: ranges of leaves and their hashes.
type compound struct {
	posts  []tree.Path
	hashes []string
}

// errFatal ends the connection.
func fatalf(format string, args ...any) error {
	return closef(ws.StatusPolicyViolation, format, args...)
}

// receive takes one message. An error ends the connection.
func (m *machine) receive(from line, text []byte) (effect, error) {
	msg, err := parseMessage(text)
	if err != nil {
		return effect{}, closef(ws.StatusInvalidFramePayloadData, "a message cannot be read: %v", err)
	}
	switch msg.typ {
	case "c":
		return m.control(from, msg.control)
	case "d":
		if from == secondary && m.upgrade != upgraded {
			return effect{}, fatalf("a request came on a connection that was not switched to")
		}
		return m.request(&msg), nil
	}
	return effect{}, nil // a later protocol may know more types
}

// oversized takes a message that was too long to be kept; only SDKs' writes are that long.
func (m *machine) oversized(from line, head, tail []byte) (effect, error) {
	id, ok := edgesID(head, tail)
	if !ok || from == secondary {
		return effect{}, closef(ws.StatusMessageTooBig, "a message is too long, and is no request that could be refused")
	}
	return effect{kind: answer, slot: m.answers.open(id), status: errWriteBig.status, payload: tree.AppendJSONString(nil, errWriteBig.reason)}, nil
}

func (m *machine) control(from line, typ string) (effect, error) {
	switch typ {
	case "p":
		if from == secondary && m.upgrade != upgraded {
			return effect{kind: say, reply: pongFrame}, nil
		}
		m.out.control(pongFrame)
	case "a":
		if from == primary {
			break
		}
		switch m.upgrade {
		case offered:
			m.upgrade = newReady
			return effect{kind: awaitOld}, nil
		case oldEnded:
			m.upgrade = upgraded
		}
	case "n":
		if from == secondary {
			break
		}
		switch m.upgrade {
		case offered:
			m.upgrade = oldEnded
			return effect{kind: endPrimary}, nil
		case newReady:
			m.upgrade = upgraded
			return effect{kind: endPrimary}, nil
		}
	}
	return effect{}, nil
}

// offer begins a switch to a second connection. It reports whether there can be one, and what to say on it first.
func (m *machine) offer() (hello frame, ok bool) {
	if m.upgrade != notUpgrading {
		return nil, false
	}
	m.upgrade = offered
	return controlFrame("a", null), true
}

// secondaryLost says that the second connection is gone. It reports whether the session has to end with it.
func (m *machine) secondaryLost() (end bool) {
	if m.upgrade == oldEnded || m.upgrade == upgraded {
		return true
	}
	m.upgrade = notUpgrading
	return false
}

// fill answers a request.
func (m *machine) fill(slot uint64, status string, payload []byte, seq uint64) {
	m.answers.fill(slot, answerFrame(m.answers.id(slot), status, payload), seq, m.out.answer)
}

// refusal is an answer with an error.
type refusal struct{ status, reason string }

func (r *refusal) Error() string { return r.status + ": " + r.reason }

var (
	errDenied   = &refusal{"permission_denied", "Permission denied"}
	errWriteBig = &refusal{"write_too_big", "Data to write exceeds the maximum size that can be modified with a single request."}
)

// request finds out what a request asks for. Whatever it is, it gets a slot, and so an answer.
func (m *machine) request(msg *message) effect {
	e, err := m.interpret(msg)
	if err != nil {
		status, reason := statusOf(err)
		e = effect{kind: answer, status: status, payload: tree.AppendJSONString(nil, reason)}
	}
	e.slot = m.answers.open(msg.id)
	return e
}

func (m *machine) interpret(msg *message) (effect, error) {
	b := &msg.body
	if b.bad != "" {
		return effect{}, &refusal{"failure", fmt.Sprintf("member %q of the request has the wrong type", b.bad)}
	}
	switch msg.action {
	case "p", "m", "o", "om", "oc":
		op, err := m.write(msg.action, b)
		return effect{kind: propose, op: op}, err
	case "q", "l", "n", "g":
		return m.read(msg.action, b)
	case "s":
		return effect{kind: answer, status: "ok", payload: emptyText}, nil
	case "appcheck":
		return effect{kind: checkApp, token: b.token}, nil
	case "unappcheck", "unappeck": // the last one is how the JavaScript SDK spells it
		return effect{kind: forgetApp}, nil
	case "auth", "gauth":
		c := auth.Credential{NS: m.ns, Token: b.cred, Unauthenticated: b.noauth}
		if msg.action == "gauth" {
			c.Scheme = auth.Service
		}
		if b.authvar != nil {
			c.Override = append([]byte(nil), b.authvar...)
		}
		return effect{kind: authenticate, cred: c}, nil
	case "unauth":
		return effect{kind: forget}, nil
	}
	return effect{}, &refusal{"failure", fmt.Sprintf("unknown action %q", msg.action)}
}

// write decodes the operations.
func (m *machine) write(action string, b *body) (*db.Op, error) {
	if !b.hasPath {
		return nil, &refusal{"failure", "the request has no path"}
	}
	if isInfo(b.path) {
		return nil, errDenied
	}
	if len(b.data) > tree.MaxWriteSDK {
		return nil, errWriteBig
	}
	p, priority, err := tree.ParseWritePath(b.path)
	if err != nil {
		return nil, err
	}
	op := &db.Op{NS: m.ns, Path: p, Priority: priority}
	if b.hasHash {
		op.Hash = &b.hash
	}
	switch action {
	case "p", "o":
		if b.data == nil {
			return nil, &refusal{"failure", "the request has no data"}
		}
		op.Kind = db.OpSet
		if action == "o" {
			op.Kind = db.OpDisconnectSet
		}
		op.Value, err = parseValue(b.data)
	case "m", "om":
		if priority {
			return nil, &refusal{"failure", "a priority cannot be merged into"}
		}
		op.Kind = db.OpMerge
		if action == "om" {
			op.Kind = db.OpDisconnectMerge
		}
		op.Updates, err = parseUpdates(b.data)
	case "oc":
		op.Kind = db.OpDisconnectCancel
	}
	if err != nil {
		return nil, err
	}
	if (op.Kind == db.OpSet || op.Kind == db.OpMerge) && op.Hash == nil {
		op.Fingerprint = fingerprint(action, b.path, b.data)
	}
	return op, nil
}

// fingerprint identifies a write by its text, which an SDK sends unchanged when it sends it again.
func fingerprint(action, path string, data []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	d.WriteString(action)
	d.WriteString("\x00")
	d.WriteString(path)
	d.WriteString("\x00")
	d.Write(data)
	return max(d.Sum64(), 1) // 0 stands for none
}

func parseValue(data []byte) (*tree.Node, error) {
	s := jsonscan.New(data)
	v, err := tree.ScanValue(s)
	if err != nil {
		return nil, err
	}
	return v, s.End()
}

// parseUpdates decodes an object of relative paths.
func parseUpdates(data []byte) ([]db.Update, error) {
	s := jsonscan.New(data)
	if s.Peek() != '{' {
		return nil, &refusal{"failure", "an update must be an object"}
	}
	var updates []db.Update
	err := s.Object(func(key string) error {
		if isInfo(key) {
			return errDenied
		}
		p, priority, err := tree.ParseWritePath(key)
		if err != nil {
			return err
		}
		v, err := tree.ScanValue(s)
		updates = append(updates, db.Update{Path: p, Priority: priority, Value: v})
		return err
	})
	return updates, err
}

// read decodes listens and gets.
func (m *machine) read(action string, b *body) (effect, error) {
	if !b.hasPath {
		return effect{}, &refusal{"failure", "the request has no path"}
	}
	p, err := tree.ParsePath(b.path)
	if err != nil {
		return effect{}, err
	}
	e := effect{path: p}
	if b.query != nil {
		if e.query, err = query.ParseWire(jsonscan.New(b.query)); err != nil {
			return effect{}, err
		}
	}
	if b.hasTag {
		e.tag = &b.tag
	}
	switch action {
	case "g":
		e.kind = get
	case "n":
		e.kind = unlisten
	default:
		e.kind = listen
		if b.hasHash {
			e.hash = &b.hash
		}
		if b.compound != nil {
			e.comp = parseCompound(b.compound)
		}
	}
	return e, nil
}

// parseCompound returns nil for what cannot be used; the client then gets the data in full.
func parseCompound(text []byte) *compound {
	var c compound
	s := jsonscan.New(text)
	err := s.Object(func(key string) error {
		if (key != "ps" && key != "hs") || s.Peek() != '[' {
			return s.Skip()
		}
		return s.Array(func(int) error {
			v, err := s.String()
			if err != nil {
				return err
			}
			if key == "hs" {
				c.hashes = append(c.hashes, v)
				return nil
			}
			p, err := tree.ParsePath(v)
			if err != nil {
				return err
			}
			if n := len(c.posts); n > 0 && tree.ComparePaths(c.posts[n-1], p) >= 0 {
				return errEnvelope
			}
			c.posts = append(c.posts, p)
			return nil
		})
	})
	if err != nil || len(c.hashes) != len(c.posts)+1 {
		return nil
	}
	return &c
}

// leafRange is a part of the data that the client's cache lacks.
type leafRange struct {
	from, to *tree.Path
	merge    *tree.Node
}

// missing compares with the data and returns the ranges that differ.
func (c *compound) missing(n *tree.Node) []leafRange {
	var out []leafRange
	for i, h := range tree.CompoundHash(n, c.posts) {
		if h == c.hashes[i] {
			continue
		}
		var r leafRange
		if i > 0 {
			r.from = &c.posts[i-1]
		}
		if i < len(c.posts) {
			r.to = &c.posts[i]
		}
		r.merge = tree.RangeMerge(n, r.from, r.to)
		out = append(out, r)
	}
	return out
}

// isInfo says that a path is in the part of the tree that only exists in clients.
func isInfo(path string) bool {
	first, _, _ := strings.Cut(strings.TrimLeft(path, "/"), "/")
	return first == ".info"
}

// statusOf says how an error is told to a client. Statuses that the SDKs know are used where they fit.
func statusOf(err error) (status, reason string) {
	var r *refusal
	var rejected *auth.Error
	var limit *tree.LimitError
	switch {
	case errors.As(err, &r):
		return r.status, r.reason
	case errors.As(err, &rejected):
		return rejected.Status, rejected.Reason
	case errors.Is(err, db.ErrDenied):
		return errDenied.status, errDenied.reason
	case errors.Is(err, db.ErrStale):
		return "datastale", "Transaction hash does not match"
	case errors.As(err, &limit) && limit.Limit == "size":
		return "write_too_big", errWriteBig.reason
	}
	return "failure", err.Error()
}
