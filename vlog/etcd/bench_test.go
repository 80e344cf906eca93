package etcd

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/test/engines"
	"rebase/vlog"
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

// BenchmarkWriters measures, by turns, how appends of several processes share a loglet, each with a member of its own: what the one that is served worst gets.
func BenchmarkWriters(b *testing.B) {
	members := engines.EtcdCluster(b, 3)
	places := make([]*bench, len(members))
	for i, m := range members {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{m.ClientURL}})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		places[i] = newBench(c)
		places[i].opts.Prefix = places[0].opts.Prefix
	}
	for _, appenders := range []int{1, 16} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			first := places[0].create(b)
			var handles []*Loglet
			for _, p := range places {
				handles = append(handles, p.again(b, first))
			}
			body := make([]byte, 256)
			var mu sync.Mutex
			var wg sync.WaitGroup
			rates, all := make([]float64, len(handles)), []time.Duration{}
			for i, l := range handles {
				wg.Go(func() { // as a replica does
					for at := vlog.Position(1); ; {
						t, err := l.WaitTail(bg, at)
						if err != nil || t.Sealed {
							return
						}
						at = t.Next + 1
					}
				})
				wg.Go(func() {
					rate, took := logtest.Drive(b, appenders, 3*time.Second, func(int) error { _, err := l.Append(bg, body); return err })
					mu.Lock()
					defer mu.Unlock()
					rates[i] = rate
					all = append(all, took...)
				})
			}
			time.Sleep(3500 * time.Millisecond)
			first.Seal(bg)
			wg.Wait()
			slices.Sort(all)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(len(all))/3, "appends/s")
			b.ReportMetric(slices.Min(rates)/slices.Max(rates), "least-of-most")
			b.ReportMetric(float64(all[len(all)/2])/1e6, "p50-ms")
			b.ReportMetric(float64(all[len(all)*99/100])/1e6, "p99-ms")
			b.ReportMetric(float64(all[len(all)-1])/1e6, "max-ms")
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
