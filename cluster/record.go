package cluster

import (
	"fmt"
	"strconv"
	"time"
)

// NodeID is the number of a node: random, never 0, kept in its data folder. It is written as 16 hexadecimal digits.
type NodeID uint64

func (id NodeID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// MarshalText writes 16 digits.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote. An empty text is 0, no node.
func (id *NodeID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = 0
		return nil
	}
	n, err := strconv.ParseUint(string(b), 16, 64)
	if err != nil || len(b) != 16 {
		return fmt.Errorf("%q is not the number of a node, which has 16 hexadecimal digits", b)
	}
	*id = NodeID(n)
	return nil
}

// Role says what a node is for.
type Role string

const (
	// RoleAll: a replica of the database that clients connect to, a log server, and, unless the cluster has an external one, a member of etcd.
	RoleAll Role = "all"
	// RoleLog: only a log server.
	RoleLog Role = "log"
)

// State is what operators want of a node. Whether it is alive is another matter (Member.Alive).
type State string

const (
	// Up: it takes part.
	Up State = "up"
	// Draining: it moves its clients and its part in the log to others.
	Draining State = "draining"
	// Left: it was removed, for good. The record stays, so that a removed node that is started again is told.
	Left State = "left"
)

// Record is what the registry holds of a node.
type Record struct {
	ID   NodeID `json:"id"`
	Name string `json:"name"`
	// Peer is the address of the peer port, MetaPeer that of the embedded etcd ("" without one), both as others dial them.
	Peer     string `json:"peer"`
	MetaPeer string `json:"metaPeer,omitempty"`
	// ClientURL is where clients reach the node; "" for a log server.
	ClientURL string `json:"clientURL,omitempty"`
	Role      Role   `json:"role"`
	// Disk is the identity of the log server's storage.
	Disk NodeID `json:"disk"`
	// Incarnation tells the starts of the node apart. It rises.
	Incarnation uint64    `json:"incarnation"`
	Version     string    `json:"version,omitempty"`
	State       State     `json:"state"`
	Since       time.Time `json:"since"` // of the last change
}

// Database says that the node is a replica, and may carry a sequencer.
func (r Record) Database() bool { return r.Role == RoleAll }

// Member is a node of the cluster as this one sees it.
type Member struct {
	Record
	// Self says that it is this node.
	Self bool
	// Alive says that it is not suspected. A node suspects others after a silence of Options.SuspectAfter, and trusts them again a while after they are
	// heard again.
	Alive bool
	// Heard is when it was last heard, zero if never; RTT is how long the last answer took.
	Heard time.Time
	RTT   time.Duration
	// MetaLeader says that it leads the embedded etcd.
	MetaLeader bool
}

// Layout is where operators want the native log to be. The zero value leaves it to the driver.
type Layout struct {
	// Servers are the log servers: exactly these, as long as they are alive. Empty: as many as Options.LogServers, chosen by the driver.
	Servers []NodeID `json:"servers,omitempty"`
	// Sequencer is the node of the sequencer; 0 leaves it open.
	Sequencer NodeID `json:"sequencer,omitempty"`
	// Count is how many log servers to aim at where Servers is empty; 0 is Options.LogServers.
	Count int `json:"count,omitempty"`
}
