package transfer

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"rebase/jsonscan"
	"rebase/tree"
)

// fake is a server of the REST API's part that transfers use, over one tree in
// memory. It knows no mercy: an update that gives a priority to a node that does not
// exist is an error, and in a replacing import that would hide a wrong order.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	root    *tree.Node
	writes  int
	bodies  []string                         // of updates
	failing func(r *http.Request, n int) int // status to answer instead, 0: none; n counts writes
	auth    []string
}

func newFake(t *testing.T) *fake {
	f := &fake{}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fake) target(t *testing.T, path string) Target {
	to, err := ParseURL(f.URL + path + "?ns=app")
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func (f *fake) tree() *tree.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.root
}

// fail sets what decides which requests fail; nil is none.
func (f *fake) fail(failing func(r *http.Request, n int) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = failing
}

// restart is fail with the writes counted from 0 again.
func (f *fake) restart(failing func(r *http.Request, n int) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes, f.failing = 0, failing
}

func (f *fake) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.auth = append(f.auth, r.Header.Get("Authorization"))
	path, err := tree.ParsePath(strings.TrimSuffix(r.URL.Path, ".json"))
	if err != nil || r.URL.Query().Get("ns") != "app" {
		http.Error(w, `{"error":"bad request"}`, http.StatusBadRequest)
		return
	}
	if r.Method != http.MethodGet {
		f.writes++
	}
	if f.failing != nil {
		if status := f.failing(r, f.writes); status != 0 {
			http.Error(w, `{"error":"as the test wants"}`, status)
			return
		}
	}
	switch r.Method {
	case http.MethodGet:
		w.Write(tree.AppendExport(nil, f.root.At(path)))
		return
	case http.MethodDelete:
		f.root = f.root.Set(path, nil)
	case http.MethodPut:
		n, err := tree.ParseJSON(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		f.root = f.root.Set(path, n)
	case http.MethodPatch:
		f.bodies = append(f.bodies, string(body))
		if err := f.patch(path, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// patch applies an update: values first, then the priorities of nodes that exist.
func (f *fake) patch(at tree.Path, body []byte) error {
	type member struct {
		path tree.Path
		node *tree.Node
	}
	var priorities []member
	s := jsonscan.New(body)
	err := s.Object(func(key string) error {
		p, priority, err := tree.ParseWritePath(key)
		if err != nil {
			return err
		}
		n, err := tree.ScanValue(s)
		if err != nil {
			return err
		}
		if priority {
			priorities = append(priorities, member{at.Join(p), n})
			return nil
		}
		if p.IsRoot() {
			return errors.New("an update of the node itself")
		}
		f.root = f.root.Set(at.Join(p), n)
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range priorities {
		if f.root.At(m.path).IsNull() {
			return fmt.Errorf("the priority of %s, which does not exist", m.path)
		}
		f.root = f.root.SetPriority(m.path, m.node)
	}
	return s.End()
}
