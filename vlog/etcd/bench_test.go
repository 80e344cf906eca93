package etcd

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"rebase/test/engines"
	"rebase/vlog/logtest"
	"rebase/vlog/rawsync"
)

// What this log does beside what etcd does with one put for each entry, and beside what the disk could do, in one run: on one
// member, and on three that share the disk. Interleaved, since the machine may be busy with other things.
//
//	go test -run '^$' -bench Append -benchtime 1x ./vlog/etcd
func BenchmarkAppend(b *testing.B) {
	const (
		rounds  = 4
		payload = 256
		slice   = 400 * time.Millisecond
	)
	for _, size := range []int{1, 3} {
		b.Run(strconv.Itoa(size)+"-members", func(b *testing.B) {
			members := engines.EtcdCluster(b, size)
			client := members.Client(b)
			place := newBench(client)
			for _, appenders := range []int{1, 16, 256} {
				b.Run(strconv.Itoa(appenders), func(b *testing.B) {
					l := place.create(b)
					defer l.Close()
					body := make([]byte, payload)
					var raw []float64
					var put, log sample
					for range rounds * b.N {
						limit, err := rawsync.Measure(b.TempDir(), appenders, payload, slice)
						if err != nil {
							b.Fatal(err)
						}
						raw = append(raw, limit)
						puts := make([]int, appenders)
						put.measure(b, appenders, slice, func(who int) error {
							puts[who]++
							_, err := client.Put(bg, fmt.Sprintf("/bench/%d/%d", who, puts[who]), string(body))
							return err
						})
						log.measure(b, appenders, slice, func(int) error {
							_, err := l.Append(bg, body)
							return err
						})
					}
					slices.Sort(raw)
					limit := raw[len(raw)/2]
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(limit, "limit/s")
					put.report(b, "put", limit)
					log.report(b, "log", limit)
				})
			}
		})
	}
}

// sample gathers rates and latencies of several rounds.
type sample struct {
	rates []float64
	took  []time.Duration
}

func (s *sample) measure(b *testing.B, appenders int, d time.Duration, op func(who int) error) {
	rate, took := logtest.Drive(b, appenders, d, op)
	s.rates = append(s.rates, rate)
	s.took = append(s.took, took...)
}

func (s *sample) report(b *testing.B, name string, limit float64) {
	slices.Sort(s.rates)
	slices.Sort(s.took)
	rate := s.rates[len(s.rates)/2]
	b.ReportMetric(rate, name+"/s")
	b.ReportMetric(rate/limit, name+"/limit")
	b.ReportMetric(float64(s.took[len(s.took)/2].Microseconds()), name+"-p50-µs")
	b.ReportMetric(float64(s.took[len(s.took)*99/100].Microseconds()), name+"-p99-µs")
}
