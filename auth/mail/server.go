package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/url"
	"strings"
	"time"
)

// Message is one mail to one address.
type Message struct {
	To            string // an address alone
	Subject       string
	Text, HTML    string // HTML may be empty
	FromName      string // shown for the sender's address; may be empty
	AutoSubmitted bool   // adds the header that keeps robots from answering (RFC 3834)
}

// Options of a Server.
type Options struct {
	// URL is smtp://[user:password@]host[:port] or smtps://… for TLS from the start. Ports are by default 587 and 465. smtp:// uses STARTTLS if the server
	// has it, and insists on it with ?starttls=required or if there is a password and the server is not this machine.
	URL string
	// From is the sender: "noreply@example.com" or "App <noreply@example.com>".
	From string
	// Timeout bounds the whole delivery of a message; 0 is 30 s.
	Timeout time.Duration
	// TLS is for tests; nil: the system's certificates.
	TLS *tls.Config
	Now func() time.Time // nil: time.Now
}

// Server is a mail server.
type Server struct {
	o        Options
	from     mail.Address
	host     string
	address  string
	implicit bool
	required bool
	user     *url.Userinfo
}

// New returns a server. It is not connected to before there is a mail.
func New(o Options) (*Server, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errors.New("the mail server's address is no URL") // it may hold a password: not repeated
	}
	s := &Server{o: o, host: u.Hostname(), implicit: u.Scheme == "smtps", user: u.User}
	if u.Scheme != "smtp" && u.Scheme != "smtps" || s.host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("the mail server is given as smtp://user:password@host:587 or smtps://user:password@host:465")
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "587", true: "465"}[s.implicit]
	}
	s.address = net.JoinHostPort(s.host, port)
	switch v := u.Query().Get("starttls"); v {
	case "", "required":
		s.required = v != "" || u.User != nil && !local(s.host)
	default:
		return nil, fmt.Errorf("starttls=%s: it can only be required", v)
	}
	from, err := mail.ParseAddress(o.From)
	if err != nil {
		return nil, fmt.Errorf("the sender's address %q: %w", o.From, err)
	}
	s.from = *from
	if s.o.Timeout == 0 {
		s.o.Timeout = 30 * time.Second
	}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	return s, nil
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Send delivers a message to the mail server. A *PermanentError says that trying again is of no use.
func (s *Server) Send(ctx context.Context, m Message) error {
	to, err := mail.ParseAddress(m.To)
	if err != nil || to.Address != m.To {
		return &PermanentError{fmt.Errorf("not an address: %q", m.To)}
	}
	body, err := s.compose(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	return s.deliver(ctx, to.Address, body)
}

// PermanentError is a refusal that will be repeated.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

func (s *Server) tls() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.o.TLS != nil {
		c = s.o.TLS.Clone()
	}
	c.ServerName = s.host
	return c
}

func (s *Server) deliver(ctx context.Context, to string, body []byte) (err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer func() {
		if code := replyCode(err); code >= 500 {
			err = &PermanentError{err}
		}
	}()
	if s.implicit {
		conn = tls.Client(conn, s.tls())
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return fmt.Errorf("greeting %s: %w", s.address, err)
	}
	defer c.Close()
	if err := c.Hello("localhost"); err != nil {
		return err
	}
	if !s.implicit {
		if ok, _ := c.Extension("STARTTLS"); ok {
			if err := c.StartTLS(s.tls()); err != nil {
				return fmt.Errorf("STARTTLS with %s: %w", s.address, err)
			}
		} else if s.required {
			return fmt.Errorf("%s does not offer STARTTLS, without which nothing is sent there", s.address)
		}
	}
	if err := s.login(c); err != nil {
		return fmt.Errorf("logging in to %s: %w", s.address, err)
	}
	if err := c.Mail(s.from.Address); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_ = c.Quit() // the mail is accepted: how the conversation ends does not matter
	return nil
}
