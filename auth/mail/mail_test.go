package mail

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"
)

// smtpServer is a small mail server: it takes mails, with TLS and a login if told so.
type smtpServer struct {
	behaviour
	t   *testing.T
	l   net.Listener
	tls *tls.Config

	mu   sync.Mutex
	got  []string // mails as they came
	talk []string // commands, without what is secret
}

type behaviour struct {
	implicit bool
	starttls bool
	auth     string // mechanisms that it offers; "" for none
	refuse   string // the answer to RCPT; "" accepts
}

func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1")}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func (s *smtpServer) start() (address string) {
	s.t.Helper()
	var err error
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.l.Close() })
	go func() {
		for {
			c, err := s.l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s.l.Addr().String()
}

func (s *smtpServer) note(list *[]string, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = append(*list, text)
}

func (s *smtpServer) serve(c net.Conn) {
	defer c.Close()
	secure := s.implicit
	if secure {
		c = tls.Server(c, s.tls)
	}
	r := bufio.NewReader(c)
	say := func(format string, args ...any) { fmt.Fprintf(c, format+"\r\n", args...) }
	line := func() (string, bool) {
		text, err := r.ReadString('\n')
		return strings.TrimRight(text, "\r\n"), err == nil
	}
	say("220 test ready")
	for {
		text, ok := line()
		if !ok {
			return
		}
		verb, rest, _ := strings.Cut(text, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			s.note(&s.talk, "EHLO")
			say("250-test")
			if s.starttls && !secure {
				say("250-STARTTLS")
			}
			if s.auth != "" {
				say("250-AUTH %s", s.auth)
			}
			say("250 8BITMIME")
		case "STARTTLS":
			s.note(&s.talk, "STARTTLS")
			say("220 go on")
			c, secure = tls.Server(c, s.tls), true
			r = bufio.NewReader(c)
		case "AUTH":
			mechanism, initial, _ := strings.Cut(rest, " ")
			s.note(&s.talk, fmt.Sprintf("AUTH %s secure=%t", mechanism, secure))
			user, pw := "", ""
			if mechanism == "PLAIN" {
				b, _ := base64.StdEncoding.DecodeString(initial)
				if parts := strings.Split(string(b), "\x00"); len(parts) == 3 {
					user, pw = parts[1], parts[2]
				}
			} else {
				for _, ask := range []struct {
					prompt string
					into   *string
				}{{"Username:", &user}, {"Password:", &pw}} {
					say("334 %s", base64.StdEncoding.EncodeToString([]byte(ask.prompt)))
					text, _ := line()
					b, _ := base64.StdEncoding.DecodeString(text)
					*ask.into = string(b)
				}
			}
			if user != "me" || pw != "p@ss:word" {
				say("535 wrong")
			} else {
				say("235 welcome")
			}
		case "MAIL":
			s.note(&s.talk, text)
			say("250 ok")
		case "RCPT":
			s.note(&s.talk, text)
			if s.refuse != "" {
				say("%s", s.refuse)
			} else {
				say("250 ok")
			}
		case "DATA":
			say("354 go on")
			body, err := io.ReadAll(textproto.NewReader(r).DotReader())
			if err != nil {
				return
			}
			s.note(&s.got, string(body))
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 what?")
		}
	}
}

// read takes a mail apart.
func read(t *testing.T, text string) (h mail.Header, plain, html string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	decode := func(r io.Reader) string {
		b, err := io.ReadAll(quotedprintable.NewReader(r))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.TrimRight(string(b), "\r\n"), "\r\n", "\n")
	}
	if kind == "text/plain" {
		return m.Header, decode(m.Body), ""
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return m.Header, plain, html
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			html = decode(p)
		} else {
			plain = decode(p)
		}
	}
}

