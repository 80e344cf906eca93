package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"rebase/cluster/secret"
)

// The cluster API, on the peer port. Everyone who gets there has the cluster's secret, or is a program on this machine.

const (
	joinPath    = "/cluster/join"
	promotePath = "/cluster/promote"
	recordPath  = "/cluster/record"
	removePath  = "/cluster/remove"
	statusPath  = "/cluster/status"
	// apiHeader is on every request. Web pages cannot send it without asking first, and are never told yes.
	apiHeader   = "Rebase-Cluster"
	maxAPIBody  = 1 << 20
	joinTimeout = 30 * time.Second
)

// joinRequest is what a node says that wants to join, or, already a member, has started again and can only speak HTTP.
type joinRequest struct {
	Record  Record `json:"record"`
	Replace string `json:"replace,omitempty"`
}

type joinAnswer struct {
	Cluster     string   `json:"cluster"`
	Meta        []string `json:"meta,omitempty"`        // endpoints of an external etcd
	MetaCluster string   `json:"metaCluster,omitempty"` // the members to start the embedded one with
	Peers       []string `json:"peers"`                 // addresses of database nodes
}

// NodeStatus is what a node says of itself.
type NodeStatus struct {
	Record  Record   `json:"record"`
	Replica *Replica `json:"replica,omitempty"`
	// Heard is how many milliseconds ago it has heard the others.
	Heard map[string]int64 `json:"heard"`
	// Blocked is why its driver does nothing although it should; "" is the rule.
	Blocked string `json:"blocked,omitempty"`
	Stats   Stats  `json:"stats"`
}

// refusal is an error of the API with its HTTP status. Those of 503 are worth another try, at this node or another.
type refusal struct {
	Status int    `json:"-"`
	What   string `json:"error"`
	Advice string `json:"advice,omitempty"`
	// Removed says that the node that asks was removed from the cluster.
	Removed bool `json:"removed,omitempty"`
}

func (e *refusal) Error() string {
	if e.Advice != "" {
		return e.What + ": " + e.Advice
	}
	return e.What
}

// guard keeps web pages out, which a browser on this machine may send anywhere: by their Origin, by the name under which they have found the port
// (DNS rebinding), and by a header that they would have to ask for.
func guard(secured bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(apiHeader) == "" || r.Header.Get("Origin") != "" || !secured && !localHost(r.Host) {
			http.Error(w, "This port is for the nodes of a Rebase cluster.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func localHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// answer is a handler of JSON.
func answer[Q any](f func(context.Context, Q) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if r.Method == http.MethodPost {
			d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAPIBody))
			if err := d.Decode(&q); err != nil {
				writeJSON(w, http.StatusBadRequest, &refusal{What: "malformed request: " + err.Error()})
				return
			}
		}
		v, err := f(r.Context(), q)
		var e *refusal
		switch {
		case err == nil:
			writeJSON(w, http.StatusOK, v)
		case errors.As(err, &e):
			writeJSON(w, e.Status, e)
		default:
			writeJSON(w, http.StatusServiceUnavailable, &refusal{What: err.Error()})
		}
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// transport calls other nodes' peer ports.
type transport struct{ http *http.Transport }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(apiHeader, "1")
	res, err := t.http.RoundTrip(r)
	return res, secret.Explain(err)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t transport) CloseIdleConnections() { t.http.CloseIdleConnections() }

// call asks the node at addr. in is nil for GET.
func (c *Cluster) call(ctx context.Context, addr, path string, in, out any) error {
	method, body := http.MethodGet, io.Reader(nil)
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		method, body = http.MethodPost, strings.NewReader(string(b))
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, body)
	if err != nil {
		return err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 4*maxAPIBody))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		e := &refusal{Status: res.StatusCode}
		if json.Unmarshal(b, e) != nil || e.What == "" {
			e.What = fmt.Sprintf("%s does not answer as a node's peer port does (%s: %s)", addr, res.Status, strings.TrimSpace(string(b[:min(len(b), 200)])))
			e.Advice = "Give the address after that node's --peer, by default 100 above its clients' port."
		}
		return e
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("the answer of %s%s: %w", addr, path, err)
	}
	return nil
}
