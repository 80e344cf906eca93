package native

import (
	"fmt"
	"testing"

	"rebase/vlog"
	"rebase/vlog/local"
)

// What the protocol, its goroutines and the network's queues cost, without disks and sockets.
func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(appenders), func(b *testing.B) {
			l := open(b, newLocal(b, 3), 1)
			defer l.Close()
			body := make([]byte, 256)
			b.SetParallelism(appenders) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := l.Append(bg, body); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// The same with three log servers on files of one disk.
func BenchmarkAppendOnFiles(b *testing.B) {
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(appenders), func(b *testing.B) {
			dirs := []string{b.TempDir(), b.TempDir(), b.TempDir()}
			cluster, err := NewLocalOn(3, func(i int) (vlog.Loglet, error) { return local.Open(dirs[i], local.Options{}) })
			if err != nil {
				b.Fatal(err)
			}
			defer cluster.Close()
			l := open(b, cluster, 1)
			defer l.Close()
			body := make([]byte, 256)
			work := make(chan struct{}, b.N)
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			done := make(chan struct{})
			b.ResetTimer()
			for range appenders {
				go func() {
					for range work {
						if _, err := l.Append(bg, body); err != nil {
							b.Error(err)
						}
					}
					done <- struct{}{}
				}()
			}
			for range appenders {
				<-done
			}
		})
	}
}
