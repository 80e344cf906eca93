package elle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/elle"
	"rebase/elle/drive"
	"rebase/elle/history"
	"rebase/elle/model"
	"rebase/test/harness"
)

// broken is a server that breaks promises: a proxy before one that keeps them.
type broken struct {
	url string
	how string
	mu  sync.Mutex
	rng *rand.Rand
	old map[string]*reply // by URL: an answer from the past
}

// reply is what the server behind answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (b *broken) chance(percent int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rng.IntN(100) < percent
}

func (b *broken) forward(method, at string, header http.Header, body []byte) (*reply, error) {
	r, err := http.NewRequest(method, b.url+at, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = header.Clone()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return &reply{res.StatusCode, res.Header, body}, err
}

// ServeHTTP implements http.Handler.
func (b *broken) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	at := r.URL.RequestURI()
	done := &reply{status: http.StatusNoContent}
	var answer *reply
	switch {
	case err != nil:
	case b.how == "reads the past" && r.Method == http.MethodGet:
		answer, err = b.past(at, r.Header)
	case b.how == "forgets" && r.Method != http.MethodGet && b.chance(10):
		answer = done
	case b.how == "answers too early" && r.Method != http.MethodGet && r.Header.Get("If-Match") == "" && b.chance(20):
		answer = done
		header := r.Header.Clone()
		time.AfterFunc(30*time.Millisecond, func() { b.forward(r.Method, at, header, body) })
	case b.how == "tears" && r.Method == http.MethodPatch:
		answer, err = b.tear(r, body)
	case b.how == "ignores conditions":
		r.Header.Del("If-Match")
		fallthrough
	default:
		answer, err = b.forward(r.Method, at, r.Header, body)
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.status)
	w.Write(answer.body)
}

// past answers a read, now and then with what it was a while ago.
func (b *broken) past(at string, header http.Header) (*reply, error) {
	b.mu.Lock()
	old := b.old[at]
	stale := old != nil && b.rng.IntN(100) < 25
	b.mu.Unlock()
	if stale {
		return old, nil
	}
	now, err := b.forward(http.MethodGet, at, header, nil)
	if err == nil && b.chance(20) {
		b.mu.Lock()
		b.old[at] = now
		b.mu.Unlock()
	}
	return now, err
}

// tear writes the paths of an update one after the other.
func (b *broken) tear(r *http.Request, body []byte) (*reply, error) {
	var paths map[string]json.RawMessage
	if err := json.Unmarshal(body, &paths); err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(r.URL.Path, ".json")
	answer := &reply{status: http.StatusNoContent}
	for path, value := range paths {
		var err error
		if answer, err = b.forward(http.MethodPut, fmt.Sprintf("%s/%s.json?%s", base, path, r.URL.RawQuery), r.Header, value); err != nil {
			return nil, err
		}
		time.Sleep(time.Millisecond)
	}
	return answer, nil
}

// TestBrokenServersAreCaught shows that the tests beside it could fail.
func TestBrokenServersAreCaught(t *testing.T) {
	s := harness.Seed(t)
	server := harness.MustStart(t, filepath.Join(t.TempDir(), "data"))
	for _, c := range []struct {
		how       string
		workloads []string
	}{
		{"keeps its promises", []string{"rw-register", "set"}}, // the proxy itself does no harm
		{"reads the past", drive.Workloads},
		{"forgets", drive.Workloads},
		{"answers too early", []string{"rw-register", "set", "counter"}},
		{"tears", []string{"rw-register"}},
		{"ignores conditions", []string{"list-append"}},
	} {
		for _, workload := range c.workloads {
			t.Run(strings.ReplaceAll(c.how, " ", "-")+"/"+workload, func(t *testing.T) {
				t.Parallel()
				want := elle.Inconsistent
				if c.how == "keeps its promises" {
					want = elle.Consistent
				}
				run := func(s uint64) (*history.History, *elle.Result) {
					proxy := httptest.NewServer(&broken{url: "http://" + server.Addr, how: c.how, rng: rand.New(rand.NewPCG(s, 3)), old: map[string]*reply{}})
					defer proxy.Close()
					o := options(proxy.URL, workload, s, 0)
					o.Protocols, o.Txns, o.Pause, o.Timeout = []string{"rest"}, 400, 0, 10*time.Second
					h, err := drive.Run(t.Context(), o, nil)
					if err != nil {
						t.Fatal(err)
					}
					return h, judge(t, h, workload)
				}
				h, r := run(s)
				// What a broken server did may by chance not show: a write that is forgotten may have been overwritten before anybody
				// could have read it. Then another run has to show it.
				for tries := uint64(1); want == elle.Inconsistent && r.Valid == elle.Consistent && tries < 8; tries++ {
					h, r = run(s + tries)
				}
				if r.Valid != want {
					t.Errorf("judged %v: %v", r.Valid, r.Types)
					keep(t, h, workload)
					return
				}
				for _, a := range r.Anomalies {
					if len(a.Ops) == 0 && !strings.HasSuffix(string(a.Type), "-cycle-exists") {
						t.Errorf("%s without a witness", a.Type)
					}
				}
				if c.how == "tears" && !slices.ContainsFunc(r.Not, func(m model.Model) bool { return model.Model("snapshot-isolation").Implies(m) }) {
					t.Errorf("torn updates rule out only %v", r.Not)
				}
				t.Log(r.Types)
			})
		}
	}
}
