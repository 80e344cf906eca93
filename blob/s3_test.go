package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rebase/test/engines"
)

func openServer(t *testing.T, address string) *s3 {
	t.Helper()
	b, err := Open(bg, address)
	if err != nil {
		t.Fatal(err)
	}
	return b.(*s3)
}

// TestS3Restart kills the server in the middle of an upload and of a download: both go on when it is back.
func TestS3Restart(t *testing.T) {
	server := engines.S3(t)
	b := openServer(t, server.URL(server.Bucket, ""))
	body := noise(5, 3*minPart)
	var once sync.Once
	restarted := make(chan struct{})
	restart := func() {
		once.Do(func() {
			server.Kill()
			go func() {
				defer close(restarted)
				time.Sleep(100 * time.Millisecond) // so that some requests fail; it matters to none
				server.Start()
			}()
		})
	}
	r := &onRead{body, func(int) {}}
	r.f = func(int) {
		if len(r.left) < minPart { // two parts are there
			restart()
		}
	}
	if err := b.Put(bg, "big", r, int64(len(body))); err != nil {
		t.Fatal(err)
	}
	<-restarted
	if !bytes.Equal(get(t, b, "big", 0, -1), body) {
		t.Fatal("what was uploaded across the restart is damaged")
	}
	down, err := NewReader(bg, b, "big", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer down.Close()
	got := make([]byte, 1<<20)
	if _, err := io.ReadFull(down, got); err != nil {
		t.Fatal(err)
	}
	once, restarted = sync.Once{}, make(chan struct{})
	restart()
	rest, err := io.ReadAll(down)
	if err != nil || !bytes.Equal(append(got, rest...), body) {
		t.Fatalf("downloaded %d bytes across the restart, %v", len(got)+len(rest), err)
	}
	<-restarted
}

func TestS3Errors(t *testing.T) {
	server := engines.S3(t)
	good := server.URL(server.Bucket, "")
	put(t, openServer(t, good), "a/b", []byte("x"))
	all := func(b *s3, want error, hint string) {
		t.Helper()
		_, getErr := b.Get(bg, "a/b", 0, -1)
		var listErr error
		for _, listErr = range b.List(bg, "") {
		}
		for i, err := range []error{getErr, Check(bg, b), listErr, b.Put(bg, "new/one", strings.NewReader("x"), 1)} {
			if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), hint) {
				t.Errorf("call %d: %v; want %v that says %q", i, err, want, hint)
			} else if strings.Contains(err.Error(), "rebase-test-secret") {
				t.Errorf("call %d shows the secret: %v", i, err)
			}
		}
	}
	all(openServer(t, server.URL("no-such-bucket", "")), ErrNoBucket, "create it")
	all(openServer(t, strings.Replace(good, "us-east-1", "eu-west-3", 1)), ErrRegion, "region=us-east-1")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	all(openServer(t, good), ErrAccess, "AWS_SECRET_ACCESS_KEY")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("HOME", t.TempDir())
	all(openServer(t, good), ErrAccess, "AWS_SECRET_ACCESS_KEY")
	secure := strings.Replace(good, "&insecure=1", "", 1)
	if err := Check(bg, openServer(t, secure)); err == nil || !strings.Contains(err.Error(), "insecure=1") {
		t.Errorf("TLS to a server without: %v", err)
	}
	server.Kill()
	down := openServer(t, good)
	down.patience = 100 * time.Millisecond
	all(down, ErrUnreachable, "can be reached")
	// As long as it is down, a call waits no longer than its context.
	ctx, cancel := context.WithTimeout(bg, 50*time.Millisecond)
	defer cancel()
	if _, err := openServer(t, good).Size(ctx, "a/b"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("size with a deadline: %v", err)
	}
}

func forward(endpoint string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", endpoint
		r.Out.Host = r.In.Host // it is signed
	}}
}

// TestS3LostAnswers puts a proxy before the server that lets requests through and loses the answers, once for each kind of request:
// the outcome is then found out, and the Put that was done is not reported as another's.
func TestS3LostAnswers(t *testing.T) {
	server := engines.S3(t)
	proxy := forward(server.Endpoint)
	var lost sync.Map
	var losses atomic.Int32
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		kind := r.Method + fmt.Sprint(q.Has("uploads"), q.Has("uploadId"), q.Get("partNumber"), strings.Contains(r.URL.Path, "small"))
		if _, before := lost.LoadOrStore(kind, true); before {
			proxy.ServeHTTP(w, r)
			return
		}
		losses.Add(1)
		proxy.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}))
	defer front.Close()
	b := openServer(t, strings.Replace(server.URL(server.Bucket, "x"), server.Endpoint, strings.TrimPrefix(front.URL, "http://"), 1))
	body := noise(6, minPart+5)
	put(t, b, "small", body[:1000])
	put(t, b, "large", body)
	if !bytes.Equal(get(t, b, "large", 0, -1), body) || !bytes.Equal(get(t, b, "small", 0, -1), body[:1000]) {
		t.Error("an object is damaged")
	}
	if err := b.Delete(bg, "small"); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(keys(t, b, "")); got != fmt.Sprintf("[large:%d]", len(body)) {
		t.Errorf("bucket holds %s", got)
	}
	if losses.Load() < 7 {
		t.Errorf("only %d answers were lost", losses.Load())
	}
}

// TestS3WithoutConditions is a store that does not know If-None-Match.
func TestS3WithoutConditions(t *testing.T) {
	server := engines.S3(t)
	proxy := forward(server.Endpoint)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusNotImplemented)
			io.WriteString(w, `<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message></Error>`)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	b := openServer(t, strings.Replace(server.URL(server.Bucket, "x"), server.Endpoint, strings.TrimPrefix(front.URL, "http://"), 1))
	put(t, b, "one", []byte("first"))
	if err := b.Put(bg, "one", strings.NewReader("other"), 5); !errors.Is(err, ErrExists) {
		t.Fatalf("second put: %v", err)
	}
	if got := get(t, b, "one", 0, -1); string(got) != "first" {
		t.Fatalf("object is %q", got)
	}
}
