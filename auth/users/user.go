package users

import (
	"crypto/rand"
	"encoding/json"
	"math/big"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"rebase/auth/token"
)

// Ids of the providers that are Rebase's own.
const (
	ProviderPassword = "password"
	ProviderPhone    = "phone"
	ProviderCustom   = "custom"
	ProviderAnon     = "anonymous"
)

// User is an account. The names in JSON are those of the stored record, and mostly those of the API.
type User struct {
	UID           string `json:"localId"`
	Email         string `json:"email,omitempty"` // in lower case
	EmailVerified bool   `json:"emailVerified,omitempty"`
	DisplayName   string `json:"displayName,omitempty"`
	PhotoURL      string `json:"photoUrl,omitempty"`
	Phone         string `json:"phoneNumber,omitempty"` // E.164
	Disabled      bool   `json:"disabled,omitempty"`
	// Password is a hash of package password; "" for an account without one.
	Password          string `json:"password,omitempty"`
	PasswordUpdatedAt int64  `json:"passwordUpdatedAt,omitempty"` // milliseconds, as are all times but one
	// ValidSince, in seconds, ends all sessions that began before it.
	ValidSince int64 `json:"validSince,omitempty"`
	// Epoch counts how often all sessions have been ended: seconds are too coarse to tell a session that began just before from one just after.
	Epoch int64 `json:"epoch,omitempty"`
	// Claims are the custom claims, a JSON object as the administrator wrote it.
	Claims        string     `json:"customAttributes,omitempty"`
	Providers     []Provider `json:"providerUserInfo,omitempty"` // other than password and phone
	CreatedAt     int64      `json:"createdAt,omitempty"`
	LastLoginAt   int64      `json:"lastLoginAt,omitempty"`
	LastRefreshAt int64      `json:"lastRefreshAt,omitempty"`
	CustomAuth    bool       `json:"customAuth,omitempty"` // made by a custom token
	EmailLink     bool       `json:"emailLinkSignin,omitempty"`
	InitialEmail  string     `json:"initialEmail,omitempty"`
}

// Provider is an identity of the user at a provider.
type Provider struct {
	ID          string `json:"providerId"`
	RawID       string `json:"rawId"`
	Email       string `json:"email,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
	PhotoURL    string `json:"photoUrl,omitempty"`
	Phone       string `json:"phoneNumber,omitempty"`
	ScreenName  string `json:"screenName,omitempty"`
}

// Anonymous tells an account to which nobody can sign in again.
func (u *User) Anonymous() bool {
	return u.Email == "" && u.Phone == "" && len(u.Providers) == 0 && !u.CustomAuth
}

// HasPassword tells whether the user can sign in by a password.
func (u *User) HasPassword() bool { return u.Email != "" && u.Password != "" }

func (u *User) provider(id string) *Provider {
	for i := range u.Providers {
		if u.Providers[i].ID == id {
			return &u.Providers[i]
		}
	}
	return nil
}

// setProvider adds the identity, or replaces the one at the same provider.
func (u *User) setProvider(p Provider) {
	if old := u.provider(p.ID); old != nil {
		*old = p
		return
	}
	u.Providers = append(u.Providers, p)
}

// AllProviders is the list that the API shows: with an entry for the password, the link by mail, and the telephone.
func (u *User) AllProviders() []Provider {
	list := slices.Clone(u.Providers)
	if u.Email != "" && (u.Password != "" || u.EmailLink) {
		list = append(list, Provider{ID: ProviderPassword, RawID: u.Email, Email: u.Email, DisplayName: u.DisplayName, PhotoURL: u.PhotoURL})
	}
	if u.Phone != "" {
		list = append(list, Provider{ID: ProviderPhone, RawID: u.Phone, Phone: u.Phone})
	}
	return list
}

const uidAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newUID makes an id as Firebase's look: 28 letters and digits, 166 bits.
func newUID() string {
	b := make([]byte, 28)
	for i := range b {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(uidAlphabet))))
		if err != nil {
			panic(err) // the system's random source does not fail
		}
		b[i] = uidAlphabet[n.Int64()]
	}
	return string(b)
}

// Bounds of what clients may store.
const (
	maxUID         = token.MaxSubject // bytes
	maxEmail       = 256
	maxDisplayName = 256
	maxPhotoURL    = 2048
	maxClaims      = 1000
	maxProviders   = 32
)

// CanonicalEmail returns the form of an address in which it is kept and compared: lower case.
func CanonicalEmail(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" {
		return "", fail(MissingEmail)
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > maxEmail || !strings.Contains(s[strings.LastIndexByte(s, '@'):], ".") || strings.ContainsAny(s, "\"\\") {
		return "", fail(InvalidEmail)
	}
	return s, nil
}

var phone = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)

func checkPhone(s string) error {
	if !phone.MatchString(s) {
		return failf(InvalidPhone, "a telephone number is in E.164 form, for example +15555550100")
	}
	return nil
}

func checkUID(s string) error {
	if s == "" {
		return fail(MissingUID)
	}
	if len(s) > maxUID || !utf8.ValidString(s) {
		return failf(InvalidUID, "a uid has at most %d bytes", maxUID)
	}
	return nil
}

func checkProfile(name, photo string) error {
	if len(name) > maxDisplayName*4 || !utf8.ValidString(name) {
		return failf("INVALID_DISPLAY_NAME", "at most %d characters", maxDisplayName)
	}
	if len(photo) > maxPhotoURL || !utf8.ValidString(photo) {
		return failf("INVALID_PHOTO_URL", "at most %d bytes", maxPhotoURL)
	}
	return nil
}

// reservedClaims are those of ID tokens themselves; custom claims must not have their names. (firebase.google.com/docs/auth/admin/custom-claims)
var reservedClaims = []string{
	"acr", "amr", "at_hash", "aud", "auth_time", "azp", "cnf", "c_hash", "exp", "firebase", "iat", "iss", "jti", "nbf", "nonce", "sub", "user_id",
}

// CheckClaims reads custom claims; nil for none.
func CheckClaims(text string) (map[string]any, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxClaims {
		return nil, failf(ClaimsTooLarge, "custom claims have at most %d bytes", maxClaims)
	}
	var m map[string]any
	if json.Unmarshal([]byte(text), &m) != nil || m == nil {
		return nil, failf(InvalidClaims, "custom claims are a JSON object")
	}
	for _, name := range reservedClaims {
		if _, bad := m[name]; bad {
			return nil, failf(ForbiddenClaim, "%s", name)
		}
	}
	return m, nil
}
