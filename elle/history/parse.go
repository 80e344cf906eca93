package history

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// Format is how a history is written down.
type Format uint8

// The formats. EDN and JSON may be a stream of entries (JSON: an object a line, or any
// other white space between them), or one vector or array of them.
const (
	Auto     Format = iota // tell by the beginning
	EDN                    // Jepsen's
	JSON                   // the same names in JSON
	Sessions               // lines "r key value" and "w key value", with ----- between transactions and ===== between sessions
	Log                    // lines of Jepsen's log: process, :type, :f and value behind a dash
)

var formats = []string{"auto", "edn", "json", "sessions", "log"}

func (f Format) String() string { return formats[f] }

// ParseFormat finds a format by its name.
func ParseFormat(name string) (Format, error) {
	for i, n := range formats {
		if n == name {
			return Format(i), nil
		}
	}
	return Auto, fmt.Errorf("no format of histories is called %q; known are %q", name, formats)
}

// ParseOptions say how to read. The zero value finds out.
type ParseOptions struct {
	Format Format
	// Window is how much of the input is held at first, in bytes; it grows to the size of
	// the largest entry. 0 is 1 MiB.
	Window int
}

// Parse reads a history to its end. Input that is compressed with gzip is unpacked, whatever
// it is called. Errors of r are returned as they are, mistakes in the history as *Error.
func Parse(r io.Reader, o ParseOptions) (*History, error) {
	b := NewBuilder()
	if err := ParseInto(b, r, o); err != nil {
		return nil, err
	}
	return b.History(), nil
}

// ParseInto is Parse, for a Builder to which more can be added. After an error the Builder
// holds what came before the mistake.
func ParseInto(b *Builder, r io.Reader, o ParseOptions) error {
	in := bufio.NewReaderSize(r, 4096)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = bufio.NewReaderSize(z, 4096)
	}
	if o.Format == Auto {
		o.Format = sniff(in)
	}
	if o.Window <= 0 {
		o.Window = 1 << 20
	}
	w := &window{r: in, buf: make([]byte, 0, o.Window)}
	switch o.Format {
	case JSON:
		p := jsonParser{}
		p.b = b
		return w.entries(&p.scanner, p.entry)
	case Sessions:
		return readSessions(b, in)
	case Log:
		return readLog(b, in)
	}
	p := ednParser{}
	p.b = b
	return w.entries(&p.scanner, p.entry)
}

// sniff tells the format by the first bytes that are not white space.
func sniff(in *bufio.Reader) Format {
	head, _ := in.Peek(4096)
	head = bytes.TrimLeft(head, " \t\r\n,\ufeff")
	if len(head) == 0 {
		return EDN
	}
	rest := bytes.TrimLeft(head[1:], " \t\r\n")
	switch head[0] {
	case '{':
		if len(rest) > 0 && rest[0] == '"' {
			return JSON
		}
	case '[':
		if len(rest) > 0 && rest[0] == '{' {
			rest = bytes.TrimLeft(rest[1:], " \t\r\n")
			if len(rest) > 0 && rest[0] == '"' {
				return JSON
			}
		}
	case 'r', 'w', '-', '=':
		return Sessions
	case 'I':
		if bytes.HasPrefix(head, []byte("INFO")) {
			return Log
		}
	}
	return EDN
}

// errShort says that the window ends within an entry.
var errShort = errors.New("unexpected end")

// window is the part of the input that is being read.
type window struct {
	r     io.Reader
	buf   []byte
	lines int // line ends in what has been dropped
	end   bool
}

// fill drops what lies before keep and reads more behind the rest.
func (w *window) fill(keep int) error {
	w.lines += bytes.Count(w.buf[:keep], []byte{'\n'})
	rest := copy(w.buf, w.buf[keep:])
	w.buf = w.buf[:rest]
	if rest == cap(w.buf) {
		w.buf = append(make([]byte, 0, 2*cap(w.buf)), w.buf...)
	}
	n, err := io.ReadFull(w.r, w.buf[rest:cap(w.buf)])
	w.buf = w.buf[:rest+n]
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		w.end = true
		return nil
	}
	return err
}

// line is the line of a position in the window.
func (w *window) line(pos int) int {
	return w.lines + bytes.Count(w.buf[:min(pos, len(w.buf))], []byte{'\n'}) + 1
}

// entries calls entry for each entry in the window until the input ends. An entry that the
// window cuts off is begun again when there is more of it, so entry must do nothing but
// fill the scanner's event.
func (w *window) entries(s *scanner, entry func() error) error {
	var open []int // lines where vectors began
	for {
		s.space()
		if s.pos >= len(s.buf) {
			if w.end {
				break
			}
			if err := w.fill(len(s.buf)); err != nil {
				return err
			}
			s.buf, s.pos = w.buf, 0
			continue
		}
		start := s.pos
		switch s.buf[start] {
		case '[', '(':
			open = append(open, w.line(start))
			s.pos++
			continue
		case ']', ')':
			if len(open) == 0 {
				return &Error{Line: w.line(start), Reason: fmt.Sprintf("%q closes nothing", s.buf[start])}
			}
			open = open[:len(open)-1]
			s.pos++
			continue
		}
		s.ev.reset()
		err := entry()
		if err == nil {
			err = s.check()
		}
		if err == errShort && !w.end {
			if err := w.fill(start); err != nil {
				return err
			}
			s.buf, s.pos = w.buf, 0
			continue
		}
		if err == nil {
			err = s.b.add(&s.ev)
		}
		if err != nil {
			at := &Error{Reason: err.Error()}
			errors.As(err, &at)
			if err == errShort {
				at.Reason = "the input ends within an entry"
			}
			at.Line = w.line(s.pos)
			return at
		}
	}
	if len(open) > 0 {
		return &Error{Line: open[0], Reason: "the vector that begins here does not end"}
	}
	return nil
}
