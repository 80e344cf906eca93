// Package identity speaks the Identity Toolkit API and the Secure Token API, version 1, with package auth/users behind it: what the Firebase Auth SDKs and the
// authentication part of the Admin SDKs talk to once they have been pointed here (connectAuthEmulator, FIREBASE_AUTH_EMULATOR_HOST).
//
//	/identitytoolkit.googleapis.com/v1/accounts:…             what apps do, on behalf of users; the project is that of the API key (?key=)
//	/identitytoolkit.googleapis.com/v1/projects/P/accounts…   what administrators do (Authorization: Bearer)
//	/identitytoolkit.googleapis.com/v2/projects/P/config      how users of the project sign in, oauthIdpConfigs the providers
//	/securetoken.googleapis.com/v1/token                      refresh tokens
//	/emulator/auth/handler, /emulator/auth/iframe             the pages of signInWithPopup and signInWithRedirect
//	/emulator/v1/projects/P/…                                 accounts and codes for tests; in open mode only
//	/_rebase/auth/x509                                        the keys of ID tokens, as Admin SDKs look for them at www.googleapis.com
//	/_rebase/auth/action                                      the page that links in mails lead to
//
// The same paths are served without their first component to requests whose Host is the API's own: an Admin SDK whose connections are led here
// need not be told.
//
// Errors are those of the API, as SDKs parse them. Every origin may call (CORS): apps are web pages of anywhere, and credentials are in requests,
// never in cookies. Bodies are bounded. Administrators are found out by the Authenticator, for every request anew.
//
// The package knows nothing of how accounts are kept, and of databases only their projects' names.
package identity
