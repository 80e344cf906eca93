// Package jwks holds the public keys of those who issue tokens elsewhere: JSON Web Key Sets (RFC 7517), read from their addresses and cached.
//
// A Remote fetches its set when it is first asked, again when the issuer's Cache-Control says that it is old, and when it is asked for a key that
// it does not have, since issuers rotate keys. Whoever sends tokens chooses the key id, so that last reason is rationed: however many unknown
// ids are asked for, a set is fetched at most once in MinRefetch, by one request at a time, and after failures ever less often. While
// an issuer cannot be reached the keys that are known go on to be believed for MaxStale, and no longer.
//
// A key is for one algorithm, which the set or the key's own kind determines (see package token). Sets are bounded in size. The
// package believes whoever answers at the address: the caller must take addresses from the administrator alone, never from a token. It
// does not know what tokens mean.
package jwks
