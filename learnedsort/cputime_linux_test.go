package learnedsort

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is how long this process has computed: on a machine that is shared, a measure that repeats.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}
