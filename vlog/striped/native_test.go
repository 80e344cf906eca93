package striped

import (
	"fmt"
	"os"
	"testing"

	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/logtest"
	"rebase/vlog/native"
)

// TestNative: stripes on the same three log servers, each with a sequencer of its own.
func TestNative(t *testing.T) {
	cluster, err := native.NewLocal(3)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	w := newWorld(Wish{Kind: "native", N: 2}, cluster.Provider())
	subject := w.subject()
	subject.Another = w.open
	logtest.Run(t, subject)
}

// BenchmarkAppend compares a native loglet with striped ones over the same log servers: in memory, where the protocol is all there is to pay for, and on
// files of one disk.
func BenchmarkAppend(b *testing.B) {
	for _, disk := range []string{"memory", "files"} {
		for _, stripes := range []int{0, 1, 2, 3} { // 0: the native loglet itself
			for _, appenders := range []int{1, 16, 256} {
				b.Run(fmt.Sprintf("%s/stripes=%d/appenders=%d", disk, stripes, appenders), func(b *testing.B) {
					cluster, err := native.NewLocal(3)
					if disk == "files" {
						cluster, err = native.NewLocalOn(3, func(i int) (vlog.Loglet, error) {
							dir, err := os.MkdirTemp(b.TempDir(), "")
							if err != nil {
								return nil, err
							}
							return local.Open(dir, local.Options{})
						})
					}
					if err != nil {
						b.Fatal(err)
					}
					defer cluster.Close()
					spec := vlog.LogletSpec{ID: 1, Create: true}
					var l vlog.Loglet
					if stripes == 0 {
						l, err = cluster.Open(spec)
					} else {
						spec.Config = Wish{Kind: "native", N: stripes}.Encode()
						l, err = Open(bg, map[string]vlog.Provider{"native": cluster.Provider()}, spec)
					}
					if err != nil {
						b.Fatal(err)
					}
					defer l.Close()
					measure(b, l, appenders)
				})
			}
		}
	}
}

// measure has that many appenders append b.N entries of 256 bytes.
func measure(b *testing.B, l vlog.Loglet, appenders int) {
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
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}
