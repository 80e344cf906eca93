package zookeeper

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"rebase/test/engines"
	"rebase/vlog/logtest"
	"rebase/vlog/rawsync"
)

// BenchmarkAppend measures, by turns, this loglet, one sequential node for each append as a shim without batches would have it (with the usual
// client library), and what the disk can do. The rates and latencies are medians of the turns; the ratio is to the disk in the same turn.
func BenchmarkAppend(b *testing.B) {
	const turn = 300 * time.Millisecond
	for _, servers := range []int{1, 3} {
		for _, appenders := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("servers=%d/appenders=%d", servers, appenders), func(b *testing.B) {
				e := engines.ZooKeeper(b, servers)
				l := newWorld(e.Servers()).create(b)
				plain, _, err := zk.Connect(e.Servers(), 5*time.Second, zk.WithLogInfo(false))
				if err != nil {
					b.Fatal(err)
				}
				defer plain.Close()
				if _, err := plain.Create("/plain", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
					b.Fatal(err)
				}
				dir, body := b.TempDir(), make([]byte, 256)
				ours := func(int) error { _, err := l.Append(bg, body); return err }
				naive := func(int) error {
					_, err := plain.Create("/plain/e", body, zk.FlagSequence, zk.WorldACL(zk.PermAll))
					return err
				}
				for range 4 { // the servers' compiler warms up
					logtest.Drive(b, appenders, turn, ours)
					logtest.Drive(b, appenders, turn, naive)
				}
				var rate, rateNaive, ratio, ratioNaive, p50, p99, p50Naive, p99Naive []float64
				for range 5 {
					limit, err := rawsync.Measure(dir, appenders, len(body), turn)
					if err != nil {
						b.Fatal(err)
					}
					r, lat := logtest.Drive(b, appenders, turn, ours)
					slices.Sort(lat)
					rate, ratio = append(rate, r), append(ratio, r/limit)
					p50, p99 = append(p50, us(lat[len(lat)/2])), append(p99, us(lat[len(lat)*99/100]))
					r, lat = logtest.Drive(b, appenders, turn, naive)
					slices.Sort(lat)
					rateNaive, ratioNaive = append(rateNaive, r), append(ratioNaive, r/limit)
					p50Naive, p99Naive = append(p50Naive, us(lat[len(lat)/2])), append(p99Naive, us(lat[len(lat)*99/100]))
				}
				b.ReportMetric(0, "ns/op")
				for name, v := range map[string][]float64{
					"appends/s": rate, "of-limit": ratio, "p50-µs": p50, "p99-µs": p99,
					"plain/s": rateNaive, "plain-of-limit": ratioNaive, "plain-p50-µs": p50Naive, "plain-p99-µs": p99Naive,
				} {
					slices.Sort(v)
					b.ReportMetric(v[len(v)/2], name)
				}
			})
		}
	}
}

// BenchmarkPipeline measures, by turns, one transaction under way and several, with entries so large that a batch holds few of them.
func BenchmarkPipeline(b *testing.B) {
	e := engines.ZooKeeper(b, 1)
	for _, appenders := range []int{4, 16} { // more would overwhelm the memory of the test's servers
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			w := newWorld(e.Servers())
			w.opts.MaxInFlight = 1
			one := w.create(b)
			w.opts.MaxInFlight = 0
			several := w.create(b)
			body := make([]byte, 16<<10)
			var rateOne, rateSeveral, ratio []float64
			for turn := range 8 {
				r1, _ := logtest.Drive(b, appenders, 300*time.Millisecond, func(int) error { _, err := one.Append(bg, body); return err })
				r2, _ := logtest.Drive(b, appenders, 300*time.Millisecond, func(int) error { _, err := several.Append(bg, body); return err })
				if turn > 2 {
					rateOne, rateSeveral, ratio = append(rateOne, r1), append(rateSeveral, r2), append(ratio, r2/r1)
				}
			}
			for _, l := range []*Loglet{one, several} {
				if err := l.Remove(bg); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(0, "ns/op")
			for name, v := range map[string][]float64{"one/s": rateOne, "several/s": rateSeveral, "several-to-one": ratio} {
				slices.Sort(v)
				b.ReportMetric(v[len(v)/2], name)
			}
		})
	}
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
