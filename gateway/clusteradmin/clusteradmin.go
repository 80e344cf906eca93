package clusteradmin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"rebase/audit"
	"rebase/gateway/adminapi"
)

// The paths that are served here.
const (
	LogPath     = "/_rebase/log"
	ClusterPath = "/_rebase/cluster"
)

// Serves tells whether a path is one of a Handler's.
func Serves(path string) bool {
	for _, p := range []string{LogPath, ClusterPath} {
		if rest, ok := strings.CutPrefix(path, p); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// maxTimeout is that of one request: a reconfiguration waits for a majority of machines, and a drain for clients to leave.
const maxTimeout = 50 * time.Second

// Log is what is told of the log.
type Log struct {
	Version  uint64    `json:"version"` // of the chain
	Segments []Segment `json:"segments"`
	// Applied is the last position in this node's store, Durable the last that a crash of it would not take back.
	Applied uint64 `json:"applied"`
	Durable uint64 `json:"durable"`
	// Tail is the first position not yet written; 0 if that could not be learnt.
	Tail uint64 `json:"tail"`
}

// Lag is how many positions lie between what this node has applied and the tail.
func (l *Log) Lag() uint64 {
	if l.Tail == 0 || l.Applied+1 >= l.Tail {
		return 0
	}
	return l.Tail - 1 - l.Applied
}

// Segment is one loglet of the chain.
type Segment struct {
	ID    uint64 `json:"id"`
	Kind  string `json:"kind"`
	Start uint64 `json:"start"`         // its first position
	End   uint64 `json:"end,omitempty"` // the first beyond it, where the chain has ended it
	// Sealed is what the chain says, Seal what the loglet itself says; they differ while a reconfiguration is under way.
	Sealed bool   `json:"sealed"`
	Seal   bool   `json:"seal"`
	Tail   uint64 `json:"tail,omitempty"`  // as the loglet tells it, in positions of the log
	Error  string `json:"error,omitempty"` // why it told nothing
	// Detail is the loglet's configuration, in a form of its kind's.
	Detail json.RawMessage `json:"detail,omitempty"`
}

// Reconfiguration asks for another loglet.
type Reconfiguration struct {
	Kind      string   `json:"kind"`
	Servers   []string `json:"servers,omitempty"`   // native, striped: names or ids of the nodes whose disks are to hold it
	Sequencer string   `json:"sequencer,omitempty"` // native: the node that orders
	Stripes   int      `json:"stripes,omitempty"`   // striped: how many
	Endpoints []string `json:"endpoints,omitempty"` // etcd, zookeeper: where the engine is
}

// Cluster is what is told of the cluster.
type Cluster struct {
	ID    string `json:"id"`
	Self  string `json:"self"` // name of the node that answers
	Nodes []Node `json:"nodes"`
}

// Node is one node, as the answering one sees it.
type Node struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Role    string `json:"role"`  // "all", or "log" for one that only keeps the log
	State   string `json:"state"` // "up", "draining", "suspected", "left"
	Peer    string `json:"peer"`
	URL     string `json:"url,omitempty"` // where its clients connect
	Version string `json:"version,omitempty"`
	// HeardMillis is how long ago it was last heard of; -1 never. RTTMicros is the last round trip.
	HeardMillis int64  `json:"heardMillis"`
	RTTMicros   int64  `json:"rttMicros,omitempty"`
	LogServer   bool   `json:"logServer"` // its disk holds the active loglet
	Sequencer   bool   `json:"sequencer"` // it orders the active loglet
	MetaLeader  bool   `json:"metaLeader,omitempty"`
	Applied     uint64 `json:"applied,omitempty"`
	// DigestAt and Digest are the last position at which its state was summed up, and the sum. Where two nodes have the same position and
	// other sums, one of them is damaged.
	DigestAt uint64 `json:"digestAt,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Diverged bool   `json:"diverged,omitempty"`
}

// Options are the parts of a Handler.
type Options struct {
	Guard adminapi.Guard
	// Log tells of the log. Reconfigure returns when the log is in the loglet that was asked for.
	Log         func(context.Context) (*Log, error)
	Reconfigure func(context.Context, Reconfiguration) error
	// Cluster tells of the cluster; the others do something to a node, given by name or id. They are nil on a server that is in none.
	Cluster        func(context.Context) (*Cluster, error)
	Drain, Undrain func(ctx context.Context, node string) error
	// Remove refuses, without force, what would cost a part of the log its majority.
	Remove func(ctx context.Context, node string, force bool) error
	Digest func(context.Context) error
	Audit  *audit.Log   // may be nil
	Logger *slog.Logger // nil: none
}

// Handler serves it all. It is safe for concurrent use.
type Handler struct{ o Options }

var _ http.Handler = (*Handler)(nil)

// New returns a Handler.
func New(o Options) *Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{o}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), maxTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, adminapi.MaxBody)
	v, err := h.serve(r)
	if err == nil {
		adminapi.Answer(w, http.StatusOK, v)
		return
	}
	var e *adminapi.Refusal
	switch {
	case errors.As(err, &e):
	case adminapi.TooLong(err) != nil:
		e = adminapi.TooLong(err)
	case errors.Is(err, context.DeadlineExceeded):
		e = &adminapi.Refusal{Code: http.StatusGatewayTimeout, Text: "it did not come about in time, and may yet: look at the status. " + err.Error()}
	default:
		h.o.Logger.Warn("administration of the cluster failed", "method", r.Method, "path", r.URL.Path, "err", err)
		e = &adminapi.Refusal{Code: http.StatusServiceUnavailable, Text: err.Error()}
	}
	adminapi.Refuse(w, e)
}

// serve finds what is asked for, and does it.
func (h *Handler) serve(r *http.Request) (any, error) {
	if err := h.o.Guard.Authorize(r); err != nil {
		return nil, err
	}
	path := strings.TrimSuffix(r.URL.Path, "/")
	switch path {
	case LogPath:
		return adminapi.Methods(r, map[string]func() (any, error){"GET": func() (any, error) { return h.o.Log(r.Context()) }})
	case LogPath + "/reconfigure":
		return adminapi.Methods(r, map[string]func() (any, error){"POST": func() (any, error) { return h.reconfigure(r) }})
	}
	if h.o.Cluster == nil {
		return nil, adminapi.Refusef(http.StatusNotFound, "this server is in no cluster; docs/cluster.md says how to begin one")
	}
	switch path {
	case ClusterPath:
		return adminapi.Methods(r, map[string]func() (any, error){"GET": func() (any, error) { return h.o.Cluster(r.Context()) }})
	case ClusterPath + "/drain":
		return h.toNode(r, audit.NodeDrained, plain(h.o.Drain))
	case ClusterPath + "/undrain":
		return h.toNode(r, audit.NodeUndrained, plain(h.o.Undrain))
	case ClusterPath + "/remove":
		return h.toNode(r, audit.NodeRemoved, h.o.Remove)
	case ClusterPath + "/digest":
		return adminapi.Methods(r, map[string]func() (any, error){"POST": func() (any, error) {
			if err := h.o.Digest(r.Context()); err != nil {
				return nil, err
			}
			return h.o.Cluster(r.Context())
		}})
	}
	return nil, adminapi.Refusef(http.StatusNotFound, "there is nothing at this path; docs/cluster.md has the list")
}

func (h *Handler) reconfigure(r *http.Request) (any, error) {
	var in Reconfiguration
	if err := adminapi.Body(r, &in); err != nil {
		return nil, err
	}
	if in.Kind == "" {
		return nil, adminapi.Refusef(http.StatusBadRequest, "the body must name the kind of the new loglet, as {\"kind\": \"native\"}")
	}
	err := h.o.Reconfigure(r.Context(), in)
	details := map[string]string{"kind": in.Kind}
	if len(in.Servers) > 0 {
		details["servers"] = strings.Join(in.Servers, ",")
	}
	h.record(r, audit.LogReconfigured, "log", err, details)
	if err != nil {
		return nil, err
	}
	return h.o.Log(r.Context())
}

// plain is for what knows no force.
func plain(do func(context.Context, string) error) func(context.Context, string, bool) error {
	return func(ctx context.Context, node string, force bool) error {
		if force {
			return adminapi.Refusef(http.StatusBadRequest, "\"force\" is for removing a node")
		}
		return do(ctx, node)
	}
}

// toNode does something to the node that the body names.
func (h *Handler) toNode(r *http.Request, act audit.Act, do func(context.Context, string, bool) error) (any, error) {
	return adminapi.Methods(r, map[string]func() (any, error){"POST": func() (any, error) {
		var in struct {
			Node  string `json:"node"`
			Force bool   `json:"force"`
		}
		if err := adminapi.Body(r, &in); err != nil {
			return nil, err
		}
		if in.Node == "" {
			return nil, adminapi.Refusef(http.StatusBadRequest, "the body must name a node, as {\"node\": \"…\"}")
		}
		err := do(r.Context(), in.Node, in.Force)
		h.record(r, act, in.Node, err, nil)
		if err != nil {
			return nil, err
		}
		return h.o.Cluster(r.Context())
	}})
}

// record writes an act to the journal.
func (h *Handler) record(r *http.Request, act audit.Act, target string, err error, details map[string]string) {
	e := audit.Event{Act: act, Who: "operator", From: r.RemoteAddr, Target: target, Details: details}
	if err != nil {
		e.Outcome, e.Reason = audit.Failed, err.Error()
	}
	_ = h.o.Audit.Record(e) // what cannot be recorded is logged by the journal
}
