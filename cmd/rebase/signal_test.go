package main

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// timeout(1) and npm send a signal twice at once: that is one, and the server ends in order.
func TestSignalThatComesTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal)
		second := false
		go func() { secondSignal(signals, time.Now()); second = true }()
		synctest.Wait()
		signals <- syscall.SIGTERM
		synctest.Wait()
		if second {
			t.Error("the echo of a signal was taken for a second one")
		}
		time.Sleep(signalEcho)
		signals <- syscall.SIGTERM
		synctest.Wait()
		if !second {
			t.Error("a second signal was not taken for one")
		}
	})
}
