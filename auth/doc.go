// Package auth answers one question: who is calling?
//
// A gateway hands it the credential exactly as the client sent it and gets an Identity, which names the caller for as long
// as the credential is in force. The package knows nothing of sockets, requests or databases, and it decides nothing about
// what a caller may do: that is the business of the security rules.
//
// An Authenticator must be safe for concurrent use. It may be slow (a key may have to be fetched), so a caller must not hold
// locks across it, and must not touch the next request of the same client before it has returned.
//
// Open is the one implementation here: the conventions of an emulator, in which nobody's signature is checked.
package auth
