package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rebase/auth"
	"rebase/server"
)

// adminFlags say which server is administered, and in whose name.
type adminFlags struct {
	URL        string `default:"http://127.0.0.1:9000" help:"The running server (${default})." placeholder:"URL"`
	SecretFile string `help:"File with the root secret. Without it the variable REBASE_SECRET is read, and then ./rebase-data/root-secret." placeholder:"FILE"`
	JSON       bool   `name:"json" help:"Print the server's answer, for other programs."`
}

// secretVariable holds the root secret itself; a flag would show it in the list of processes.
const secretVariable = "REBASE_SECRET"

// secret finds the administrator's credential. Without any it is the one that servers in open mode take.
func (f *adminFlags) secret() (string, error) {
	name := f.SecretFile
	if name == "" {
		if s := strings.TrimSpace(os.Getenv(secretVariable)); s != "" {
			return s, nil
		}
		name = filepath.Join("rebase-data", server.RootSecretFile)
	}
	text, err := os.ReadFile(name)
	switch {
	case err == nil && len(bytes.TrimSpace(text)) > 0:
		return string(bytes.TrimSpace(text)), nil
	case err == nil:
		return "", fmt.Errorf("%s is empty", name)
	case f.SecretFile == "" && errors.Is(err, os.ErrNotExist):
		return auth.Owner, nil
	}
	return "", err
}

// do sends a request below /_rebase/auth/ and decodes the answer into out, which may be nil. With --json the answer is printed instead, and printed is true.
func (f *adminFlags) do(ctx context.Context, std streams, method, path string, in, out any) (printed bool, err error) {
	return f.call(ctx, std, method, "/_rebase/auth/"+path, in, out)
}

// call is do for a path of the whole server.
func (f *adminFlags) call(ctx context.Context, std streams, method, path string, in, out any) (printed bool, err error) {
	text, err := f.send(ctx, method, path, in, func(text []byte) string {
		var e struct{ Error string }
		_ = json.Unmarshal(text, &e) // then it is ""
		return e.Error
	})
	if err != nil {
		return false, err
	}
	if f.JSON {
		_, err := std.out.Write(text)
		return true, err
	}
	if out == nil {
		return false, nil
	}
	return false, f.decode(text, out)
}

func (f *adminFlags) decode(text []byte, out any) error {
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer as a Rebase server: %w", f.URL, err)
	}
	return nil
}

// send sends a request in the administrator's name and returns the answer. why reads the reason from the body of an error.
func (f *adminFlags) send(ctx context.Context, method, path string, in any, why func([]byte) string) ([]byte, error) {
	base, err := url.Parse(f.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &usageError{fmt.Errorf("--url must be the address of a server, as http://127.0.0.1:9000, not %q", f.URL)}
	}
	if base.Scheme == "http" && !localHost(base.Hostname()) {
		return nil, &usageError{fmt.Errorf("%s is another machine, and http:// would send the root secret over the network for anyone to read; use https://, or run this on the server", base.Host)}
	}
	secret, err := f.secret()
	if err != nil {
		return nil, fmt.Errorf("reading the root secret: %w", err)
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(f.URL, "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+secret)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	// A redirect would take the secret along.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w\nis a server running there? Its address is given with --url", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 32<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode/100 != 2 {
		reason := why(text)
		if reason == "" {
			reason = "status " + res.Status
		}
		if secret == auth.Owner && (res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized) {
			reason = "the server is closed: the root secret is needed, by --secret-file or in " + secretVariable + "; the server keeps it in the file " + server.RootSecretFile + " of its data folder"
		}
		return nil, errors.New(reason)
	}
	return text, nil
}

// localHost says whether a host is this machine.
func localHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
