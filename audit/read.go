package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"iter"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// maxLine is more than any line has.
const maxLine = 1 << 20

// Events reads the events of the journal in a folder, oldest first, also while it
// is written. A line that is no event (a crash cut it off) is passed over. An
// error is the last that comes. A nil fs is the operating system's.
func Events(fs vfs.FS, dir string) iter.Seq2[Event, error] {
	if fs == nil {
		fs = vfs.Default
	}
	return func(yield func(Event, error) bool) {
		found, err := list(fs, dir)
		if err != nil {
			yield(Event{}, err)
			return
		}
		for _, f := range found {
			more, err := readFile(fs, fs.PathJoin(dir, fileName(f.number)), yield)
			if err != nil {
				yield(Event{}, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

func readFile(fs vfs.FS, name string, yield func(Event, error) bool) (more bool, err error) {
	f, err := fs.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line) <= maxLine {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		var e Event
		if len(line) <= maxLine && json.Unmarshal(line, &e) == nil && e.Act != "" && !yield(e, nil) {
			return false, nil
		}
		line = line[:0]
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}
