// Package authadmin is the administration of authentication over HTTP, below /_rebase/auth/, and what services need to be
// authenticated: the token endpoint of service accounts (/_rebase/oauth2/token, RFC 7523) and the server's public keys (/_rebase/auth/jwks).
//
// Administration is for the holder of the root secret alone, sent as a bearer token; in open mode for whoever says "owner". It is JSON
// both ways, and errors say what to do. Nothing is told twice that is secret: a new secret or key file is in one answer, and cannot be read again. Every
// change, and every attempt to make one without the right, goes to the audit journal. There are no CORS headers, so that no web page
// can use a browser that knows the secret.
//
// The caller routes the paths of Serves here. The package decides nothing about what is allowed in a project: that is auth/projects, and
// who is believed is auth.
package authadmin
