package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// web is an issuer's server, without a network.
type web struct {
	mu     sync.Mutex
	answer func(r *http.Request) (status int, header http.Header, body string)
	asked  []string
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.asked = append(w.asked, r.URL.String())
	answer := w.answer
	w.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, header, body := answer(r)
	if status == 0 {
		return nil, errors.New("no route to host")
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (w *web) set(f func(r *http.Request) (int, http.Header, string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

func (w *web) count() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.asked) }

// keys answers with a set.
func keys(age string, ids ...string) func(*http.Request) (int, http.Header, string) {
	var list []any
	for _, id := range ids {
		list = append(list, with(id, nil))
	}
	h := http.Header{}
	if age != "" {
		h.Set("Cache-Control", age)
	}
	return func(*http.Request) (int, http.Header, string) { return 200, h, string(setOf(list...)) }
}

func down(*http.Request) (int, http.Header, string) { return 0, nil, "" }

func remote(w *web) *Remote {
	return NewRemote(Options{URL: "https://issuer.example.com/keys", HTTP: &http.Client{Transport: w}})
}

func has(t *testing.T, r *Remote, kid string, want error) {
	t.Helper()
	_, err := r.Key(context.Background(), kid, "RS256")
	if !errors.Is(err, want) {
		t.Errorf("key %s: %v, want %v", kid, err, want)
	}
}

func fetches(t *testing.T, w *web, want int) {
	t.Helper()
	if n := w.count(); n != want {
		t.Errorf("%d fetches, want %d", n, want)
	}
}

// A set is fetched once, and again when its server says that it is old.
func TestCacheControl(t *testing.T) {
	for _, tc := range []struct {
		header string
		fresh  time.Duration
	}{
		{"public, max-age=19800, must-revalidate", 19800 * time.Second},
		{"", DefaultAge}, {"max-age=0", MinAge}, {"no-store", MinAge}, {"no-cache, max-age=500", MinAge}, {"max-age=99999999", MaxAge},
		{`max-age="600"`, 600 * time.Second}, {"max-age=soon", DefaultAge}, {"MAX-AGE=600", 600 * time.Second},
	} {
		t.Run(tc.header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &web{answer: keys(tc.header, "a")}
				r := remote(w)
				has(t, r, "a", nil)
				has(t, r, "a", nil)
				time.Sleep(tc.fresh - time.Second)
				has(t, r, "a", nil)
				fetches(t, w, 1)
				time.Sleep(2 * time.Second)
				w.set(keys(tc.header, "b"))
				has(t, r, "a", ErrNoKey) // taken back by its issuer
				has(t, r, "b", nil)
				fetches(t, w, 2)
			})
		})
	}
	if got := freshFor(http.Header{"Cache-Control": {"max-age=600"}, "Age": {"100"}}); got != 500*time.Second {
		t.Errorf("what a cache on the way has kept for 100 s is fresh for %s", got)
	}
}

// A new key is found though the set is fresh, but unknown ids alone cannot make the server fetch more than now and then.
func TestRotationAndRation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &web{answer: keys("max-age=20000", "a")}
		r := remote(w)
		has(t, r, "a", nil)
		for i := range 100 {
			has(t, r, fmt.Sprint("unknown", i), ErrNoKey)
		}
		fetches(t, w, 1)
		time.Sleep(MinRefetch)
		w.set(keys("max-age=20000", "a", "b"))
		has(t, r, "b", nil)
		fetches(t, w, 2)
		for i := range 100 {
			has(t, r, fmt.Sprint("unknown", i), ErrNoKey)
			time.Sleep(time.Second)
		}
		if n := w.count(); n > 2+100/int(MinRefetch/time.Second) {
			t.Errorf("%d fetches in 100 s of unknown ids", n)
		}
		if _, err := r.Key(t.Context(), "a", "HS256"); !errors.Is(err, ErrNoKey) {
			t.Errorf("the key is there for another algorithm: %v", err)
		}
	})
}

// However many ask, one fetch is under way, and who gives up waiting does not end it.
func TestOneFetchAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &web{}
		w.set(func(r *http.Request) (int, http.Header, string) {
			time.Sleep(5 * time.Second)
			return keys("", "a")(r)
		})
		r := remote(w)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := r.Key(impatient, "a", "RS256"); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		time.Sleep(500 * time.Millisecond)
		for range 50 {
			wait.Go(func() { has(t, r, "a", nil) })
			wait.Go(func() { has(t, r, "x", ErrNoKey) })
		}
		wait.Wait()
		fetches(t, w, 1)
	})
}

