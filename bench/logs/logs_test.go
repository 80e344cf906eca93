package logs_test

import (
	"context"
	"os"
	"testing"
	"time"

	"rebase/bench/logs"
	"rebase/test/engines"
)

// TestEngines runs every scenario, shortly, on the engines that need no other process. With REBASE_BENCH=log it is the measurement itself, with real
// etcd and ZooKeeper servers beside them, of one member each: "make bench-log".
func TestEngines(t *testing.T) {
	o := logs.Options{Dir: t.TempDir(), Duration: 10 * time.Millisecond, Switches: 3, Appenders: []int{1, 16}}
	if os.Getenv("REBASE_BENCH") == "log" {
		o = logs.Options{Dir: t.TempDir(), Etcd: []string{engines.Etcd(t).ClientURL}, ZooKeeper: engines.ZooKeeper(t, 1).Servers(), Duration: 6 * time.Second}
	}
	o.Progress = func(what string) { t.Log(what) }
	r, err := logs.Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WriteTable(os.Stdout); err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if row.Metric == "appends" && row.Value <= 0 {
			t.Errorf("%s: %v appends", row.Scenario, row.Value)
		}
	}
}
