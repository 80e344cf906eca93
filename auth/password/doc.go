// Package password turns passwords into hashes and compares passwords with them.
//
// New hashes are argon2id. Hashes that come from elsewhere are understood as Firebase's user import defines them (its own scrypt,
// standard scrypt, bcrypt, PBKDF2, HMACs and plain digests), so that nobody has to choose a new password because the server changed; Verify says
// when a hash should be replaced by one of our own, which the caller does while it has the password in hand.
//
// # Promises
//
// Comparisons take the same time wherever two hashes differ. Work is bounded: at most Options.Concurrency hashes are computed at a
// time, at most Options.Waiting callers wait for their turn, and parameters of imported hashes that would take more memory or time than
// a sign-in should are refused when they are imported.
//
// A Hasher is safe for concurrent use. The package knows no user, no account and no storage; limiting how often somebody may guess is its caller's business.
package password
