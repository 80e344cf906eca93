package blob

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

const (
	minPart = 16 << 20 // also the largest object that is sent as one; kept in memory, so that it can be sent again
	// maxParts is below the limit of 10,000.
	maxParts = 9000
	// writerHeader marks an object with the call that wrote it: who does not learn the outcome of his conditional write looks there.
	writerHeader = "Rebase-Writer"
)

// s3 is a Bucket in an S3-compatible store.
type s3 struct {
	core   minio.Core
	bucket string
	prefix string // "" or ends with a slash
	url    string

	// unconditional is set once the store has said that it does not know If-None-Match. Then an object that appears between the
	// look-up and the write is replaced.
	unconditional atomic.Bool
	sweep         sync.Once
	patience      time.Duration
}

var _ Bucket = (*s3)(nil)

func openS3(u *url.URL) (Bucket, error) {
	q := u.Query()
	s := &s3{bucket: u.Host, prefix: strings.Trim(u.Path, "/"), patience: Patience}
	for name, values := range q {
		if name != "endpoint" && name != "region" && name != "insecure" || len(values) != 1 {
			return nil, fmt.Errorf("blob: %q in the URL of the bucket; known are endpoint, region and insecure, each once", name)
		}
	}
	if s.bucket == "" {
		return nil, errors.New("blob: the URL names no bucket; write s3://bucket/prefix")
	}
	if insecure := q.Get("insecure"); insecure != "" && insecure != "0" && insecure != "1" {
		return nil, errors.New("blob: insecure is 0 or 1")
	}
	if s.prefix != "" {
		if err := checkKey(s.prefix); err != nil {
			return nil, err
		}
		s.prefix += "/"
	}
	endpoint := cmp.Or(q.Get("endpoint"), "s3.amazonaws.com")
	client, err := minio.New(endpoint, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{},
		}),
		Secure:     q.Get("insecure") != "1",
		Region:     cmp.Or(q.Get("region"), os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		MaxRetries: 1, // do repeats, for as long as it makes sense
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: time.Minute,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       time.Minute,
			DisableCompression:    true,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("blob: endpoint %s: %w; give it as host:port", endpoint, err)
	}
	s.core = minio.Core{Client: client}
	// Rebuilt, so that it is the same for the same bucket, however it was written.
	canon := url.URL{Scheme: "s3", Host: s.bucket, Path: "/" + strings.TrimSuffix(s.prefix, "/"), RawQuery: q.Encode()}
	if canon.Path == "/" {
		canon.Path = ""
	}
	s.url = canon.String()
	return s, nil
}

func (s *s3) URL() string { return s.url }

func (s *s3) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	// Cheaper than to send everything only to hear that it is there.
	if _, err := s.Size(ctx, key); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, s.name(key))
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	var id [16]byte
	rand.Read(id[:]) // never fails
	p := &upload{s3: s, key: key, id: hex.EncodeToString(id[:]), r: &exactly{r, size}, size: size}
	if size <= minPart {
		return p.whole(ctx)
	}
	s.sweep.Do(func() { s.abortAbandoned(ctx) })
	return p.inParts(ctx)
}

// upload is one Put.
type upload struct {
	*s3
	key  string
	id   string // see writerHeader
	r    io.Reader
	size int64
}

func (p *upload) options() minio.PutObjectOptions {
	o := minio.PutObjectOptions{UserMetadata: map[string]string{writerHeader: p.id}}
	if !p.unconditional.Load() {
		o.SetMatchETagExcept("*")
	}
	return o
}

// read reads the next n bytes of the object, and makes sure of the end if there are no more.
func (p *upload) read(n int64, last bool) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(p.r, b)
	if err == nil && last {
		if _, err = p.r.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("blob: read what is to become %s: %w", p.name(p.key), err)
	}
	return b, nil
}

func (p *upload) whole(ctx context.Context) error {
	body, err := p.read(p.size, true)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	return p.settle(ctx, p.do(ctx, "write", p.key, func() error {
		_, err := p.core.PutObject(ctx, p.bucket, p.prefix+p.key, bytes.NewReader(body), p.size, "", hex.EncodeToString(sum[:]), p.options())
		return p.withoutCondition(err)
	}))
}

// withoutCondition makes the next attempt an unconditional one if the condition is what the store does not know.
func (p *upload) withoutCondition(err error) error {
	var e minio.ErrorResponse
	if errors.As(err, &e) && e.StatusCode == http.StatusNotImplemented && !p.unconditional.Swap(true) {
		return again{err}
	}
	return err
}