func TestDelivery(t *testing.T) {
	conf, pool := certificate(t)
	for name, c := range map[string]struct {
		server behaviour
		url    string
		talk   string // "" if it must fail
	}{
		"in plain":                           {behaviour{}, "smtp://%s", "EHLO"},
		"STARTTLS":                           {behaviour{starttls: true, auth: "PLAIN LOGIN"}, "smtp://me:p%%40ss%%3Aword@%s", "EHLO STARTTLS EHLO AUTH PLAIN secure=true"},
		"TLS from the start":                 {behaviour{implicit: true, auth: "PLAIN"}, "smtps://me:p%%40ss%%3Aword@%s", "EHLO AUTH PLAIN secure=true"},
		"LOGIN":                              {behaviour{implicit: true, auth: "LOGIN"}, "smtps://me:p%%40ss%%3Aword@%s", "EHLO AUTH LOGIN secure=true"},
		"a wrong password":                   {behaviour{implicit: true, auth: "PLAIN"}, "smtps://me:wrong@%s", ""},
		"STARTTLS is required and not there": {behaviour{}, "smtp://%s?starttls=required", ""},
		"the address is refused":             {behaviour{refuse: "550 no such user"}, "smtp://%s", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &smtpServer{t: t, tls: conf, behaviour: c.server}
			m, err := New(Options{URL: fmt.Sprintf(c.url, s.start()), From: "The App <noreply@app.example>", TLS: &tls.Config{RootCAs: pool}, Timeout: 20 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			err = m.Send(t.Context(), Message{To: "ann@example.com", Subject: "Grüße €", Text: "line\n.dot\n" + strings.Repeat("ü", 300), AutoSubmitted: true})
			var permanent *PermanentError
			if c.talk == "" {
				if err == nil {
					t.Fatal("it was sent")
				}
				if refused := c.server.refuse != "" || strings.Contains(c.url, "wrong"); errors.As(err, &permanent) != refused {
					t.Errorf("permanent: %t: %v", !refused, err)
				}
				if strings.Contains(err.Error(), "word") {
					t.Errorf("the error tells a secret: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := c.talk + " MAIL FROM:<noreply@app.example> BODY=8BITMIME RCPT TO:<ann@example.com>"
			s.mu.Lock()
			defer s.mu.Unlock()
			if got := strings.Join(s.talk, " "); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			h, plain, _ := read(t, s.got[0])
			subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
			if err != nil || subject != "Grüße €" || plain != "line\n.dot\n"+strings.Repeat("ü", 300) || h.Get("Auto-Submitted") != "auto-generated" || h.Get("From") != `"The App" <noreply@app.example>` {
				t.Errorf("%q %q %v", subject, plain, h)
			}
			if id := h.Get("Message-Id"); !strings.HasSuffix(id, "@app.example>") {
				t.Error(id)
			}
		})
	}
}

func TestHTML(t *testing.T) {
	s := &smtpServer{t: t}
	m, err := New(Options{URL: "smtp://" + s.start(), From: "noreply@app.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), Message{To: "ann@example.com", Subject: "x", Text: "plain", HTML: "<p>rich = </p>"}); err != nil {
		t.Fatal(err)
	}
	if _, plain, html := read(t, s.got[0]); plain != "plain" || html != "<p>rich = </p>" {
		t.Errorf("%q %q", plain, html)
	}
}

// What comes from users cannot add headers or addresses.
func TestInjection(t *testing.T) {
	s := &smtpServer{t: t}
	m, err := New(Options{URL: "smtp://" + s.start(), From: "noreply@app.example"})
	if err != nil {
		t.Fatal(err)
	}
	err = m.Send(t.Context(), Message{To: "ann@example.com", Subject: "x\r\nBcc: eve@evil.example", FromName: "y\nX-Evil: 1", Text: "\r\n.\r\nQUIT\r\n"})
	if err != nil {
		t.Fatal(err)
	}
	h, plain, _ := read(t, s.got[0])
	if h.Get("Bcc") != "" || h.Get("X-Evil") != "" || !strings.Contains(plain, "QUIT") {
		t.Errorf("%v %q", h, plain)
	}
	for _, to := range []string{"", "ann", "ann@example.com\r\nRCPT TO:<eve@evil.example>", "Ann <ann@example.com>", "ann@example.com, eve@evil.example"} {
		var permanent *PermanentError
		if err := m.Send(t.Context(), Message{To: to}); !errors.As(err, &permanent) {
			t.Errorf("%q: %v", to, err)
		}
	}
}

func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	m, err := New(Options{URL: "smtp://" + address, From: "a@b.example"})
	if err != nil {
		t.Fatal(err)
	}
	var permanent *PermanentError
	if err := m.Send(t.Context(), Message{To: "ann@example.com"}); err == nil || errors.As(err, &permanent) {
		t.Errorf("%v", err)
	}
}

// A server that says nothing is not waited for longer than the caller does.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m, err := New(Options{URL: "smtp://" + l.Addr().String(), From: "a@b.example"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if c, err := l.Accept(); err == nil {
			defer c.Close()
			cancel()
			io.Copy(io.Discard, c)
		}
	}()
	if err := m.Send(ctx, Message{To: "ann@example.com"}); err == nil {
		t.Error("it was sent")
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{
		{URL: "", From: "a@b.example"}, {URL: "mail.example.com", From: "a@b.example"}, {URL: "http://mail.example.com", From: "a@b.example"},
		{URL: "smtp://mail.example.com/x", From: "a@b.example"}, {URL: "smtp://mail.example.com?starttls=no", From: "a@b.example"}, {URL: "smtp://mail.example.com"},
		{URL: "smtp://me:secret@[::1", From: "a@b.example"},
	} {
		_, err := New(o)
		if err == nil {
			t.Errorf("%+v was taken", o)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
	m, err := New(Options{URL: "smtp://me:pw@mail.example.com", From: "a@b.example"})
	if err != nil {
		t.Fatal(err)
	}
	if m.address != "mail.example.com:587" || !m.required {
		t.Errorf("%+v", m)
	}
}
