package mem

import (
	"testing"

	"rebase/vlog"
	"rebase/vlog/logtest"
)

func TestConformance(t *testing.T) {
	logtest.Run(t, logtest.Subject{New: func(testing.TB) logtest.Log { return New() }})
}

func TestMeta(t *testing.T) {
	logtest.RunMeta(t, func(*testing.T) vlog.MetaStore { return new(Meta) })
}
