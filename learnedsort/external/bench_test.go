package external

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"rebase/learnedsort"
)

// BenchmarkSortFile compares with the other way to sort a file, runs that are sorted in memory and merged: same memory, same kind of
// buffers, the same sort within runs.
func BenchmarkSortFile(b *testing.B) {
	const n, memory = 4_000_000, 16 << 20
	for _, shape := range []int{0, 3} {
		in, data := makeFile(b, Records, n, shapes[shape].key)
		out := filepath.Join(b.TempDir(), "out")
		for _, c := range []struct {
			by   string
			sort func() error
		}{
			{"merge", func() error { return mergeFile(out, in, memory) }},
			{"learnedsort", func() error {
				_, err := SortFile(b.Context(), out, in, Options{Memory: memory})
				return err
			}},
		} {
			b.Run(fmt.Sprintf("n=%d/type=record/dist=%s/by=%s", n, shapes[shape].name, c.by), func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					if err := c.sort(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// head is the next record of a run.
type head struct {
	key, value uint64
	run        int
	rest       *bufio.Reader
}

type heads []*head

func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	return h[i].key < h[j].key || h[i].key == h[j].key && h[i].run < h[j].run
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)   { *h = append(*h, x.(*head)) }
func (h *heads) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (h *head) next() error {
	var record [16]byte
	if _, err := io.ReadFull(h.rest, record[:]); err != nil {
		return err
	}
	h.key, h.value = binary.LittleEndian.Uint64(record[:]), binary.LittleEndian.Uint64(record[8:])
	return nil
}

// mergeFile is the textbook's external merge sort, of Records.
func mergeFile(dst, src string, memory int64) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	defer out.Close()

	var runs heads
	x := make([]learnedsort.Record, memory/(16+16+2))
	data := make([]byte, 16*len(x))
	for {
		n, err := io.ReadFull(in, data)
		if n == 0 && err == io.EOF {
			break
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return err
		}
		part := x[:n/16]
		for i := range part {
			part[i] = learnedsort.Record{Key: binary.LittleEndian.Uint64(data[16*i:]), Value: binary.LittleEndian.Uint64(data[16*i+8:])}
		}
		learnedsort.SortRecords(part)
		for i, r := range part {
			binary.LittleEndian.PutUint64(data[16*i:], r.Key)
			binary.LittleEndian.PutUint64(data[16*i+8:], r.Value)
		}
		run, err := os.CreateTemp(filepath.Dir(dst), "run-*")
		if err != nil {
			return err
		}
		defer os.Remove(run.Name())
		defer run.Close()
		if _, err := run.Write(data[:n]); err != nil {
			return err
		}
		if _, err := run.Seek(0, io.SeekStart); err != nil {
			return err
		}
		h := &head{run: len(runs), rest: bufio.NewReaderSize(run, 1<<18)}
		if err := h.next(); err != nil {
			return err
		}
		runs = append(runs, h)
	}
	heap.Init(&runs)
	w := bufio.NewWriterSize(out, chunkSize)
	var record [16]byte
	for len(runs) > 0 {
		h := runs[0]
		binary.LittleEndian.PutUint64(record[:], h.key)
		binary.LittleEndian.PutUint64(record[8:], h.value)
		if _, err := w.Write(record[:]); err != nil {
			return err
		}
		if err := h.next(); err == io.EOF {
			heap.Pop(&runs)
		} else if err != nil {
			return err
		} else {
			heap.Fix(&runs, 0)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return out.Sync()
}

func TestMergeFileIsAFairComparison(t *testing.T) {
	in, data := makeFile(t, Records, 5000, shapes[0].key)
	if err := mergeFile(in+".sorted", in, 64<<10); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(in + ".sorted")
	if err != nil || string(got) != string(sorted(Records, data)) {
		t.Error("not sorted", err)
	}
}
