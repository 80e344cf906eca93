package rawsync

import (
	"os"
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	ops, err := Measure(dir, 4, 100, 20*time.Millisecond)
	if err != nil || ops <= 0 {
		t.Fatalf("Measure = %v, %v", ops, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
	if _, err := Measure(dir+"/missing", 1, 100, time.Millisecond); err == nil {
		t.Fatal("no error for a directory that does not exist")
	}
}
