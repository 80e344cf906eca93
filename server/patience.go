package server

import (
	"io"
	"net/http"
	"time"
)

// A body has to come at bodyRate bytes a second on the whole, and bodyGrace more. Otherwise connections that send a byte now and then would
// hold on to what there is of files, before anybody has said who they are.
const (
	bodyGrace = 30 * time.Second
	bodyRate  = 4 << 10
)

// hurryBodies ends requests whose bodies come too slowly.
func hurryBodies(grace time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &hurriedBody{ReadCloser: r.Body, conn: http.NewResponseController(w), due: time.Now().Add(grace)}
		}
		next.ServeHTTP(w, r)
	})
}

type hurriedBody struct {
	io.ReadCloser
	conn *http.ResponseController
	due  time.Time // when nothing has come yet
	read int64
}

func (b *hurriedBody) Read(p []byte) (int, error) {
	_ = b.conn.SetReadDeadline(b.due.Add(time.Duration(b.read) * time.Second / bodyRate)) // a connection that has none (in a test) has no time to waste
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if err == io.EOF {
		// From here on the server only watches whether the client is still there, for as long as the answer takes.
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}
