package engines

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// versityVersion pins github.com/versity/versitygw (Apache-2.0), an S3 server over a folder. It is not in go.mod: it would bring the
// libraries of three cloud providers with it.
const versityVersion = "v1.8.0"

// S3Process is an S3 server that keeps its buckets as folders: a process of its own. Bucket names one that exists.
type S3Process struct {
	Endpoint string // host:port, plain HTTP
	Region   string
	Bucket   string
	proc     *process
	data     string
}

// S3 starts an S3 server with one bucket and returns when it answers. It sets AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the test,
// which therefore cannot be parallel.
func S3(t testing.TB) *S3Process {
	t.Helper()
	binary := s3Binary(t)
	const key, secret = "rebasetestkey", "rebase-test-secret"
	t.Setenv("AWS_ACCESS_KEY_ID", key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	s := &S3Process{Region: "us-east-1", Bucket: "bucket", data: t.TempDir()}
	s.AddBucket(t, s.Bucket)
	s.Endpoint = fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	s.proc = &process{
		t: t, name: "s3", dir: t.TempDir(),
		args: []string{binary, "--port", s.Endpoint, "--region", s.Region, "--quiet", "posix", "--sidecar", t.TempDir(), s.data},
		env:  []string{"ROOT_ACCESS_KEY_ID=" + key, "ROOT_SECRET_ACCESS_KEY=" + secret},
	}
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

// AddBucket makes a bucket.
func (s *S3Process) AddBucket(t testing.TB, name string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.data, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

// URL names a bucket of the server as package blob wants it.
func (s *S3Process) URL(bucket, prefix string) string {
	return fmt.Sprintf("s3://%s/%s?endpoint=%s&region=%s&insecure=1", bucket, prefix, s.Endpoint, s.Region)
}

// Start starts a server that has been killed, and returns when it answers.
func (s *S3Process) Start() {
	t := s.proc.t
	t.Helper()
	if err := s.proc.start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if r, err := http.Get("http://" + s.Endpoint + "/"); err == nil {
			r.Body.Close()
			return // any answer will do: this one is a refusal
		}
		if s.proc.hasExited() || time.Now().After(deadline) {
			t.Fatalf("engines: the S3 server does not answer:\n%s", s.proc.logTail())
		}
	}
}

// Kill is kill -9.
func (s *S3Process) Kill() { s.proc.end(syscall.SIGKILL) }

// Pause is SIGSTOP: the server keeps its connections and answers nothing.
func (s *S3Process) Pause() { s.proc.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *S3Process) Resume() { s.proc.signal(syscall.SIGCONT) }

func s3Binary(t testing.TB) string {
	t.Helper()
	return once(t, "versitygw-"+versityVersion, func(path string) error {
		// go install names the file itself.
		dir := path + ".d"
		defer os.RemoveAll(dir)
		cmd := exec.Command("go", "install", "-trimpath", "-ldflags", "-s -w", "github.com/versity/versitygw/cmd/versitygw@"+versityVersion)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+dir, "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
		}
		return os.Rename(filepath.Join(dir, "versitygw"), path)
	})
}
