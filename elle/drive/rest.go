package drive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// restClient sends requests over one connection at a time.
type restClient struct {
	o    *Options
	http *http.Client
}

func newREST(o *Options) *restClient {
	// The transport sends a request again only if nothing of it had been written, or if
	// it reads.
	t := &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}
	return &restClient{o, &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (c *restClient) close() { c.http.CloseIdleConnections() }

// maxAnswer is far more than a parent of lists ever has.
const maxAnswer = 64 << 20

func (c *restClient) do(ctx context.Context, method, path string, header http.Header, body []byte) (answer []byte, got http.Header, err error) {
	query := url.Values{}
	if c.o.Namespace != "" {
		query.Set("ns", c.o.Namespace)
	}
	if c.o.Token != "" {
		query.Set("auth", c.o.Token)
	}
	if method != http.MethodGet {
		query.Set("print", "silent")
	}
	at := strings.TrimSuffix(c.o.URL, "/") + "/" + path + ".json?" + query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return nil, nil, &refusal{err}
	}
	r.GetBody = nil
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := c.http.Do(r)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, nil, &refusal{err} // not even connected
		}
		return nil, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case res.StatusCode >= 500: // from which one cannot tell how far the server had come
		return nil, nil, fmt.Errorf("%s %s: %s", method, path, res.Status)
	case res.StatusCode >= 300:
		return nil, nil, refused("%s %s: %s", method, path, res.Status)
	case method != http.MethodGet: // the status says it all
		return nil, res.Header, nil
	}
	return answer, res.Header, err
}

func (c *restClient) get(ctx context.Context, path string, tagged bool) ([]byte, string, error) {
	header := http.Header{}
	if tagged {
		header.Set("X-Firebase-ETag", "true")
	}
	answer, got, err := c.do(ctx, http.MethodGet, path, header, nil)
	if err != nil {
		return nil, "", err
	}
	tag := got.Get("ETag")
	if tagged && tag == "" {
		return nil, "", refused("the server sends no ETag with %s", path)
	}
	return answer, tag, nil
}

func (c *restClient) put(ctx context.Context, path, tag string, value []byte) error {
	header := http.Header{}
	if tag != "" {
		header.Set("If-Match", tag)
	}
	_, _, err := c.do(ctx, http.MethodPut, path, header, value)
	return err
}

func (c *restClient) patch(ctx context.Context, path string, values []byte) error {
	_, _, err := c.do(ctx, http.MethodPatch, path, nil, values)
	return err
}
