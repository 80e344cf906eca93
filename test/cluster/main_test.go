package cluster

import (
	"fmt"
	"os"
	"testing"

	"rebase/test/engines"
	"rebase/test/harness"
)

func TestMain(m *testing.M) {
	os.Exit(harness.Sandbox(m, func() error { return fetch(func(t testing.TB) { engines.FetchZooKeeper(t) }) }, "strace"))
}

// fetch does something that a test would, outside of any.
func fetch(do func(testing.TB)) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	do(outside{})
	return nil
}

// outside is a test that can only fail.
type outside struct{ testing.TB }

func (outside) Helper()                           {}
func (outside) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (outside) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
