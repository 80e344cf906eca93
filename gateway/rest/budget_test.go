package rest

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Bodies that are too large together are refused, not held; the memory of one comes free when
// it has been answered.
func TestBodiesShareABudget(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxBodiesBytes = 3 << 20 })
	large := `"` + strings.Repeat("x", 2<<20) + `"`
	put := func(body io.Reader) int {
		req, err := http.NewRequest(http.MethodPut, f.srv.URL+"/big.json?ns=test&print=silent", body)
		if err != nil {
			t.Error(err)
			return 0
		}
		res, err := f.client.Do(req)
		if err != nil {
			t.Error(err)
			return 0
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode
	}
	pr, pw := io.Pipe()
	first := make(chan int, 1)
	go func() { first <- put(pr) }()
	if _, err := pw.Write([]byte(large[:len(large)-1])); err != nil {
		t.Fatal(err)
	}
	for f.rest.bodies.left.Load() > 1<<20 { // until the server holds 2 MiB of it
		time.Sleep(time.Millisecond)
	}
	if got := put(strings.NewReader(large)); got != http.StatusServiceUnavailable {
		t.Errorf("a second large body got %d, want 503", got)
	}
	if got := put(strings.NewReader(`"small"`)); got != http.StatusNoContent {
		t.Errorf("a small body got %d, want 204", got)
	}
	pw.Write([]byte(`"`))
	pw.Close()
	if got := <-first; got != http.StatusNoContent {
		t.Errorf("the first large body got %d, want 204", got)
	}
	if got := put(strings.NewReader(large)); got != http.StatusNoContent {
		t.Errorf("a large body got %d afterwards, want 204", got)
	}
}
