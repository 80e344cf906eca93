package native

import (
	"fmt"
	"testing"
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
