// Package blob keeps named, immutable objects in a bucket: a folder, or a part of a bucket of an S3-compatible store.
//
// It promises that an object is there whole or not at all, whatever crashes; that what Put has acknowledged outlives a power
// cut; and that no Put replaces an object. Calls that meet an unavailable store are repeated, with pauses, for Patience before
// they fail with ErrUnreachable.
//
// The caller must give every purpose a prefix of its own, and must not put secrets into keys: stores log them. Credentials come from
// the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN) or the AWS credentials file, never from a URL, so that a
// URL may be stored and shown.
//
// What it must not know: what is in the objects.
package blob
