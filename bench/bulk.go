package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"rebase/transfer"
)

// bulk measures a list of n children with one leaf each: bringing it in, querying it by an
// index, and starting a server that holds it.
func bulk(ctx context.Context, s *server, r *Report, n int) (*server, error) {
	if err := importList(ctx, s, r, n); err != nil {
		return s, err
	}
	if err := queryList(ctx, s, r, n); err != nil {
		return s, err
	}
	if s.cmd == nil {
		return s, nil // a server that was not started here is not stopped here
	}
	for _, how := range []struct {
		name string
		sig  syscall.Signal
	}{{"after a shutdown", syscall.SIGTERM}, {"after kill -9", syscall.SIGKILL}} {
		if err := s.stop(how.sig); err != nil {
			return s, err
		}
		begin := time.Now()
		next, err := startServer(ctx, s.bin, s.dir)
		if err != nil {
			return s, err
		}
		s = next
		if _, err := get(ctx, s.target, "/list/k000000/score"); err != nil {
			return s, err
		}
		aim := ""
		if n == 1_000_000 {
			aim = "<= 1"
		}
		r.add(fmt.Sprintf("start with %d leaves", n), how.name+", to the first read", time.Since(begin).Seconds(), "s", aim)
	}
	return s, nil
}

func importList(ctx context.Context, s *server, r *Report, n int) error {
	name := fmt.Sprintf("import of %d leaves", n)
	pr, pw := io.Pipe()
	go func() {
		w := bufio.NewWriterSize(pw, 256<<10)
		fmt.Fprint(w, "{")
		for i := range n {
			if i > 0 {
				fmt.Fprint(w, ",")
			}
			fmt.Fprintf(w, `"k%06d":{"score":%d}`, i, score(i))
		}
		fmt.Fprint(w, "}")
		w.Flush()
		pw.Close()
	}()
	to, err := transfer.ParseURL(s.target.URL + "/list?ns=" + s.target.Namespace)
	if err != nil {
		return err
	}
	begin := time.Now()
	client := &transfer.Client{Token: "owner"}
	if _, err := client.Import(ctx, pr, false, to, transfer.ImportOptions{Replace: true}); err != nil {
		return err
	}
	r.add(name, "rate", float64(n)/time.Since(begin).Seconds(), "leaves/s", ">= 200000")
	if s.dir != "" {
		r.add(name, "data folder afterwards", float64(diskBytes(s.dir))/(1<<20), "MB", "")
	}
	return nil
}

// score spreads the children's values so that their order differs from that of their keys.
func score(i int) int { return i * 7919 % 1_000_003 }

func queryList(ctx context.Context, s *server, r *Report, n int) error {
	name := fmt.Sprintf("limitToLast(100) of %d", n)
	begin := time.Now()
	rules := `{"rules":{".read":true,".write":true,"list":{".indexOn":["score"]}}}`
	if _, err := do(ctx, http.MethodPut, s.target, "/.settings/rules", rules); err != nil {
		return err
	}
	for {
		ready, err := indexed(ctx, s.target)
		if err != nil {
			return err
		}
		if ready {
			break
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	r.add(name, "index ready after", time.Since(begin).Seconds(), "s", "")

	var first []time.Duration
	for i := range 200 {
		c, err := dial(ctx, s.target, 64<<10)
		if err != nil {
			return err
		}
		at := time.Now()
		// Every query has an end of its own, so that none finds a view that is there already.
		err = c.call("q", fmt.Sprintf(`"p":"/list","q":{"i":"score","ep":%d,"l":100,"vf":"r"},"t":1,"h":""`, 2_000_000+i), nil)
		first = append(first, time.Since(at))
		c.close()
		if err != nil {
			return err
		}
	}
	r.add(name, "first answer p50", millis(quantile(first, 0.5)), "ms", "<= 2")
	r.add(name, "first answer p99", millis(quantile(first, 0.99)), "ms", "")

	update, err := updateLatency(ctx, s)
	if err != nil {
		return err
	}
	r.add(name, "update p50", millis(quantile(update, 0.5)), "ms", "<= 2")
	r.add(name, "update p99", millis(quantile(update, 0.99)), "ms", "")
	return nil
}

// indexed tells whether the server has built the list's index: until then it answers by a scan,
// and says so.
func indexed(ctx context.Context, t Target) (bool, error) {
	c, err := dial(ctx, t, 4<<10)
	if err != nil {
		return false, err
	}
	defer c.close()
	r, err := c.request("q", `"p":"/list","q":{"i":"score","l":1,"vf":"r"},"t":1,"h":""`)
	if err != nil {
		return false, err
	}
	for {
		msg, err := c.read()
		if err != nil {
			return false, err
		}
		if n, ok := answered(msg); ok && n == r {
			return !bytes.Contains(msg, []byte("no_index")), nil
		}
	}
}

// updateLatency is the time from sending a newcomer to its arrival at a listener of the query.
func updateLatency(ctx context.Context, s *server) ([]time.Duration, error) {
	l, err := dial(ctx, s.target, 64<<10)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.call("q", `"p":"/list","q":{"i":"score","l":100,"vf":"r"},"t":1,"h":""`, nil); err != nil {
		return nil, err
	}
	w, err := dial(ctx, s.target, 4<<10)
	if err != nil {
		return nil, err
	}
	defer w.close()
	var samples []time.Duration
	for i := range 200 {
		at := time.Now()
		key := fmt.Sprintf("new%d", i)
		if _, err := w.request("p", fmt.Sprintf(`"p":"/list/%s","d":{"score":%d}`, key, 3_000_000+i)); err != nil {
			return nil, err
		}
		for {
			msg, err := l.read()
			if err != nil {
				return nil, err
			}
			if bytes.Contains(msg, []byte(key)) {
				break
			}
		}
		samples = append(samples, time.Since(at))
		if _, err := w.read(); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

func get(ctx context.Context, t Target, path string, params ...string) ([]byte, error) {
	return do(ctx, http.MethodGet, t, path, "", params...)
}

func do(ctx context.Context, method string, t Target, path, body string, params ...string) ([]byte, error) {
	u := t.URL + path + ".json?ns=" + t.Namespace
	for _, p := range params {
		u += "&" + strings.ReplaceAll(p, `"`, "%22")
	}
	req, err := http.NewRequestWithContext(ctx, method, u, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer owner")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	return answer, err
}
