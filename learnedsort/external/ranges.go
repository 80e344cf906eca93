package external

import (
	"io"
	"math/bits"
	"os"
	"slices"

	"rebase/learnedsort"
)

// A part is a file of records, and the range that their keys are in, by learnedsort.Order.
type part struct {
	*writer
	lo, hi uint64
}

// sortAll writes the records of a file in order to the result. The file is the whole one, or if p is not nil,
// that part of it. With halve, the model has not divided it well.
func (j *job[K]) sortAll(in io.ReaderAt, size int64, p *part, halve bool) error {
	n := size / int64(j.Width)
	capacity := max(j.o.Memory/j.perRecord(), 1)
	if n <= capacity {
		if p == nil {
			j.result.Ranges, j.result.Largest = 1, n
		}
		data := make([]byte, size)
		if err := readFull(in, data, 0); err != nil {
			return err
		}
		if err := j.ctx.Err(); err != nil {
			return err
		}
		return j.codec.sort(data, j.out.write)
	}
	if p != nil {
		if p.lo == p.hi {
			return j.copyAll(in, size)
		}
		j.result.Again++
	}

	var parts []*part
	var err error
	if halve {
		// The middle of the keys always tells some apart, and halves what lies between them.
		middle := p.lo + (p.hi-p.lo)/2
		parts, err = j.divide(in, size, p, 2, func(k K) int {
			_, below := bits.Sub64(middle, learnedsort.Order(k), 0)
			return int(below)
		})
	} else {
		var sample []K
		if sample, err = j.sample(in, n, p); err != nil {
			return err
		}
		model := learnedsort.Train(sample)
		// A few more than needed, as they do not come out equal.
		count := int(min((n+n/4)/capacity+1, maxRanges))
		parts, err = j.divide(in, size, p, count, func(k K) int { return model.Part(k, count) })
	}
	if err != nil {
		return err
	}
	if p == nil {
		j.result.Ranges = len(parts)
		for _, q := range parts {
			j.result.Largest = max(j.result.Largest, q.done/int64(j.Width))
		}
	}
	for len(parts) > 0 {
		q := parts[0]
		parts = parts[1:]
		// If most went into one part, the model tells little apart in it. Then it is halved, which together with
		// the parts being smaller bounds how often a record is divided by the bits of its key.
		err := j.sortAll(q.file, q.done, q, q.done > size/4*3)
		if err2 := q.discard(); err == nil {
			err = err2
		}
		if err != nil {
			discardAll(parts)
			return err
		}
	}
	return nil
}

// divide writes the records of a file to a part for each range that has any, in the order in which they come. After
// an error no part is left.
func (j *job[K]) divide(in io.ReaderAt, size int64, of *part, count int, rangeOf func(K) int) (parts []*part, err error) {
	ranges := make([]*part, count)
	defer func() {
		parts = slices.DeleteFunc(ranges, func(p *part) bool { return p == nil })
		if err != nil {
			discardAll(parts)
			parts = nil
		}
	}()
	buffer := int(min(max(j.o.Memory/int64(count), 4<<10), chunkSize))
	done := int64(0)
	err = records(in, size, j.Width, func(chunk []byte) error {
		for at := 0; at < len(chunk); at += j.Width {
			record := chunk[at : at+j.Width]
			k := j.key(j.bits(record))
			p := ranges[rangeOf(k)]
			if p == nil {
				file, err := os.CreateTemp(j.o.TempDir, "learnedsort-*")
				if err != nil {
					return err
				}
				p = &part{newWriter(file, buffer), 1<<64 - 1, 0}
				ranges[rangeOf(k)] = p
			}
			if err := p.write(record); err != nil {
				return err
			}
			order := learnedsort.Order(k)
			p.lo, p.hi = min(p.lo, order), max(p.hi, order)
		}
		done += int64(len(chunk))
		if of != nil {
			return j.ctx.Err()
		}
		return j.progress(Partitioning, done, size)
	})
	if err != nil {
		return nil, err
	}
	for _, p := range ranges {
		if p != nil {
			if err := p.flush(); err != nil {
				return nil, err
			}
			p.buf = nil // there is one for each part
		}
	}
	return nil, nil // set above
}

// copyAll writes records with equal keys to the result as they are.
func (j *job[K]) copyAll(in io.ReaderAt, size int64) error {
	return records(in, size, j.Width, j.out.write)
}

// discardAll removes the files.
func discardAll(parts []*part) {
	for _, p := range parts {
		p.discard() // the error that led here is the one to report
	}
}

const (
	samplePlaces = 4096
	sampleRun    = 16
)

// sample reads the keys of short runs of records from all over the file.
func (j *job[K]) sample(in io.ReaderAt, n int64, of *part) ([]K, error) {
	places := min(n/sampleRun, samplePlaces)
	if places == 0 {
		places = 1
	}
	run := make([]byte, min(n, sampleRun)*int64(j.Width))
	keys := make([]K, 0, int(places)*sampleRun)
	state := uint64(n)
	for i := range places {
		// A place anywhere in its stretch, lest the places fall in step with what repeats in the file.
		state = state*6364136223846793005 + 1442695040888963407
		from, to := startOf(n, i, places), startOf(n, i+1, places)-int64(len(run)/j.Width)
		within, _ := bits.Mul64(state, uint64(to-from+1))
		at := (from + int64(within)) * int64(j.Width)
		if err := readFull(in, run, at); err != nil {
			return nil, err
		}
		for at := 0; at < len(run); at += j.Width {
			keys = append(keys, j.key(j.bits(run[at:])))
		}
		if of == nil {
			if err := j.progress(Sampling, (i+1)*int64(len(run)), places*int64(len(run))); err != nil {
				return nil, err
			}
		}
	}
	return keys, nil
}

// startOf returns where stretch i begins of so many equal ones that n makes.
func startOf(n, i, parts int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(i))
	q, _ := bits.Div64(hi, lo, uint64(parts))
	return int64(q)
}
