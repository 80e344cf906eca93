package rest

import (
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"rebase/tree"
)

const (
	jsonType       = "application/json; charset=utf-8"
	javascriptType = "application/javascript; charset=utf-8"

	// holdBytes of a response are held back before the status is sent: up to then
	// a failure can still be answered with a proper status.
	holdBytes = 64 << 10
	// gzipBytes is the size from which a response is worth compressing.
	gzipBytes = 1 << 10
	// sendChunk is what is written under one deadline: a client that does not take
	// that much within Options.WriteStall is given up.
	sendChunk = 64 << 10
)

// output is a response that may yet turn out to be an error. Writes are held back
// until there are holdBytes of them or finish is called; then they go to the client,
// compressed if it accepts that.
type output struct {
	w     http.ResponseWriter
	r     *http.Request
	stall time.Duration // Options.WriteStall

	held      []byte
	committed bool
	broken    bool // the client does not take any more
	deadlines bool // of writing have been set on the connection
	status    int
	written   int64 // bytes of body before compression
	gz        *gzip.Writer
}

var gzipWriters = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return z
}}

func (o *output) header() http.Header { return o.w.Header() }

// reset forgets what is held, to answer something else.
func (o *output) reset() { o.held = o.held[:0] }

// Write implements io.Writer for the success of a request: status 200.
func (o *output) Write(b []byte) (int, error) {
	o.written += int64(len(b))
	if !o.committed {
		if len(o.held)+len(b) <= holdBytes {
			o.held = append(o.held, b...)
			return len(b), nil
		}
		o.commit(http.StatusOK, true)
		held := o.held
		o.held = nil
		if err := o.send(held); err != nil {
			return 0, err
		}
	}
	return len(b), o.send(b)
}

func (o *output) send(b []byte) (err error) {
	if len(b) > 0 && o.gz != nil {
		_, err = o.gz.Write(b)
	} else if len(b) > 0 {
		_, err = patient{o}.Write(b)
	}
	o.broken = o.broken || err != nil
	return err
}

// patient writes to the client chunk by chunk, each under a deadline of its own: a
// long answer may take as long as it likes, but a client that takes nothing must not
// hold on to a snapshot of the store for ever.
type patient struct{ o *output }

func (p patient) Write(b []byte) (n int, err error) {
	rc := http.NewResponseController(p.o.w)
	for n < len(b) && err == nil {
		var m int
		rc.SetWriteDeadline(time.Now().Add(p.o.stall)) // not all writers have deadlines
		m, err = p.o.w.Write(b[n:min(len(b), n+sendChunk)])
		n += m
	}
	p.o.deadlines = true
	return n, err
}

// commit sends the status and headers; large says that the body is worth compressing.
func (o *output) commit(status int, large bool) {
	o.committed, o.status = true, status
	h := o.header()
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if status != http.StatusNoContent && status != http.StatusNotModified {
		h.Add("Vary", "Accept-Encoding")
		if large && acceptsGzip(o.r) {
			h.Set("Content-Encoding", "gzip")
			h.Del("Content-Length")
			o.gz = gzipWriters.Get().(*gzip.Writer)
			o.gz.Reset(patient{o})
		}
	}
	o.w.WriteHeader(status)
}

// finish sends what is left and ends the response. An error says that the client
// has gone; nobody is left to be told of it, so most callers pass it up unlooked at.
func (o *output) finish(status int) error {
	if !o.committed {
		large := len(o.held) >= gzipBytes
		switch {
		case status == http.StatusNoContent || status == http.StatusNotModified:
			o.held = nil
		case !large || !acceptsGzip(o.r):
			o.header().Set("Content-Length", strconv.Itoa(len(o.held)))
		}
		o.commit(status, large)
		if err := o.send(o.held); err != nil {
			return err
		}
	}
	if o.deadlines {
		// The connection goes back to the server, for other requests.
		defer http.NewResponseController(o.w).SetWriteDeadline(time.Time{})
	}
	if o.gz == nil {
		return nil
	}
	err := o.gz.Close()
	o.broken = o.broken || err != nil
	o.gz.Reset(io.Discard) // keep no reference to the connection
	gzipWriters.Put(o.gz)
	o.gz = nil
	return err
}

// acceptsGzip reads Accept-Encoding: gzip, x-gzip or *, unless its q is 0.
func acceptsGzip(r *http.Request) bool {
	for _, v := range r.Header.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(v, ",") {
			name, rest, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip", "*":
				q, found := strings.CutPrefix(strings.ReplaceAll(rest, " ", ""), "q=")
				if f, err := strconv.ParseFloat(q, 64); found && err == nil && f == 0 {
					continue
				}
				return true
			}
		}
	}
	return false
}

// contentHeaders sets what the parameters say about the kind of the response.
func (q *request) contentHeaders() {
	h := q.out.header()
	h.Set("Content-Type", jsonType)
	if q.params.callback != "" && q.method == http.MethodGet {
		h.Set("Content-Type", javascriptType)
	}
	if q.params.attach {
		disposition := "attachment"
		if q.params.download != "" {
			// Empty if the name cannot be sent; then the attachment has none.
			if d := mime.FormatMediaType("attachment", map[string]string{"filename": q.params.download}); d != "" {
				disposition = d
			}
		}
		h.Set("Content-Disposition", disposition)
	}
}

// respond answers 200 with a JSON document in the form the parameters ask for, or
// 204 with print=silent.
func (q *request) respond(doc []byte) error {
	if q.params.silent {
		return q.out.finish(http.StatusNoContent)
	}
	q.contentHeaders()
	if q.params.pretty {
		doc = tree.Indent(nil, doc)
	}
	if q.params.callback != "" && q.method == http.MethodGet {
		io.WriteString(q.out, q.params.callback+"(")
		writeScriptJSON(q.out, doc)
		io.WriteString(q.out, ");")
	} else {
		q.out.Write(doc)
	}
	return q.out.finish(http.StatusOK)
}

// writeScriptJSON writes JSON so that it is also JavaScript of before 2019, in which
// U+2028 and U+2029 end a line even within a string.
func writeScriptJSON(w io.Writer, doc []byte) {
	s := string(doc)
	s = strings.ReplaceAll(s, "\u2028", `\u2028`)
	s = strings.ReplaceAll(s, "\u2029", `\u2029`)
	io.WriteString(w, s)
}
