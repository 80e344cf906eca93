package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// idleConnections measures what a connection with one listener costs the server in memory
// while nothing happens.
func idleConnections(ctx context.Context, s *server, r *Report, n int) error {
	const settle = 5 * time.Second
	name := fmt.Sprintf("%d idle connections", n)
	if err := sleep(ctx, settle); err != nil {
		return err
	}
	before, err := s.rss()
	if err != nil {
		return err
	}
	conns := make([]*conn, n)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.close()
			}
		}
	}()
	begin := time.Now()
	const dialers = 32
	var wg sync.WaitGroup
	errs := make(chan error, dialers)
	for d := range dialers {
		wg.Go(func() {
			for i := d; i < n; i += dialers {
				c, err := dial(ctx, s.target, 512)
				if err == nil {
					conns[i] = c
					err = c.call("q", fmt.Sprintf(`"p":"/idle/%d","h":""`, i), nil)
				}
				if err != nil {
					errs <- fmt.Errorf("connection %d: %w", i, err)
					return
				}
				c.br, c.buf, c.wbuf = nil, nil, nil
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	r.add(name, "connect and listen", float64(n)/time.Since(begin).Seconds(), "1/s", "")
	if err := sleep(ctx, 3*settle); err != nil {
		return err
	}
	after, err := s.rss()
	if err != nil {
		return err
	}
	r.add(name, "resident memory per connection", float64(after-before)/1024/float64(n), "KB", "<= 8")
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
