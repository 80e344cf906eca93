package mail

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"
)

// compose writes the message as RFC 5322 has it.
func (s *Server) compose(m Message) ([]byte, error) {
	var b bytes.Buffer
	from := s.from
	if m.FromName != "" {
		from.Name = oneLine(m.FromName)
	}
	id := make([]byte, 16)
	rand.Read(id)
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", from.String())
	header("To", (&mail.Address{Address: m.To}).String())
	header("Subject", mime.QEncoding.Encode("utf-8", oneLine(m.Subject)))
	header("Date", s.o.Now().Format(time.RFC1123Z))
	header("Message-ID", "<"+hex.EncodeToString(id)+"@"+domain+">")
	header("MIME-Version", "1.0")
	if m.AutoSubmitted {
		header("Auto-Submitted", "auto-generated")
	}
	part := func(kind, text string) error {
		header("Content-Type", "text/"+kind+"; charset=utf-8")
		header("Content-Transfer-Encoding", "quoted-printable")
		b.WriteString("\r\n")
		w := quotedprintable.NewWriter(&b)
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		b.WriteString("\r\n")
		return nil
	}
	if m.HTML == "" {
		err := part("plain", m.Text)
		return b.Bytes(), err
	}
	boundary := "=_" + hex.EncodeToString(id)
	header("Content-Type", `multipart/alternative; boundary="`+boundary+`"`)
	b.WriteString("\r\n--" + boundary + "\r\n")
	if err := part("plain", m.Text); err != nil {
		return nil, err
	}
	b.WriteString("--" + boundary + "\r\n")
	if err := part("html", m.HTML); err != nil {
		return nil, err
	}
	b.WriteString("--" + boundary + "--\r\n")
	return b.Bytes(), nil
}

// oneLine keeps a text from adding headers.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\r' || r == '\n' || r == 0 }), " ")
}

// login logs in if there is a user, by PLAIN if the server has it, else by LOGIN.
func (s *Server) login(c *smtp.Client) error {
	if s.user == nil {
		return nil
	}
	pw, _ := s.user.Password()
	_, methods := c.Extension("AUTH")
	if !strings.Contains(" "+methods+" ", " PLAIN ") && strings.Contains(" "+methods+" ", " LOGIN ") {
		return c.Auth(&loginAuth{user: s.user.Username(), password: pw, host: s.host})
	}
	// It refuses to send a password in plain to another machine.
	return c.Auth(smtp.PlainAuth("", s.user.Username(), pw, s.host))
}

// loginAuth is the mechanism LOGIN, which some servers have alone.
type loginAuth struct{ user, password, host string }

func (a *loginAuth) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !local(a.host) {
		return "", nil, errors.New("the connection is not encrypted")
	}
	return "LOGIN", nil, nil
}

func (a *loginAuth) Next(prompt []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch strings.ToLower(strings.TrimSuffix(strings.TrimSpace(string(prompt)), ":")) {
	case "username", "user name":
		return []byte(a.user), nil
	case "password":
		return []byte(a.password), nil
	}
	return nil, fmt.Errorf("the server asks for %q", prompt)
}

// replyCode is the code of a server's refusal; 0 if err is something else.
func replyCode(err error) int {
	var e *textproto.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}
