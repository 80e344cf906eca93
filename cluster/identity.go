package cluster

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// StartError says why a node cannot take part, and what to do.
type StartError struct {
	What   string // what is wrong
	Advice string // what to do, in a sentence or two; may be empty
	Err    error  // the cause, or nil
}

func (e *StartError) Error() string {
	s := e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Advice != "" {
		s += "\n" + e.Advice
	}
	return s
}

func (e *StartError) Unwrap() error { return e.Err }

const (
	identityFile   = "node.json"
	identityFormat = 1
)

// identity is what node.json holds: who this node is, across restarts.
type identity struct {
	Format int    `json:"format"`
	ID     NodeID `json:"id"`
	Name   string `json:"name"`
	Role   Role   `json:"role"`
	// Starts counts the starts, and makes incarnations rise.
	Starts uint32 `json:"starts"`
	// Cluster is the id of the cluster; "" before the node belongs to one.
	Cluster string `json:"cluster,omitempty"`
	// Meta are the endpoints of an external etcd; none: it is embedded (or the node is only a log server).
	Meta []string `json:"meta,omitempty"`
	// MetaCluster is etcd's initial cluster for a member that has joined ("" for the first): needed until it has started once.
	MetaCluster string `json:"metaCluster,omitempty"`
	// Secured says that the cluster has a secret: without its file the node does not start any more.
	Secured bool `json:"secured,omitempty"`
	// Contacts are peer addresses by which others were reached. A log server registers with them.
	Contacts []string `json:"contacts,omitempty"`
}

// Belongs says whether the node of a data folder belongs to a cluster, and what it is for there. fs is nil for the operating system's.
func Belongs(dir string, fs vfs.FS) (role Role, ok bool, err error) {
	if fs == nil {
		fs = vfs.Default
	}
	id, err := loadIdentity(fs, dir)
	if id == nil || id.Cluster == "" {
		return "", false, err
	}
	return id.Role, true, nil
}

// loadIdentity returns nil if there is none.
func loadIdentity(fs vfs.FS, dir string) (*identity, error) {
	path := fs.PathJoin(dir, identityFile)
	b, err := readFile(fs, path)
	if oserror.IsNotExist(err) {
		return nil, nil
	}
	var id identity
	if err == nil {
		err = json.Unmarshal(b, &id)
	}
	if err == nil && id.Format != identityFormat {
		return nil, &StartError{What: fmt.Sprintf("%s has format %d, and this program knows %d", path, id.Format, identityFormat), Advice: "Use the program that wrote it, or a newer one."}
	}
	if err == nil && (id.ID == 0 || id.Role != RoleAll && id.Role != RoleLog) {
		err = errors.New("it says nothing of a node")
	}
	if err != nil {
		return nil, &StartError{What: path + " cannot be read", Err: err,
			Advice: "It tells which node of the cluster this folder is. Restore the file from a backup; or join with an empty folder, with --replace and this node's name."}
	}
	return &id, nil
}

func (id *identity) store(fs vfs.FS, dir string) error {
	b, err := json.MarshalIndent(id, "", "  ")
	if err == nil {
		err = writeFile(fs, dir, identityFile, append(b, '\n'))
	}
	if err != nil {
		return &StartError{What: fmt.Sprintf("%s cannot be written", fs.PathJoin(dir, identityFile)), Err: err}
	}
	return nil
}

// begin makes the identity of this start out of the stored one, nil for a new node, and of what the operator says.
func begin(stored *identity, o Options) (*identity, error) {
	id := stored
	if id == nil {
		id = &identity{Format: identityFormat, ID: NodeID(random64()), Role: RoleAll}
		if o.Role != "" {
			id.Role = o.Role
		}
	}
	if id.Role != RoleAll && id.Role != RoleLog {
		return nil, &StartError{What: fmt.Sprintf("there is no role %q", o.Role), Advice: "A node's role is all or log."}
	}
	if id.Cluster == "" {
		if id.Role == RoleLog && o.Begin {
			return nil, &StartError{What: "a log server cannot begin a cluster", Advice: "Begin it on a node with --role all, and let the log server --join it."}
		}
		if !o.Begin && len(o.Join) == 0 {
			return nil, &StartError{What: "this node belongs to no cluster", Advice: "Give --cluster to begin one, or --join and the peer address of a node to join one."}
		}
		if o.Begin && len(o.Join) > 0 {
			return nil, &StartError{What: "a node cannot both begin a cluster and join one", Advice: "Give either --cluster or --join."}
		}
		if id.Role != o.Role && o.Role != "" {
			id.Role = o.Role
		}
		if o.Replace != "" && len(o.Join) == 0 {
			return nil, &StartError{What: "--replace is for a node that joins", Advice: "Give --join as well."}
		}
	} else {
		if o.Role != "" && o.Role != id.Role {
			return nil, &StartError{What: fmt.Sprintf("this node has the role %s, not %s", id.Role, o.Role), Advice: "Remove it from the cluster, and join with an empty folder in the other role."}
		}
		if o.Replace != "" && o.Replace != id.Name {
			return nil, &StartError{What: "this node belongs to the cluster already, and cannot replace another one", Advice: "Join with an empty folder to replace " + o.Replace + "."}
		}
		slices.Sort(o.Meta)
		if len(o.Meta) > 0 && id.Role == RoleAll {
			if len(id.Meta) == 0 {
				return nil, &StartError{What: "this cluster keeps its metadata in the etcd embedded in its nodes, not in an external one", Advice: "Leave out --meta."}
			}
			id.Meta = o.Meta // endpoints may move
		}
	}
	if o.Name != "" {
		if err := checkName(o.Name); err != nil {
			return nil, err
		}
		id.Name = o.Name
	}
	id.Starts++
	return id, nil
}

// checkName keeps names apart from numbers, and to what fits in a line of a table and in a command.
func checkName(name string) error {
	ok := len(name) <= 64 && name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`,/"'\`, r) })
	if b, err := hex.DecodeString(name); ok && err == nil && len(b) == 8 {
		ok = false
	}
	if !ok {
		return &StartError{What: fmt.Sprintf("%q cannot be the name of a node", name), Advice: "A name has up to 64 printable ASCII characters, without spaces, commas, slashes and quotes, and does not look like a node's number (16 hexadecimal digits)."}
	}
	return nil
}

// incarnation is that of this start: greater than those before, and never the same twice even if the folder was put back to an earlier state.
func (id *identity) incarnation() uint64 {
	return uint64(id.Starts)<<32 | random64()>>32 | 1
}

func random64() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails
		if n := binary.LittleEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}