// While the issuer is away its keys are believed for MaxStale, and it is asked ever less often.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &web{answer: keys("max-age=600", "a")}
		r := remote(w)
		has(t, r, "a", nil)
		w.set(down)
		end := time.Now().Add(600*time.Second + MaxStale)
		for time.Now().Before(end) {
			has(t, r, "a", nil)
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		if n := w.count(); n > 2+int(MaxStale/lastBackOff)+20 {
			t.Errorf("%d fetches", n)
		}
		if _, err := r.Key(t.Context(), "a", "RS256"); err == nil || errors.Is(err, ErrNoKey) {
			t.Errorf("after MaxStale: %v", err)
		}
		w.set(keys("max-age=600", "a"))
		time.Sleep(lastBackOff)
		has(t, r, "a", nil)
	})
}

// A first fetch that fails is tried again after a while, not by every caller.
func TestFirstFetchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &web{answer: down}
		r := remote(w)
		for range 20 {
			if _, err := r.Key(t.Context(), "a", "RS256"); err == nil || errors.Is(err, ErrNoKey) {
				t.Fatalf("%v", err)
			}
		}
		fetches(t, w, 1)
		time.Sleep(firstBackOff)
		w.set(keys("", "a"))
		has(t, r, "a", nil)
		fetches(t, w, 2)
	})
}

func TestAnswersThatAreRefused(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (int, http.Header, string){
		"not found": func(*http.Request) (int, http.Header, string) { return 404, nil, string(setOf(with("a", nil))) },
		"not JSON":  func(*http.Request) (int, http.Header, string) { return 200, nil, "<html>" },
		"too long": func(*http.Request) (int, http.Header, string) {
			return 200, nil, string(setOf(with("a", nil))) + strings.Repeat(" ", maxBody)
		},
		"to plain": func(*http.Request) (int, http.Header, string) {
			return 302, http.Header{"Location": {"http://issuer.example.com/keys"}}, ""
		},
		"to a file": func(*http.Request) (int, http.Header, string) {
			return 302, http.Header{"Location": {"file:///etc/passwd"}}, ""
		},
		"in a circle": func(r *http.Request) (int, http.Header, string) {
			return 302, http.Header{"Location": {r.URL.String()}}, ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &web{answer: answer}
			if _, err := remote(w).Key(t.Context(), "a", "RS256"); err == nil || errors.Is(err, ErrNoKey) {
				t.Errorf("%v", err)
			}
			for _, url := range w.asked {
				if !strings.HasPrefix(url, "https://") {
					t.Errorf("%s was asked", url)
				}
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	const issuer = "https://login.example.com/tenant"
	for _, tc := range []struct{ name, doc, err string }{
		{"good", `{"issuer":"https://login.example.com/tenant","jwks_uri":"https://keys.example.com/set"}`, ""},
		{"other issuer", `{"issuer":"https://login.example.com/other","jwks_uri":"https://keys.example.com/set"}`, "other"},
		{"issuer with a slash", `{"issuer":"https://login.example.com/tenant/","jwks_uri":"https://keys.example.com/set"}`, "tenant/"},
		{"no address", `{"issuer":"https://login.example.com/tenant"}`, "jwks_uri"},
		{"plain address", `{"issuer":"https://login.example.com/tenant","jwks_uri":"http://keys.example.com/set"}`, "https"},
		{"not JSON", `x`, "openid-configuration"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &web{}
			w.set(func(r *http.Request) (int, http.Header, string) {
				if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
					return 200, nil, tc.doc
				}
				return keys("", "a")(r)
			})
			r := NewRemote(Options{Issuer: issuer, HTTP: &http.Client{Transport: w}})
			_, err := r.Key(t.Context(), "a", "RS256")
			switch {
			case tc.err == "" && (err != nil || fmt.Sprint(w.asked) != "[https://login.example.com/tenant/.well-known/openid-configuration https://keys.example.com/set]"):
				t.Errorf("%v, asked %s", err, w.asked)
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("%v, want an error with %q", err, tc.err)
			}
		})
	}
}

func TestCheckURL(t *testing.T) {
	for address, good := range map[string]bool{
		"https://a.example.com/x": true, "http://localhost:1/x": true, "http://127.0.0.1/x": true, "http://[::1]:8/x": true,
		"http://a.example.com/x": false, "https:///x": false, "file:///x": false, "x": false, "": false, "http://localhost.evil.com/": false, "http://127.0.0.1@evil.com/": false, ":": false,
	} {
		if (CheckURL(address) == nil) != good {
			t.Errorf("%q: %v", address, CheckURL(address))
		}
	}
}
