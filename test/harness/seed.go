package harness

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Seed is a new one each time. It is printed, and repeated by REBASE_SEED.
func Seed(t testing.TB) uint64 {
	t.Helper()
	s := uint64(time.Now().UnixNano())
	if text := os.Getenv("REBASE_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("REBASE_SEED=%d", s)
	return s
}
