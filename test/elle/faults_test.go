package elle

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"rebase/elle"
	"rebase/elle/drive"
	"rebase/elle/history"
	"rebase/test/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// duration is how long clients invoke operations.
func duration(t *testing.T) time.Duration {
	text := os.Getenv("REBASE_ELLE_SECONDS")
	if text == "" {
		return 3 * time.Second
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Second
}

// options are those of all runs.
func options(url, workload string, seed uint64, d time.Duration) drive.Options {
	return drive.Options{URL: url, Namespace: "elle", Workload: workload, Duration: d, Timeout: time.Second,
		Clients: 8, Keys: 4, MaxWrites: 24, Pause: 2 * time.Millisecond, Seed: seed}
}

// judge checks a history with everything that there is for its workload, and keeps it if something is wrong.
func judge(t *testing.T, h *history.History, workload string) *elle.Result {
	t.Helper()
	w := elle.Workload(workload)
	if w == elle.Set {
		w = elle.SetStrict
	}
	r, err := elle.Check(context.Background(), h, elle.Options{Workload: w})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// keep writes a history to where it outlives the test.
func keep(t *testing.T, h *history.History, name string) {
	f, err := os.CreateTemp("", "elle-"+name+"-*.edn")
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	if err := h.WriteEDN(f); err != nil {
		t.Error(err)
	}
	t.Logf("the history is in %s", f.Name())
}

func consistent(t *testing.T, h *history.History, workload string) {
	t.Helper()
	r := judge(t, h, workload)
	if r.Valid != elle.Consistent {
		t.Errorf("%s: valid is %v: %v %v", workload, r.Valid, r.Types, r.Unknown)
		for _, a := range r.Anomalies[:min(3, len(r.Anomalies))] {
			t.Logf("%s\n%s", a.Type, r.Explain(a))
		}
		keep(t, h, workload)
	}
	if workload == "list-append" || workload == "rw-register" { // each key must be linearizable as well
		keys, err := elle.Check(context.Background(), h, elle.Options{Workload: elle.Keys, Time: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if keys.Valid == elle.Inconsistent {
			t.Errorf("%s: a key is not linearizable: %s", workload, keys.Explain(keys.Anomalies[0]))
			keep(t, h, workload)
		}
	}
	for _, d := range r.Decided {
		if d.Verdict == "refuted" {
			t.Errorf("%s: %s is refuted", workload, d.Model)
		}
	}
	t.Logf("%s: %d ok, %d failed, %d in doubt; decided: %v", workload, r.Stats.OK, r.Stats.Failed, r.Stats.InDoubt, r.Decided)
	if r.Stats.OK < 200 {
		t.Errorf("%s: only %d operations went well", workload, r.Stats.OK)
	}
}

// freeAddr is an address that a server can come back to.
func freeAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// torment kills a server and starts it again, or stops it for a while, until ctx ends. It leaves a server that runs.
func torment(ctx context.Context, t *testing.T, rng *rand.Rand, server *harness.Server, start func() (*harness.Server, error), note drive.Notes) (kills, stops int) {
	for {
		select {
		case <-ctx.Done():
			return kills, stops
		case <-time.After(time.Duration(200+rng.IntN(600)) * time.Millisecond):
		}
		if rng.IntN(3) == 0 {
			stops++
			note("stop", nil)
			if err := server.Signal(syscall.SIGSTOP); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Duration(100+rng.IntN(1500)) * time.Millisecond) // longer than some time-outs
			if err := server.Signal(syscall.SIGCONT); err != nil {
				t.Error(err)
			}
			note("continue", nil)
			continue
		}
		kills++
		note("kill", nil)
		server.Kill()
		var err error
		if server, err = start(); err != nil {
			t.Error(err)
			return kills, stops
		}
		note("start", nil)
	}
}

// TestStrictSerializableUnderFaults kills the server, and stops and continues it, while clients work.
func TestStrictSerializableUnderFaults(t *testing.T) {
	s := harness.Seed(t)
	for _, workload := range drive.Workloads {
		t.Run(workload, func(t *testing.T) {
			t.Parallel()
			data, addr := filepath.Join(t.TempDir(), "data"), freeAddr(t)
			start := func() (*harness.Server, error) { return harness.Start(t, data, "--listen", addr) }
			server, err := start()
			if err != nil {
				t.Fatal(err)
			}
			var kills, stops int
			h, err := drive.Run(t.Context(), options("http://"+addr, workload, s, duration(t)), func(ctx context.Context, note drive.Notes) {
				kills, stops = torment(ctx, t, rand.New(rand.NewPCG(s, 7)), server, start, note)
			})
			if err != nil {
				t.Fatal(err)
			}
			consistent(t, h, workload)
			t.Logf("%d kills, %d stops", kills, stops)
			if kills+stops == 0 {
				t.Error("nothing was done to the server")
			}
		})
	}
}

// TestStrictSerializable is the same in peace: nothing is in doubt then, and nothing may fail but for conditions.
func TestStrictSerializable(t *testing.T) {
	s := harness.Seed(t)
	server := harness.MustStart(t, filepath.Join(t.TempDir(), "data"))
	for _, workload := range drive.Workloads {
		o := options("http://"+server.Addr, workload, s, 0)
		o.Txns = 600
		h, err := drive.Run(t.Context(), o, nil)
		if err != nil {
			t.Fatal(err)
		}
		consistent(t, h, workload)
		r := judge(t, h, workload)
		if r.Stats.InDoubt > 0 || workload != "list-append" && workload != "rw-register" && r.Stats.Failed > 0 {
			t.Errorf("%s: %+v without faults", workload, r.Stats)
		}
	}
}
