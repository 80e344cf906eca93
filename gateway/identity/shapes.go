package identity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"rebase/auth/password"
	"rebase/auth/users"
)

// integer is a number that clients send as one or as a string.
type integer int64

// UnmarshalJSON implements json.Unmarshaler.
func (i *integer) UnmarshalJSON(b []byte) error {
	text := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	if text == "null" || text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || f != float64(int64(f)) {
			return fmt.Errorf("%.40q is not an integer", text)
		}
		n = int64(f)
	}
	*i = integer(n)
	return nil
}

func (i *integer) int64() *int64 {
	if i == nil {
		return nil
	}
	n := int64(*i)
	return &n
}

// nullable tells a field that is null from one that is absent: null removes.
type nullable struct{ value *string }

// UnmarshalJSON implements json.Unmarshaler.
func (n *nullable) UnmarshalJSON(b []byte) error {
	var s string // null leaves it empty
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	n.value = &s
	return nil
}

// blob is bytes in base64 of either alphabet.
type blob []byte

// UnmarshalJSON implements json.Unmarshaler.
func (b *blob) UnmarshalJSON(raw []byte) error {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	v, err := password.Bytes(s)
	if err != nil {
		return fmt.Errorf("not base64")
	}
	*b = v
	return nil
}

// userInfo is an account as the API shows it.
type userInfo struct {
	LocalID           string         `json:"localId"`
	Email             string         `json:"email,omitempty"`
	EmailVerified     bool           `json:"emailVerified"`
	DisplayName       string         `json:"displayName,omitempty"`
	PhotoURL          string         `json:"photoUrl,omitempty"`
	PhoneNumber       string         `json:"phoneNumber,omitempty"`
	PasswordHash      string         `json:"passwordHash,omitempty"`
	Salt              string         `json:"salt,omitempty"`
	PasswordUpdatedAt int64          `json:"passwordUpdatedAt,omitempty"`
	ProviderUserInfo  []providerInfo `json:"providerUserInfo"`
	ValidSince        string         `json:"validSince,omitempty"`
	Disabled          bool           `json:"disabled"`
	LastLoginAt       string         `json:"lastLoginAt,omitempty"`
	CreatedAt         string         `json:"createdAt,omitempty"`
	CustomAuth        bool           `json:"customAuth,omitempty"`
	CustomAttributes  string         `json:"customAttributes,omitempty"`
	LastRefreshAt     string         `json:"lastRefreshAt,omitempty"`
	InitialEmail      string         `json:"initialEmail,omitempty"`
	EmailLinkSignin   bool           `json:"emailLinkSignin,omitempty"`
}

type providerInfo struct {
	ProviderID  string `json:"providerId"`
	RawID       string `json:"rawId,omitempty"`
	FederatedID string `json:"federatedId,omitempty"`
	Email       string `json:"email,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
	PhotoURL    string `json:"photoUrl,omitempty"`
	PhoneNumber string `json:"phoneNumber,omitempty"`
	ScreenName  string `json:"screenName,omitempty"`
}

// redacted stands for a password's hash where it is not shown: SDKs want to know whether there is one.
var redacted = base64.StdEncoding.EncodeToString([]byte("REDACTED"))

// show words an account. hashes says that the caller may have the password's hash.
func show(u *users.User, hashes bool) userInfo {
	info := userInfo{
		LocalID: u.UID, Email: u.Email, EmailVerified: u.EmailVerified, DisplayName: u.DisplayName, PhotoURL: u.PhotoURL, PhoneNumber: u.Phone,
		PasswordUpdatedAt: u.PasswordUpdatedAt, Disabled: u.Disabled, CustomAuth: u.CustomAuth, CustomAttributes: u.Claims,
		InitialEmail: u.InitialEmail, EmailLinkSignin: u.EmailLink, ProviderUserInfo: showProviders(u),
		ValidSince: decimal(u.ValidSince), LastLoginAt: decimal(u.LastLoginAt), CreatedAt: decimal(u.CreatedAt),
	}
	if u.LastRefreshAt != 0 {
		info.LastRefreshAt = time.UnixMilli(u.LastRefreshAt).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if u.Password != "" {
		info.PasswordHash = redacted
		if hashes {
			info.PasswordHash = base64.URLEncoding.EncodeToString([]byte(u.Password))
		}
	}
	return info
}

func showProviders(u *users.User) []providerInfo {
	list := []providerInfo{}
	for _, p := range u.AllProviders() {
		list = append(list, providerInfo{
			ProviderID: p.ID, RawID: p.RawID, FederatedID: p.RawID, Email: p.Email, DisplayName: p.DisplayName, PhotoURL: p.PhotoURL,
			PhoneNumber: p.Phone, ScreenName: p.ScreenName,
		})
	}
	return list
}

// decimal is a number as the API writes 64 bits: as a string, and nothing for zero.
func decimal(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// tokens adds what signing in gives to an answer.
func tokens(m map[string]any, t *users.Tokens) map[string]any {
	if t != nil {
		m["idToken"], m["refreshToken"], m["expiresIn"] = t.ID, t.Refresh, strconv.Itoa(int(t.ExpiresIn.Seconds()))
	}
	return m
}

type object = map[string]any

// kind is the field of that name in answers; clients do not look at it.
func kind(name string) object { return object{"kind": "identitytoolkit#" + name} }

// with adds the fields that are not empty.
func with(m object, fields ...string) object {
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i+1] != "" {
			m[fields[i]] = fields[i+1]
		}
	}
	return m
}
