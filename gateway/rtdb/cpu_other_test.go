//go:build !unix

package rtdb

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
