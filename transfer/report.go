package transfer

import (
	"sync"
	"time"
)

// reportInterval is the time between two calls of a progress report: often
// enough to look smooth, too seldom to cost anything.
const reportInterval = 200 * time.Millisecond

// every calls report with what now returns until stop is called; stop waits
// for a call that is under way, then reports once more.
func every(report func(Progress), now func() Progress) (stop func()) {
	if report == nil {
		return func() {}
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(reportInterval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				report(now())
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		running.Wait()
		report(now())
	})
}
