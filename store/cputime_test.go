//go:build unix

package store

import (
	"syscall"
	"testing"
	"time"
)

// timeCPU starts a benchmark's timer anew, and returns a function that reports
// the processor time since, which on a shared machine says more than the
// elapsed time. It includes the engine's background work.
func timeCPU(b *testing.B) (report func()) {
	b.ResetTimer()
	start := cpuTime()
	return func() { b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op") }
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