// settle decides what an error of the last step means. ErrExists, or an upload that is gone, may be this very call's doing, if an
// answer was lost and the request sent a second time.
func (p *upload) settle(ctx context.Context, err error) error {
	var e minio.ErrorResponse
	if err == nil || !errors.Is(err, ErrExists) && !(errors.As(err, &e) && e.Code == "NoSuchUpload") {
		return err
	}
	var info minio.ObjectInfo
	serr := p.do(ctx, "look up", p.key, func() (err error) {
		info, err = p.core.StatObject(ctx, p.bucket, p.prefix+p.key, minio.StatObjectOptions{})
		return err
	})
	if serr == nil && info.UserMetadata[writerHeader] == p.id {
		return nil
	}
	return err
}

func (p *upload) inParts(ctx context.Context) (err error) {
	part := int64(minPart)
	for p.size/part >= maxParts {
		part *= 2
	}
	var id string
	name := p.prefix + p.key
	err = p.do(ctx, "write", p.key, func() (err error) {
		id, err = p.core.NewMultipartUpload(ctx, p.bucket, name, minio.PutObjectOptions{UserMetadata: map[string]string{writerHeader: p.id}})
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// What was sent would be kept, and paid for, until somebody asks for it to be dropped.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			_ = p.core.AbortMultipartUpload(ctx, p.bucket, name, id)
		}
	}()
	var parts []minio.CompletePart
	for sent := int64(0); sent < p.size; {
		n := min(part, p.size-sent)
		body, err := p.read(n, sent+n == p.size)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		number := len(parts) + 1
		err = p.do(ctx, "write", p.key, func() error {
			done, err := p.core.PutObjectPart(ctx, p.bucket, name, id, number, bytes.NewReader(body), n,
				minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:])})
			if err == nil {
				parts = append(parts, minio.CompletePart{PartNumber: number, ETag: done.ETag})
			}
			return err
		})
		if err != nil {
			return err
		}
		sent += n
	}
	return p.settle(ctx, p.do(ctx, "write", p.key, func() error {
		o := minio.PutObjectOptions{}
		if !p.unconditional.Load() {
			o.SetMatchETagExcept("*")
		}
		_, err := p.core.CompleteMultipartUpload(ctx, p.bucket, name, id, parts, o)
		return p.withoutCondition(err)
	}))
}

// abortAbandoned drops uploads that a crash has left. It costs space, no more, so failures are not told.
func (s *s3) abortAbandoned(ctx context.Context) {
	r, err := s.core.ListMultipartUploads(ctx, s.bucket, s.prefix, "", "", "", 1000)
	if err != nil {
		return
	}
	for _, u := range r.Uploads {
		if strings.HasPrefix(u.Key, s.prefix) && time.Since(u.Initiated) > abandonedAfter {
			_ = s.core.AbortMultipartUpload(ctx, s.bucket, u.Key, u.UploadID)
		}
	}
}

func (s *s3) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if n == 0 {
		_, err := s.Size(ctx, key)
		return io.NopCloser(strings.NewReader("")), err
	}
	var o minio.GetObjectOptions
	switch {
	case n > 0:
		if err := o.SetRange(off, off+n-1); err != nil {
			return nil, err
		}
	case off > 0:
		if err := o.SetRange(off, 0); err != nil {
			return nil, err
		}
	}
	var body io.ReadCloser
	err := s.do(ctx, "read", key, func() (err error) {
		body, _, _, err = s.core.GetObject(ctx, s.bucket, s.prefix+key, o)
		return err
	})
	var e minio.ErrorResponse
	if errors.As(err, &e) && e.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return io.NopCloser(strings.NewReader("")), nil // beyond the end
	}
	return body, err
}

func (s *s3) Size(ctx context.Context, key string) (size int64, err error) {
	err = s.do(ctx, "look up", key, func() error {
		info, err := s.core.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
		size = info.Size
		return err
	})
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnreachable) && ctx.Err() == nil && checkKey(key) == nil {
		// A refusal of HEAD comes without the reason.
		body, gerr := s.Get(ctx, key, 0, 1)
		if gerr != nil {
			return 0, gerr
		}
		return 0, errors.Join(err, body.Close())
	}
	return size, err
}

func (s *s3) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Object{}, err)
			return
		}
		stop, last := false, ""
		err := s.do(ctx, "list", "", func() error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel() // ends the goroutine behind the channel
			for o := range s.core.Client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: true, StartAfter: last}) {
				if o.Err != nil {
					return o.Err
				}
				last = o.Key
				key := strings.TrimPrefix(o.Key, s.prefix)
				if checkKey(key) != nil {
					continue // not ours
				}
				if stop = !yield(Object{Key: key, Size: o.Size}, nil); stop {
					return nil
				}
			}
			return ctx.Err()
		})
		if err != nil && !stop {
			yield(Object{}, err)
		}
	}
}

func (s *s3) Delete(ctx context.Context, key string) error {
	err := s.do(ctx, "delete", key, func() error {
		return s.core.RemoveObject(ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{})
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
