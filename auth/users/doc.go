// Package users is Rebase's own user store: accounts, and the ways to sign in to them.
//
// Accounts are records of the system tree "_auth", so they go through the log like all else: they survive a crash, every replica has them, and
// they are in every backup. What must be unique, an e-mail address or an identity at a provider, is a look-up record that is
// written together with the account under the condition that it was not there; nothing is locked.
//
//	projects/P/users/U            an account, one JSON text
//	projects/P/emails/E           the id of the account with this address
//	projects/P/phones/N           the same for a telephone number
//	projects/P/providers/I/S      the same for the identity S at the provider I
//	projects/P/refresh/U/H        a session: whoever presents the token with the hash H gets ID tokens
//	projects/P/revoked/U          since when, in seconds, sessions of the account have been worthless; it tells replicas
//	projects/P/codes/H            what a code in a mail is good for
//
// # Promises
//
//   - Passwords are kept as hashes (package password), refresh tokens and codes as SHA-256: what is stored lets nobody in.
//   - A code works once, also if it is presented twice at the same moment.
//   - What fails says no more than the caller may know: unless a project wants it otherwise, nobody learns from an answer, or from
//     the time that it takes, whether an address has an account (signing up with an address that is taken is the exception, as at Firebase).
//   - Guesses are counted before they are checked, by account and by address of the caller, and refused when they are too many.
//   - A change that ends sessions (disabled, deleted, new password, revoked) is told to OnRevoke by every replica as soon as it has applied it.
//
// # Duties of the caller
//
// Who calls must say from where (Caller.Address), and must have checked that an administrator is one. Guess counters are each
// process's own and do not survive it.
//
// The package knows no HTTP. Its errors carry the codes of the Identity Toolkit API, which is what SDKs understand.
package users
