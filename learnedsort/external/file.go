package external

import (
	"errors"
	"io"
	"os"
)

// writer gathers records and writes them in long stretches.
type writer struct {
	file    *os.File
	buf     []byte
	done    int64
	written func(done int64) error // after each stretch, if not nil
}

func newWriter(file *os.File, size int) *writer {
	return &writer{file: file, buf: make([]byte, 0, size)}
}

func (w *writer) write(b []byte) error {
	for len(w.buf)+len(b) > cap(w.buf) {
		n := cap(w.buf) - len(w.buf)
		w.buf = append(w.buf, b[:n]...)
		b = b[n:]
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, b...)
	return nil
}

func (w *writer) flush() error {
	n, err := w.file.Write(w.buf)
	w.done += int64(n)
	w.buf = w.buf[:0]
	if err == nil && w.written != nil {
		err = w.written(w.done)
	}
	return err
}

// discard closes and removes the file.
func (w *writer) discard() error {
	return errors.Join(w.file.Close(), os.Remove(w.file.Name()))
}

// records reads size bytes in chunks of whole records of a width and hands them on. A file that
// turns out shorter gives io.ErrUnexpectedEOF.
func records(in io.ReaderAt, size int64, width int, each func(chunk []byte) error) error {
	chunk := make([]byte, min(size, int64(max(chunkSize/width, 1)*width)))
	for at := int64(0); at < size; {
		part := chunk[:min(size-at, int64(len(chunk)))]
		if err := readFull(in, part, at); err != nil {
			return err
		}
		if err := each(part); err != nil {
			return err
		}
		at += int64(len(part))
	}
	return nil
}

func readFull(in io.ReaderAt, b []byte, at int64) error {
	n, err := in.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
