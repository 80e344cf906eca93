package external

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rebase/learnedsort"
)

// Options say how to sort a file.
type Options struct {
	// Format says how records look; the zero Format means Records.
	Format Format

	// Memory is how many bytes to use for records while they are sorted, 256 MiB if it is 0. It is at least 64 KiB.
	// Buffers for reading and writing come on top, with as much again at most, or 4 MiB.
	Memory int64

	// TempDir is the folder for ranges. If it is empty, that is the folder of the result.
	TempDir string

	// Progress, if not nil, is called in the goroutine of SortFile, after every MiB or so.
	Progress func(Progress)
}

// Phase is what SortFile is doing.
type Phase string

const (
	Sampling     Phase = "sampling"     // reading some records
	Partitioning Phase = "partitioning" // dividing the file into ranges
	Sorting      Phase = "sorting"      // sorting ranges and writing the result
)

// Progress is how far SortFile is. Phases follow each other; within one, Done grows up to Total. A
// file that fits into memory is only sorted.
type Progress struct {
	Phase       Phase
	Done, Total int64 // bytes
}

// Result is what SortFile did.
type Result struct {
	Records int64
	// Ranges is the number of ranges that the model made of the file, 1 if it fit into memory, and Largest
	// the number of records in the largest one.
	Ranges  int
	Largest int64
	// Again is how many ranges did not fit into memory and were divided again.
	Again int
}

const (
	defaultMemory = 256 << 20
	leastMemory   = 64 << 10
	chunkSize     = 1 << 20
	// maxRanges bounds the number of files that are open at a time.
	maxRanges = 512
)

// SortFile sorts the records of the file src into the file dst, which is replaced if it is there. They may be the same.
//
// The error wraps what the operating system says, or the context's error, with the name of the file. After an error
// dst is as it was.
func SortFile(ctx context.Context, dst, src string, o Options) (Result, error) {
	if o.Format == (Format{}) {
		o.Format = Records
	}
	if err := o.Format.check(); err != nil {
		return Result{}, fmt.Errorf("sort %s: %w", src, err)
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	o.Memory = max(o.Memory, leastMemory)
	if o.TempDir == "" {
		o.TempDir = filepath.Dir(dst)
	}
	var result Result
	var err error
	switch o.Format.Kind {
	case Int64:
		result, err = sortFile(ctx, dst, src, o, codec[int64]{o.Format, asInt64})
	case Float64:
		result, err = sortFile(ctx, dst, src, o, codec[float64]{o.Format, asFloat64})
	default:
		result, err = sortFile(ctx, dst, src, o, codec[uint64]{o.Format, asUint64})
	}
	if err != nil {
		return Result{}, fmt.Errorf("sort %s: %w", src, err)
	}
	return result, nil
}

// job is one call of SortFile.
type job[K learnedsort.Key] struct {
	codec[K]
	ctx    context.Context
	o      Options
	out    *writer
	result Result
}

func sortFile[K learnedsort.Key](ctx context.Context, dst, src string, o Options, c codec[K]) (_ Result, err error) {
	in, err := os.Open(src)
	if err != nil {
		return Result{}, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return Result{}, err
	}
	if !info.Mode().IsRegular() {
		return Result{}, errors.New("not a regular file")
	}
	size := info.Size()
	if size%int64(c.Width) != 0 {
		return Result{}, fmt.Errorf("%d bytes are not a whole number of records of %d bytes", size, c.Width)
	}

	temp, err := os.CreateTemp(filepath.Dir(dst), "learnedsort-*")
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	j := &job[K]{codec: c, ctx: ctx, o: o, out: newWriter(temp, chunkSize)}
	j.out.written = func(done int64) error { return j.progress(Sorting, done, size) }
	j.result.Records = size / int64(c.Width)

	if err := j.sortAll(in, size, nil, false); err != nil {
		return Result{}, err
	}
	if err := j.out.flush(); err != nil {
		return Result{}, err
	}
	// In the order that makes the result whole, whenever the power fails.
	if err := temp.Chmod(info.Mode().Perm()); err != nil {
		return Result{}, err
	}
	if err := temp.Sync(); err != nil {
		return Result{}, err
	}
	if err := temp.Close(); err != nil {
		return Result{}, err
	}
	if err := os.Rename(temp.Name(), dst); err != nil {
		return Result{}, err
	}
	return j.result, syncDir(filepath.Dir(dst))
}

func (j *job[K]) progress(phase Phase, done, total int64) error {
	if j.o.Progress != nil {
		j.o.Progress(Progress{phase, done, total})
	}
	return j.ctx.Err()
}

// syncDir makes names in a folder durable.
func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
