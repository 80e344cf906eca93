package zookeeper

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// The part of ZooKeeper's client protocol that a log needs. It is serialised with Jute: big-endian integers, and strings, buffers and
// vectors with an int32 of length before them (zookeeper.jute in ZooKeeper's source).

// Operations.
const (
	opCreate      = 1
	opDelete      = 2
	opExists      = 3
	opGetData     = 4
	opSetData     = 5
	opGetChildren = 8
	opSync        = 9
	opPing        = 11
	opCheck       = 13
	opMulti       = 14
	opClose       = -11
	opAuth        = 100
	opError       = -1
)

// Request numbers with a meaning of their own.
const (
	xidEvent = -1
	xidPing  = -2
	xidAuth  = -4
)

// anyVersion in a setData, delete or check lets it pass whatever the version is.
const anyVersion = -1

// code is an error that a server has answered: the request has had no effect, but for those of lost().
type code int32

const (
	codeConnectionLoss   code = -4
	codeOperationTimeout code = -7
	codeNoNode           code = -101
	codeNoAuth           code = -102
	codeBadVersion       code = -103
	codeNodeExists       code = -110
	codeNotEmpty         code = -111
	codeSessionExpired   code = -112
	codeInvalidACL       code = -114
	codeAuthFailed       code = -115
	codeSessionMoved     code = -118
)

func (c code) Error() string {
	switch c {
	case codeConnectionLoss:
		return "ZooKeeper: connection loss"
	case codeOperationTimeout:
		return "ZooKeeper: operation timeout"
	case codeNoNode:
		return "ZooKeeper: no such node"
	case codeNoAuth:
		return "ZooKeeper: not allowed by the node's access control list; check user and password"
	case codeBadVersion:
		return "ZooKeeper: version conflict"
	case codeNodeExists:
		return "ZooKeeper: node exists"
	case codeNotEmpty:
		return "ZooKeeper: node has children"
	case codeSessionExpired:
		return "ZooKeeper: session expired"
	case codeInvalidACL:
		return "ZooKeeper: invalid access control list"
	case codeAuthFailed:
		return "ZooKeeper: authentication failed; check user and password"
	case codeSessionMoved:
		return "ZooKeeper: session moved"
	}
	return fmt.Sprintf("ZooKeeper: error %d", int32(c))
}

// lost tells whether a request of which this has become may yet have, or have had, an effect.
func (c code) lost() bool {
	switch c {
	case codeConnectionLoss, codeOperationTimeout, codeSessionExpired, codeSessionMoved:
		return true
	}
	return false
}

var errMalformed = errors.New("ZooKeeper: malformed packet")

// acl is an access control list of one entry.
type acl struct{ scheme, id string }

// permAll are all permissions: read, write, create, delete, admin.
const permAll = 0x1f

// anyone leaves nodes open to every client of the ensemble.
var anyone = acl{"world", "anyone"}

// digest is the list that lets in only who knows the password.
func digest(user, password string) acl {
	sum := sha1.Sum([]byte(user + ":" + password))
	return acl{"digest", user + ":" + base64.StdEncoding.EncodeToString(sum[:])}
}

type buffer []byte

func (b *buffer) int32(v int32)   { *b = binary.BigEndian.AppendUint32(*b, uint32(v)) }
func (b *buffer) int64(v int64)   { *b = binary.BigEndian.AppendUint64(*b, uint64(v)) }
func (b *buffer) string(v string) { b.int32(int32(len(v))); *b = append(*b, v...) }
func (b *buffer) bytes(v []byte)  { b.int32(int32(len(v))); *b = append(*b, v...) }
func (b *buffer) bool(v bool) {
	if v {
		*b = append(*b, 1)
	} else {
		*b = append(*b, 0)
	}
}

// request is something that can be asked of a server.
type request interface {
	op() int32
	encode(b *buffer)
}

