package backup

import (
	"fmt"
	"testing"

	"rebase/blob"
	"rebase/test/engines"
	"rebase/vlog"
)

// BenchmarkArchive archives 128 MB in entries of 1 KB, which includes reading it back, and then reads it through a loglet whose cache is cold.
func BenchmarkArchive(b *testing.B) {
	from := &dense{payload: make([]byte, 1000), n: 128 << 10}
	server := engines.S3(b)
	s3, err := blob.Open(bg, server.URL(server.Bucket, ""))
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for name, bucket := range map[string]blob.Bucket{"folder": osBucket(b), "s3": s3} {
		var log *oneSegment
		b.Run(name+"/archive", func(b *testing.B) {
			b.SetBytes(int64(from.n) * 1000)
			for b.Loop() {
				i++
				log = &oneSegment{segment: vlog.Segment{ID: 1, Start: 1, End: vlog.Position(from.n + 1), Sealed: true}, loglet: from}
				if _, err := Archive(bg, log, bucket, ArchiveOptions{Log: fmt.Sprint("bench", i)}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/read", func(b *testing.B) {
			b.SetBytes(int64(from.n) * 1000)
			for b.Loop() {
				l := open(b, log.segment, bucket)
				for p := vlog.Position(1); p <= vlog.Position(from.n); {
					es, err := l.Read(bg, p, vlog.Position(from.n+1), 1<<20)
					if err != nil || len(es) == 0 {
						b.Fatal(len(es), err)
					}
					p += vlog.Position(len(es))
				}
			}
		})
	}
}
