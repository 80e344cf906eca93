package snapshot

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/tree"
)

// BenchmarkRoundTrip writes and restores a store of about 100 MB of noise, which does not compress. MB/s are of the stream.
func BenchmarkRoundTrip(b *testing.B) {
	dir := b.TempDir()
	s := openStore(b, filepath.Join(dir, "db"), vfs.Default)
	defer s.Close()
	for i := 1; i <= 100; i++ {
		batch := s.NewBatch()
		for j := range 100 {
			if err := batch.Set("ns", tree.Path(fmt.Sprintf("r%d/%d", i, j)), tree.NewString(noise(uint64(i*100+j), 10_000))); err != nil {
				b.Fatal(err)
			}
		}
		if err := batch.Commit(uint64(i)); err != nil {
			b.Fatal(err)
		}
	}
	src, err := Open(s, Options{Temp: filepath.Join(dir, "tmp")})
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	b.Run("write", func(b *testing.B) {
		b.SetBytes(src.Bytes())
		for b.Loop() {
			if err := src.Write(bg, io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.SetBytes(src.Bytes())
		i := 0
		for b.Loop() {
			r, w := io.Pipe()
			go func() { w.CloseWithError(src.Write(bg, w)) }()
			i++
			if _, err := Restore(bg, r, filepath.Join(dir, fmt.Sprint(b.N, "-", i)), Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func noise(seed uint64, n int) string {
	p := make([]byte, n)
	for i := range p {
		seed = seed*6364136223846793005 + 1442695040888963407
		p[i] = ' ' + byte(seed>>33%94)
	}
	return string(p)
}