type (
	createNode struct {
		path string
		data []byte
		acl  acl
	}
	deleteNode struct {
		path    string
		version int32
	}
	setData struct {
		path    string
		data    []byte
		version int32
	}
	check struct {
		path    string
		version int32
	}
	getData struct {
		path  string
		watch bool
	}
	exists      struct{ path string }
	getChildren struct{ path string }
	multi       []request
	auth        struct {
		scheme string
		data   []byte
	}
	ping         struct{}
	closeSession struct{}
)

func (createNode) op() int32   { return opCreate }
func (deleteNode) op() int32   { return opDelete }
func (setData) op() int32      { return opSetData }
func (check) op() int32        { return opCheck }
func (getData) op() int32      { return opGetData }
func (exists) op() int32       { return opExists }
func (getChildren) op() int32  { return opGetChildren }
func (multi) op() int32        { return opMulti }
func (auth) op() int32         { return opAuth }
func (ping) op() int32         { return opPing }
func (closeSession) op() int32 { return opClose }

func (r createNode) encode(b *buffer) {
	b.string(r.path)
	b.bytes(r.data)
	b.int32(1)
	b.int32(permAll)
	b.string(r.acl.scheme)
	b.string(r.acl.id)
	b.int32(0) // neither ephemeral nor sequential
}

func (r deleteNode) encode(b *buffer)  { b.string(r.path); b.int32(r.version) }
func (r setData) encode(b *buffer)     { b.string(r.path); b.bytes(r.data); b.int32(r.version) }
func (r check) encode(b *buffer)       { b.string(r.path); b.int32(r.version) }
func (r getData) encode(b *buffer)     { b.string(r.path); b.bool(r.watch) }
func (r exists) encode(b *buffer)      { b.string(r.path); b.bool(false) }
func (r getChildren) encode(b *buffer) { b.string(r.path); b.bool(false) }
func (r auth) encode(b *buffer)        { b.int32(0); b.string(r.scheme); b.bytes(r.data) }
func (ping) encode(*buffer)            {}
func (closeSession) encode(*buffer)    {}

func (r multi) encode(b *buffer) {
	for _, o := range r {
		b.int32(o.op())
		b.bool(false)
		b.int32(-1)
		o.encode(b)
	}
	b.int32(-1)
	b.bool(true)
	b.int32(-1)
}

// reader takes a packet apart. After the first thing that is not there everything is zero, and bad is set.
type reader struct {
	p   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.p) {
		r.bad = true
		return nil
	}
	v := r.p[:n:n]
	r.p = r.p[n:]
	return v
}

func (r *reader) int32() int32 {
	if v := r.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (r *reader) int64() int64 {
	if v := r.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

func (r *reader) bool() bool {
	v := r.take(1)
	return v != nil && v[0] != 0
}

// bytes aliases the packet. A length of -1 stands for none.
func (r *reader) bytes() []byte {
	n := r.int32()
	if n == -1 {
		return nil
	}
	return r.take(int(n))
}

func (r *reader) err() error {
	if r.bad {
		return errMalformed
	}
	return nil
}

// stat takes a node's Stat and returns its data version.
func (r *reader) stat() (version int32) {
	v := r.take(68)
	if v == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(v[32:]))
}

// failure is the error of a multi: which of its requests has failed, and why. Nothing of it was done.
type failure struct {
	index int
	code  code
}

func (f *failure) Error() string {
	return fmt.Sprintf("request %d of a transaction: %v", f.index, f.code)
}
func (f *failure) Unwrap() error { return f.code }

// decodeMulti reads the answer to a multi: nil, or the first failure. The requests after the one that failed are answered with errors that say only
// that, those before with "no error".
func decodeMulti(p []byte) error {
	r := reader{p: p}
	var failed *failure
	for i := 0; ; i++ {
		kind := r.int32()
		done := r.bool()
		r.int32()
		if r.bad {
			return errMalformed
		}
		if done {
			break
		}
		switch kind {
		case opError:
			if c := code(r.int32()); c != 0 && failed == nil {
				failed = &failure{i, c}
			}
		case opCreate:
			r.bytes()
		case opSetData:
			r.stat()
		case opCheck, opDelete:
		default:
			return errMalformed
		}
	}
	if failed != nil {
		return failed
	}
	return r.err()
}
