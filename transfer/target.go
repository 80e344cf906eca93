package transfer

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rebase/tree"
)

// Target is a node of a database on a server.
type Target struct {
	Origin string    // scheme://host[:port]
	Path   tree.Path // of the node
	NS     string    // the database; "" leaves the choice to the server
}

// ParseURL reads a target from what users have at hand: a databaseURL or a
// REST URL, for example "http://127.0.0.1:9000/users?ns=app" or the same with
// ".json" behind the path.
func ParseURL(raw string) (Target, error) {
	u, err := url.Parse(raw)
	if err != nil && !strings.Contains(raw, "://") {
		u, err = &url.URL{}, nil // host:port alone is told below what is missing
	}
	if err != nil {
		return Target{}, fmt.Errorf("%q is not a URL: %w", raw, errors.Unwrap(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return Target{}, fmt.Errorf("%q is not the URL of a server; expected http://HOST:PORT[/path][?ns=NAME]", raw)
	}
	path, err := tree.ParsePath(strings.TrimSuffix(u.Path, ".json"))
	if err != nil {
		return Target{}, fmt.Errorf("the path of %q: %w", raw, err)
	}
	for name := range u.Query() {
		if name != "ns" {
			return Target{}, fmt.Errorf("%q: the query parameter %q has no meaning here, only ns has", raw, name)
		}
	}
	return Target{Origin: u.Scheme + "://" + u.Host, Path: path, NS: u.Query().Get("ns")}, nil
}

// String returns the target as a URL that ParseURL accepts.
func (t Target) String() string {
	u := t.Origin + "/" + escapePath(t.Path)
	if t.NS != "" {
		u += "?ns=" + url.QueryEscape(t.NS)
	}
	return u
}

func (t Target) rest(params ...string) string {
	v := url.Values{}
	if t.NS != "" {
		v.Set("ns", t.NS)
	}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	return t.Origin + "/" + escapePath(t.Path) + ".json?" + v.Encode()
}

func escapePath(p tree.Path) string {
	parts := strings.Split(string(p), "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// Client is how a server is reached. The zero value is ready to use; a Client
// may be used by several goroutines but not be changed meanwhile.
type Client struct {
	Token string       // sent as "Authorization: Bearer"; "" sends none
	HTTP  *http.Client // nil: one of its own, without a time limit
	// RetryFor is how long one request is tried again while the server cannot
	// be reached or says that it cannot serve now; 0 is one minute, negative never.
	RetryFor time.Duration
	// Waiting, if not nil, is called before the first repetition of each request,
	// with what made it necessary. It may be called from several goroutines.
	Waiting func(why error)
}

var defaultHTTP = &http.Client{Transport: &http.Transport{
	Proxy:               http.ProxyFromEnvironment,
	MaxIdleConnsPerHost: 64,
	DisableCompression:  true, // it costs more than it saves wherever this is used at speed
	WriteBufferSize:     64 << 10,
	ReadBufferSize:      64 << 10,
	// A response that never starts must not look like one that is slow to come:
	// a server at work on 256 MB answers well within this.
	ResponseHeaderTimeout: 5 * time.Minute,
}}

// StatusError is an answer of the server that says no.
type StatusError struct {
	Status  int
	Message string // the server's own words
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answered %d: %s", e.Status, e.Message)
}

func (e *StatusError) temporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// firstWait is the time before a request is tried again; it doubles each time.
const firstWait = 100 * time.Millisecond

// hopeless tells errors of reaching a server that time does not mend: what answers is
// not what the URL says, or cannot be trusted.
func hopeless(err error) bool {
	var (
		record tls.RecordHeaderError
		cert   *tls.CertificateVerificationError
		name   *net.DNSError
	)
	return errors.As(err, &record) || errors.As(err, &cert) ||
		errors.As(err, &name) && name.IsNotFound ||
		errors.Is(err, http.ErrSchemeMismatch)
}

// do sends a request until it has an answer, and returns the response if that
// is 2xx. Only for requests that may be repeated.
func (c *Client) do(ctx context.Context, method, url string, body []byte) (*http.Response, error) {
	patience := c.RetryFor
	if patience == 0 {
		patience = time.Minute
	}
	start, wait := time.Now(), firstWait
	for {
		resp, err := c.once(ctx, method, url, body)
		if err == nil {
			return resp, nil
		}
		var status *StatusError
		if errors.As(err, &status) && !status.temporary() || ctx.Err() != nil || hopeless(err) {
			return nil, err
		}
		if time.Since(start)+wait > patience {
			return nil, err
		}
		if c.Waiting != nil && wait == firstWait {
			c.Waiting(err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("given up (%w) while it was tried again after: %w", context.Cause(ctx), err)
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

func (c *Client) once(ctx context.Context, method, url string, body []byte) (*http.Response, error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return nil, err
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = defaultHTTP
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	e := &StatusError{Status: resp.StatusCode, Message: strings.TrimSpace(string(text))}
	var structured struct{ Error string }
	if json.Unmarshal(text, &structured) == nil && structured.Error != "" {
		e.Message = structured.Error
	}
	return nil, e
}

// write sends a request whose answer is of no interest beyond its status.
func (c *Client) write(ctx context.Context, method, url string, body []byte) error {
	resp, err := c.do(ctx, method, url, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body) // to the end, so that the connection is used again
	return err
}

// Progress is how far a transfer has come.
type Progress struct {
	Bytes   int64 // of the file, compressed as it is: written, or read and acknowledged for an import
	Leaves  int64 // values written to the file, or acknowledged by the server
	Skipped int64 // leaves that an earlier, interrupted import had brought over; part of Leaves
}
