package projects

import "time"

// Config is a project. The zero value trusts nobody.
type Config struct {
	// Version changes with every change of the document; "" for one that is not stored. It is not part of the document.
	Version string `json:"-"`
	derived derived

	Created time.Time `json:"created,omitzero"`

	// APIKeys are what apps put into apiKey of their configuration. They name the project, and are no secrets.
	APIKeys []string `json:"apiKeys,omitempty"`
	// Databases are those of this project, besides the one that has its name and the one that has its name followed by "-default-rtdb".
	Databases []string `json:"databases,omitempty"`

	// FirebaseProject is the project at Google whose ID tokens are believed here; "" for none. It need not have this project's name, and
	// is not assumed to: the name may be somebody else's there.
	FirebaseProject string `json:"firebaseProject,omitempty"`
	// Issuers are OpenID Connect providers whose ID tokens are believed as they come.
	Issuers []Issuer `json:"issuers,omitempty"`

	ServiceAccounts []ServiceAccount `json:"serviceAccounts,omitempty"`
	// Secrets are the legacy secrets of databases.
	Secrets  []Secret `json:"secrets,omitempty"`
	AppCheck AppCheck `json:"appCheck,omitzero"`

	// SignIn says how users sign in here.
	SignIn SignIn `json:"signIn,omitzero"`

	Limits Limits `json:"limits,omitzero"`
}

// Issuer is an OpenID Connect provider.
type Issuer struct {
	// Name says which one it is: auth.provider of the rules.
	Name string `json:"name"`
	// Issuer is the claim "iss", exactly.
	Issuer string `json:"issuer"`
	// Audiences are the accepted values of the claim "aud".
	Audiences []string `json:"audiences"`
	// JWKS is where its keys are; "" to find out by discovery (<issuer>/.well-known/openid-configuration).
	JWKS string `json:"jwks,omitempty"`
	// UIDPrefix is put before the claim "sub" to make auth.uid, so that no issuer can name another's users. nil: Name and a colon.
	UIDPrefix *string `json:"uidPrefix,omitempty"`
}

// ServiceAccount is a trusted server. Its private key is nowhere here.
type ServiceAccount struct {
	Email   string    `json:"email"`
	ID      string    `json:"id,omitempty"` // "client_id" of the key file
	Keys    []SAKey   `json:"keys"`
	Created time.Time `json:"created,omitzero"`
}

// SAKey is a public key of a service account.
type SAKey struct {
	ID      string    `json:"id"`  // "private_key_id" of the key file, "kid" of tokens
	PEM     string    `json:"pem"` // PKIX
	Created time.Time `json:"created,omitzero"`
}

// Secret is a legacy secret of a database: it is an administrator's credential by itself, and signs tokens (HS256).
type Secret struct {
	ID string `json:"id"`
	// Secret is kept as it is, because it is the key to verify tokens with.
	Secret string `json:"secret"`
	// Database is the one that it is for; "" for all of the project.
	Database string    `json:"database,omitempty"`
	Created  time.Time `json:"created,omitzero"`
}

// AppCheck says whose App Check tokens are believed.
type AppCheck struct {
	// ProjectNumber is that of the project at Firebase; "" if App Check is not used.
	ProjectNumber string `json:"projectNumber,omitempty"`
	// Apps are the app ids that are accepted; none: all of the project.
	Apps []string `json:"apps,omitempty"`
	// Required refuses clients without a token.
	Required bool `json:"required,omitempty"`
}
