// Package token reads JSON Web Tokens (RFC 7519) in their compact form, and decides whether a given key has signed one and whether one is
// in force at a given time.
//
// A token comes from whoever cares to send one, so it is bounded before it is looked at (MaxBytes, MaxDepth), and what has two readings is
// refused: a claim or header that occurs twice, base64 that is not canonical, extensions that must be understood ("crit").
// The algorithm is the key's, not the token's: a Key verifies with one algorithm, and a token that names another is
// refused, so that a public key can never be taken for a shared secret, and "none" is no algorithm at all. Headers that point to keys
// ("jwk", "jku", "x5u", "x5c") are not looked at. "kid" is handed to the caller, who must use it to look a key up in
// a map and for nothing else.
//
// The signatures themselves are golang-jwt's. The package knows no clock, does no input or output, and logs nothing. Its errors never repeat a token.
package token
