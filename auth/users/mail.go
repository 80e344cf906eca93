package users

import (
	"context"
	"errors"
	"html"
	"strings"
	"time"

	"rebase/auth/mail"
	"rebase/auth/projects"
)

// Mailer sends mails; *mail.Server is one.
type Mailer interface {
	// Send returns a *mail.PermanentError if trying again is of no use.
	Send(ctx context.Context, m mail.Message) error
}

var _ Mailer = (*mail.Server)(nil)

// texts are the mails that a project has not changed. They are written as Firebase's templates are.
var texts = map[string]projects.MailText{
	"verifyEmail": {
		Subject: "Verify your email for %APP_NAME%",
		Body: "Hello %DISPLAY_NAME%,\n\nFollow this link to verify your email address.\n\n%LINK%\n\n" +
			"If you didn't ask to verify this address, you can ignore this email.\n\nYour %APP_NAME% team\n",
	},
	"resetPassword": {
		Subject: "Reset your password for %APP_NAME%",
		Body: "Hello,\n\nFollow this link to reset the password of your account %EMAIL% at %APP_NAME%.\n\n%LINK%\n\n" +
			"If you didn't ask to reset your password, you can ignore this email.\n\nYour %APP_NAME% team\n",
	},
	"signIn": {
		Subject: "Sign in to %APP_NAME%",
		Body: "Hello,\n\nFollow this link to sign in to %APP_NAME% as %EMAIL%.\n\n%LINK%\n\n" +
			"If you did not request this link, you can safely ignore this email.\n\nYour %APP_NAME% team\n",
	},
	"changeEmail": {
		Subject: "Verify your new email for %APP_NAME%",
		Body: "Hello %DISPLAY_NAME%,\n\nFollow this link to make %NEW_EMAIL% the email address of your account at %APP_NAME%.\n\n%LINK%\n\n" +
			"If you didn't ask for this, you can ignore this email.\n\nYour %APP_NAME% team\n",
	},
	"recoverEmail": {
		Subject: "Your sign-in email was changed for %APP_NAME%",
		Body: "Hello %DISPLAY_NAME%,\n\nYour sign-in email for %APP_NAME% was changed to %NEW_EMAIL%.\n\n" +
			"If you didn't ask to change it, follow this link to reset it.\n\n%LINK%\n\nYour %APP_NAME% team\n",
	},
}

// letter fills in a template.
func letter(settings *projects.SignIn, project, template, to string, k code, u *User, link string) mail.Message {
	text, ok := settings.Mails[template]
	if !ok {
		text = texts[template]
	}
	// A name is what its owner likes it to be. Nobody shall have a mail of their wording sent to an address that they have not
	// shown to be theirs.
	name := ""
	if u != nil && u.EmailVerified && (to == u.Email || k.Kind == RecoverEmail) {
		name = u.DisplayName
	}
	fill := func(s string, escape func(string) string) string {
		// The name is the user's own choice, and could be a text with a link to elsewhere.
		shown := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
			if strings.ContainsRune("<>:/\\@", r) || r < ' ' {
				return ' '
			}
			return r
		}, name)), " ")
		s = strings.NewReplacer("%LINK%", escape(link), "%EMAIL%", escape(k.Email), "%NEW_EMAIL%", escape(k.NewEmail),
			"%DISPLAY_NAME%", escape(shown), "%APP_NAME%", escape(project)).Replace(s)
		return strings.ReplaceAll(s, "Hello ,", "Hello,")
	}
	asIs := func(s string) string { return s }
	m := mail.Message{To: to, Subject: fill(text.Subject, asIs), Text: fill(text.Body, asIs), AutoSubmitted: true}
	if text.HTML != "" {
		m.HTML = fill(text.HTML, html.EscapeString)
	}
	return m
}

// poster sends mails in the background: that a mail is sent must not show in the time that an answer takes.
type poster struct {
	queue chan mail.Message
}

const (
	maxPosting   = 1000
	posters      = 4
	postAttempts = 4
)

func (p *poster) init() { p.queue = make(chan mail.Message, maxPosting) }

// post puts a mail into the queue.
func (s *Store) post(c Caller, settings *projects.SignIn, template, to string, k code, u *User, link string) {
	if s.o.Mailer == nil {
		s.log.Info("a mail that is not sent, as there is no mail server: follow its link yourself", "to", to, "kind", k.Kind, "link", link)
		return
	}
	select {
	case s.posting.queue <- letter(settings, c.Project, template, to, k, u, link):
	default:
		s.log.Error("a mail was dropped: too many wait to be sent", "kind", k.Kind)
	}
}

func (p *poster) run(ctx context.Context, s *Store) {
	for range posters {
		s.done.Go(func() {
			for {
				select {
				case m := <-p.queue:
					s.deliver(ctx, m)
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

func (s *Store) deliver(ctx context.Context, m mail.Message) {
	wait := 2 * time.Second
	for i := 1; ; i++ {
		err := s.o.Mailer.Send(ctx, m)
		if err == nil || ctx.Err() != nil {
			return
		}
		var permanent *mail.PermanentError
		if errors.As(err, &permanent) || i == postAttempts {
			s.log.Error("a mail could not be sent", "subject", m.Subject, "attempts", i, "err", err)
			return
		}
		s.log.Warn("a mail could not be sent; trying again", "in", wait, "err", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait *= 5
	}
}
