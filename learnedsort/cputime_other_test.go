//go:build !linux

package learnedsort

import "time"

var started = time.Now()

// cpuTime is wall time where there is no other.
func cpuTime() time.Duration { return time.Since(started) }
