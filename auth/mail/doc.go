// Package mail hands mails to a mail server (SMTP, RFC 5321).
//
// It speaks with STARTTLS, with TLS from the start, or in plain, logs in with PLAIN or LOGIN, and never sends a password over a connection that is not
// encrypted, but to this machine itself. A message is text, HTML or both, in UTF-8; what comes from users cannot add headers to it.
//
// A Server is safe for concurrent use; each message has a connection of its own. The package knows no users, no templates and no queue: whoever
// needs a mail to arrive tries again.
package mail
