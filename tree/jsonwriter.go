package tree

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// A JSONWriter writes export JSON from leaves that come in the order of a walk by keys, in constant memory. What it writes
// equals AppendExport of the tree of these leaves. It is for one goroutine.
type JSONWriter struct {
	w    *bufio.Writer
	buf  []byte
	prev Path // of the last call
	// started: something is written. leaf: prev is a leaf, and nothing can be below it.
	started, leaf bool
	comma         bool // the innermost open object has a member
	open          Path // the innermost open object
	err           error
}

// NewJSONWriter returns a writer of one value. It buffers: the end of the text is only written by Close.
func NewJSONWriter(w io.Writer) *JSONWriter {
	return &JSONWriter{w: bufio.NewWriterSize(w, 32<<10)}
}

// Leaf writes a leaf, with its priority. The error is that of the first write that failed, or says that p is out of order.
func (w *JSONWriter) Leaf(p Path, leaf *Node) error {
	if !w.advance(p) {
		return w.err
	}
	w.leaf = true
	if p != "" {
		w.enter(p.Parent())
		w.key(p.Base())
	}
	w.buf = AppendExport(w.buf, leaf)
	return w.flush()
}

// Priority writes the priority of the object at p. It must be called before that object's children, of which there must be
// one at least.
func (w *JSONWriter) Priority(p Path, prio *Node) error {
	if !w.advance(p) {
		return w.err
	}
	w.leaf = false
	w.enter(p)
	w.key(PriorityKey)
	w.buf = AppendLeafJSON(w.buf, prio)
	return w.flush()
}

// Close ends the text, "null" if there was no leaf. It does not close the underlying writer.
func (w *JSONWriter) Close() error {
	if w.err != nil {
		return w.err
	}
	switch {
	case !w.started:
		w.buf = append(w.buf, "null"...)
	case w.prev == "" && w.leaf:
	default:
		w.leave("")
		w.buf = append(w.buf, '}')
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.err = w.w.Flush()
	return w.err
}

// advance checks the order.
func (w *JSONWriter) advance(p Path) bool {
	if w.err == nil && w.started && (ComparePaths(w.prev, p) >= 0 || w.leaf && w.prev.Contains(p)) {
		w.err = fmt.Errorf("tree: JSON written out of order: %s after %s", printPath(p), printPath(w.prev))
	}
	w.prev = p
	return w.err == nil
}

func (w *JSONWriter) flush() error {
	if w.err == nil {
		_, w.err = w.w.Write(w.buf)
	}
	w.started = true
	w.buf = w.buf[:0]
	return w.err
}

func (w *JSONWriter) key(key string) {
	if w.comma {
		w.buf = append(w.buf, ',')
	}
	w.comma = true
	w.buf = append(AppendJSONString(w.buf, key), ':')
}

// enter makes p the innermost open object.
func (w *JSONWriter) enter(p Path) {
	if !w.started {
		w.buf = append(w.buf, '{')
	}
	for !w.open.Contains(p) {
		w.leave(w.open.Parent())
	}
	for rest := p.Rel(w.open); rest != ""; {
		var key string
		key, rest = rest.Front()
		w.key(key)
		w.buf = append(w.buf, '{')
		w.comma = false
	}
	w.open = p
}

// leave closes the objects below p, of which the innermost open one is one.
func (w *JSONWriter) leave(p Path) {
	if rel := w.open.Rel(p); rel != "" {
		for range 1 + strings.Count(string(rel), "/") {
			w.buf = append(w.buf, '}')
		}
		w.comma = true
	}
	w.open = p
}
