package snapshot

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func sha() hash.Hash { return sha256.New() }

// TestPace sends at a limited speed on a clock of its own.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		w := &writer{ctx: bg, w: io.Discard, sum: sha(), pace: newPace(Options{BytesPerSecond: 1 << 20}, 10<<20)}
		for range 40 {
			if _, err := w.Write(make([]byte, 256<<10)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took < 9900*time.Millisecond || took > 10100*time.Millisecond {
			t.Errorf("10 MiB at 1 MiB/s took %v", took)
		}
		begin = time.Now()
		r := &hashing{r: bytes.NewReader(make([]byte, 1<<20)), ctx: bg, sum: sha(), left: 1 << 20, pace: newPace(Options{BytesPerSecond: 1 << 20}, 1<<20)}
		if n, err := io.Copy(io.Discard, r); n != 1<<20 || err != nil {
			t.Fatal(n, err)
		}
		if took := time.Since(begin); took < 900*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("1 MiB at 1 MiB/s took %v", took)
		}
	})
}
