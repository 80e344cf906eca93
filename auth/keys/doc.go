// Package keys holds what a Rebase server signs its own tokens with, and the hash of its root secret.
//
// The keys are in the system tree "_auth", so they go through the log like all else: they survive a crash, are in every backup, and every
// replica has them. One key is active and signs; those retired before it still verify until the last token that they can have
// signed has expired, so rotation signs nobody out. Public keys are published as a JWKS. Private keys are in the tree as they are, and nothing hands
// them out: whoever can read the data folder or a backup can sign tokens, and must be trusted like the server.
//
// A caller must sign nothing that lives longer than MaxLifetime: Sign refuses it, since the end of retired keys depends on it. The first
// key is made when something is first signed, so that a server that signs nothing has none.
// The package knows nothing of what the claims mean.
package keys
