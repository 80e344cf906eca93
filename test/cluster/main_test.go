package cluster

import (
	"os"
	"testing"

	"rebase/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Sandbox(m, nil, "strace")) }
