package identity

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rebase/audit"
	"rebase/auth/password"
	"rebase/auth/users"
)

// ofProject serves what administrators do; path follows "projects/".
func (q *request) ofProject(version, path string) (any, error) {
	project, rest, _ := strings.Cut(path, "/")
	if err := q.asAdmin(project); err != nil {
		return nil, err
	}
	resource, id, _ := strings.Cut(rest, "/")
	name := q.r.Method + " " + resource
	switch {
	case resource == "config" && id == "":
		return q.config()
	case resource == "oauthIdpConfigs":
		return q.providers(id)
	case resource == "tenants" || resource == "inboundSamlConfigs":
		return nil, &users.Error{Code: users.NotAllowed, Detail: resource + " are not supported"}
	case version != "v1" || id != "":
		return nil, errNoSuchPath
	}
	f := adminMethods[name]
	if f == nil {
		return nil, errNoSuchPath
	}
	return f(q)
}

var adminMethods = map[string]func(*request) (any, error){
	"POST accounts":             (*request).adminCreate,
	"POST accounts:lookup":      (*request).adminLookup,
	"POST accounts:update":      (*request).adminUpdate,
	"POST accounts:delete":      (*request).adminDelete,
	"POST accounts:batchDelete": (*request).adminBatchDelete,
	"GET accounts:batchGet":     (*request).adminBatchGet,
	"POST accounts:batchCreate": (*request).adminBatchCreate,
	"POST accounts:query":       (*request).adminQuery,
	"POST accounts:sendOobCode": (*request).sendOobCode,
}

// adminFields are an account as administrators write it.
type adminFields struct {
	changes
	LocalID              string
	PhoneNumber          nullable
	EmailVerified        *bool
	Disabled             *bool
	DisableUser          *bool
	CustomAttributes     *string
	ValidSince           *integer
	CreatedAt            *integer
	LastLoginAt          *integer
	LinkProviderUserInfo *wireProvider
	MFA                  json.RawMessage
	MFAInfo              []json.RawMessage
	TenantID             string
}

type wireProvider struct {
	ProviderID, RawID, FederatedID, Email, DisplayName, PhotoURL, PhoneNumber string
}

func (p *wireProvider) provider() users.Provider {
	raw := p.RawID
	if raw == "" {
		raw = p.FederatedID
	}
	return users.Provider{ID: p.ProviderID, RawID: raw, Email: p.Email, DisplayName: p.DisplayName, PhotoURL: p.PhotoURL, Phone: p.PhoneNumber}
}

func (b *adminFields) users() (users.Changes, error) {
	if err := noTenant(b.TenantID); err != nil {
		return users.Changes{}, err
	}
	var mfa struct{ Enrollments []json.RawMessage }
	if len(b.MFA) > 0 {
		if err := json.Unmarshal(b.MFA, &mfa); err != nil {
			return users.Changes{}, &apiError{http.StatusBadRequest, "Invalid JSON payload received. mfa: " + err.Error(), "INVALID_ARGUMENT"}
		}
	}
	if len(mfa.Enrollments) > 0 || len(b.MFAInfo) > 0 {
		return users.Changes{}, &users.Error{Code: users.NotAllowed, Detail: "second factors are not supported"}
	}
	ch := b.changes.changes()
	ch.Phone, ch.EmailVerified, ch.Claims = b.PhoneNumber.value, b.EmailVerified, b.CustomAttributes
	ch.ValidSince, ch.CreatedAt, ch.LastLoginAt = b.ValidSince.int64(), b.CreatedAt.int64(), b.LastLoginAt.int64()
	ch.Disabled = b.Disabled
	if b.DisableUser != nil {
		ch.Disabled = b.DisableUser
	}
	if b.LinkProviderUserInfo != nil {
		ch.Link = []users.Provider{b.LinkProviderUserInfo.provider()}
	}
	return ch, nil
}

func (q *request) adminCreate() (any, error) {
	var b adminFields
	if err := q.body(&b); err != nil {
		return nil, err
	}
	ch, err := b.users()
	if err != nil {
		return nil, err
	}
	u, err := q.s.o.Users.Create(q.ctx(), q.caller(), b.LocalID, ch)
	if err != nil {
		q.audit(audit.UserCreated, b.LocalID, err, nil)
		return nil, err
	}
	q.audit(audit.UserCreated, u.UID, nil, nil)
	return with(kind("SignupNewUserResponse"), "localId", u.UID, "email", u.Email, "displayName", u.DisplayName), nil
}

func (q *request) adminUpdate() (any, error) {
	var b adminFields
	if err := q.body(&b); err != nil {
		return nil, err
	}
	ch, err := b.users()
	if err != nil {
		return nil, err
	}
	u, err := q.s.o.Users.Update(q.ctx(), q.caller(), b.LocalID, ch)
	q.audit(audit.UserChanged, b.LocalID, err, changed(&ch))
	if err != nil {
		return nil, err
	}
	return updated(u), nil
}

// changed names what was changed, not to what.
func changed(ch *users.Changes) map[string]string {
	m := map[string]string{}
	for name, is := range map[string]bool{
		"email": ch.Email != nil, "password": ch.Password != nil, "phone": ch.Phone != nil, "claims": ch.Claims != nil, "validSince": ch.ValidSince != nil,
		"profile": ch.DisplayName != nil || ch.PhotoURL != nil, "providers": len(ch.Link)+len(ch.Unlink) > 0, "emailVerified": ch.EmailVerified != nil,
	} {
		if is {
			m[name] = "changed"
		}
	}
	if ch.Disabled != nil {
		m["disabled"] = strconv.FormatBool(*ch.Disabled)
	}
	return m
}

func (q *request) adminDelete() (any, error) {
	var b struct{ LocalID, TenantID string }
	if err := q.body(&b); err != nil {
		return nil, err
	}
	err := noTenant(b.TenantID)
	if err == nil {
		err = q.s.o.Users.Delete(q.ctx(), q.caller(), b.LocalID)
	}
	q.audit(audit.UserDeleted, b.LocalID, err, nil)
	if err != nil {
		return nil, err
	}
	return kind("DeleteAccountResponse"), nil
}

const maxBatch = 1000

func (q *request) adminBatchDelete() (any, error) {
	var b struct {
		LocalIDs []string
		Force    bool
		TenantID string
	}
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	if len(b.LocalIDs) == 0 || len(b.LocalIDs) > maxBatch {
		return nil, &users.Error{Code: "LOCAL_ID_LIST_EXCEEDS_LIMIT", Detail: "from 1 to 1000 uids"}
	}
	errs := []object{}
	for i, uid := range b.LocalIDs {
		message := ""
		u, err := q.s.o.Users.Get(q.project, uid)
		if err != nil {
			return nil, err
		}
		switch {
		case u == nil: // as Firebase: it is not there, as was wanted
			continue
		case !b.Force && !u.Disabled:
			message = "NOT_DISABLED : Disable the account before batch deletion."
		default:
			err := q.s.o.Users.Delete(q.ctx(), q.caller(), uid)
			var refused *users.Error
			if err != nil && !errors.As(err, &refused) {
				return nil, err
			}
			if err != nil {
				message = err.Error()
			}
			q.audit(audit.UserDeleted, uid, err, nil)
		}
		if message != "" {
			errs = append(errs, object{"index": i, "localId": uid, "message": message})
		}
	}
	return object{"errors": errs}, nil
}

func (q *request) adminLookup() (any, error) {
	var b struct {
		LocalID, Email, PhoneNumber, InitialEmail []string
		FederatedUserID                           []wireProvider
		IDToken, TenantID                         string
	}
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	if len(b.LocalID)+len(b.Email)+len(b.PhoneNumber)+len(b.FederatedUserID) > maxBatch {
		return nil, &users.Error{Code: "LOCAL_ID_LIST_EXCEEDS_LIMIT", Detail: "at most 1000 accounts"}
	}
	found := []userInfo{}
	add := func(u *users.User, err error) error {
		if err != nil {
			return err
		}
		if u != nil && !slices.ContainsFunc(found, func(f userInfo) bool { return f.LocalID == u.UID }) {
			found = append(found, show(u, true))
		}
		return nil
	}
	store := q.s.o.Users
	for _, uid := range b.LocalID {
		if err := add(store.Get(q.project, uid)); err != nil {
			return nil, err
		}
	}
	for _, e := range b.Email {
		if err := add(store.ByEmail(q.project, e)); err != nil {
			return nil, err
		}
	}
	for _, n := range b.PhoneNumber {
		if err := add(store.ByPhone(q.project, n)); err != nil {
			return nil, err
		}
	}
	for _, p := range b.FederatedUserID {
		if err := add(store.ByProvider(q.project, p.ProviderID, p.provider().RawID)); err != nil {
			return nil, err
		}
	}
	if b.IDToken != "" {
		if err := add(store.Lookup(q.project, b.IDToken)); err != nil {
			return nil, err
		}
	}
	m := kind("GetAccountInfoResponse")
	if len(found) > 0 { // the SDKs tell "none" by its absence
		m["users"] = found
	}
	return m, nil
}

func (q *request) adminBatchGet() (any, error) {
	v := q.r.URL.Query()
	if err := noTenant(v.Get("tenantId")); err != nil {
		return nil, err
	}
	limit := 20
	if text := v.Get("maxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxBatch {
			return nil, &users.Error{Code: users.InvalidPageSelection, Detail: "maxResults is from 1 to 1000"}
		}
		limit = n
	}
	list, next, err := q.s.o.Users.List(q.project, v.Get("nextPageToken"), limit)
	if err != nil {
		return nil, err
	}
	q.audit(audit.UsersExported, "", nil, map[string]string{"accounts": strconv.Itoa(len(list))})
	infos := []userInfo{}
	for _, u := range list {
		infos = append(infos, show(u, true))
	}
	m := kind("DownloadAccountResponse")
	m["users"] = infos
	return with(m, "nextPageToken", next), nil
}

// uploaded is an account of an import.
type uploaded struct {
	LocalID, Email, DisplayName, PhotoURL, PhoneNumber, CustomAttributes, RawPassword, TenantID string

	EmailVerified, Disabled                        bool
	PasswordHash, Salt                             blob
	CreatedAt, LastLoginAt, ValidSince, PasswordAt *integer
	ProviderUserInfo                               []wireProvider
	MFAInfo                                        []json.RawMessage
}

func (u *uploaded) upload() users.Upload {
	n := func(i *integer) int64 {
		if i == nil {
			return 0
		}
		return int64(*i)
	}
	up := users.Upload{User: users.User{
		UID: u.LocalID, Email: u.Email, EmailVerified: u.EmailVerified, DisplayName: u.DisplayName, PhotoURL: u.PhotoURL, Phone: u.PhoneNumber,
		Disabled: u.Disabled, Claims: u.CustomAttributes, CreatedAt: n(u.CreatedAt), LastLoginAt: n(u.LastLoginAt), ValidSince: n(u.ValidSince),
	}, Hash: u.PasswordHash, Salt: u.Salt, RawPassword: u.RawPassword}
	for i := range u.ProviderUserInfo {
		up.Providers = append(up.Providers, u.ProviderUserInfo[i].provider())
	}
	return up
}

// uploadRequest is an import: accounts, and how their hashes were made.
type uploadRequest struct {
	Users                                   []uploaded
	HashAlgorithm                           string
	SignerKey, SaltSeparator                blob
	Rounds, MemoryCost                      integer
	CPUMemCost, Parallelization, BlockSize  integer
	DKLen                                   integer
	PasswordHashOrder, TenantID             string
	AllowOverwrite, SanityCheck, Deprecated bool
}

func (b *uploadRequest) params() password.Params {
	return password.Params{
		Algorithm: b.HashAlgorithm, SignerKey: b.SignerKey, SaltSeparator: b.SaltSeparator, Rounds: int(b.Rounds), MemoryCost: int(b.MemoryCost),
		CPUMemCost: int(b.CPUMemCost), Parallelization: int(b.Parallelization), BlockSize: int(b.BlockSize), DKLen: int(b.DKLen), Order: b.PasswordHashOrder,
	}
}

func (q *request) adminBatchCreate() (any, error) {
	var b uploadRequest
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	if len(b.Users) == 0 {
		return nil, &users.Error{Code: "MISSING_USER_ACCOUNT"}
	}
	if len(b.Users) > maxBatch {
		return nil, &users.Error{Code: "MAXIMUM_USER_COUNT_EXCEEDED"}
	}
	list := make([]users.Upload, len(b.Users))
	errs := []object{}
	for i := range b.Users {
		list[i] = b.Users[i].upload()
		if len(b.Users[i].MFAInfo) > 0 {
			errs = append(errs, object{"index": i, "message": "second factors are not supported: the account was imported without"})
		}
	}
	bad, err := q.s.o.Users.Import(q.ctx(), q.caller(), b.params(), list)
	q.audit(audit.UsersImported, "", err, map[string]string{"accounts": strconv.Itoa(len(list) - len(bad)), "refused": strconv.Itoa(len(bad))})
	if err != nil {
		return nil, err
	}
	for _, e := range bad {
		errs = append(errs, object{"index": e.Index, "message": e.Message})
	}
	m := kind("UploadAccountResponse")
	if len(errs) > 0 {
		m["error"] = errs
	}
	return m, nil
}

// adminQuery finds accounts by one of a few fields, or lists them.
func (q *request) adminQuery() (any, error) {
	var b struct {
		ReturnUserInfo *bool
		Limit, Offset  integer
		Expression     []struct{ Email, UserID, PhoneNumber string }
		TenantID       string
	}
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	store := q.s.o.Users
	if b.ReturnUserInfo != nil && !*b.ReturnUserInfo && len(b.Expression) == 0 {
		n, err := store.Count(q.project)
		return object{"recordsCount": strconv.Itoa(n)}, err
	}
	infos := []userInfo{}
	if len(b.Expression) > 0 {
		for _, e := range b.Expression[:min(len(b.Expression), 100)] {
			var u *users.User
			var err error
			switch {
			case e.Email != "":
				u, err = store.ByEmail(q.project, e.Email)
			case e.UserID != "":
				u, err = store.Get(q.project, e.UserID)
			case e.PhoneNumber != "":
				u, err = store.ByPhone(q.project, e.PhoneNumber)
			}
			if err != nil {
				return nil, err
			}
			if u != nil {
				infos = append(infos, show(u, true))
			}
		}
	} else {
		limit := int(b.Limit)
		if limit <= 0 || limit > 500 {
			limit = 500
		}
		offset := max(int(b.Offset), 0)
		if offset > 100_000 {
			return nil, &users.Error{Code: users.InvalidPageSelection, Detail: "the offset is too large: use accounts:batchGet"}
		}
		list, _, err := store.List(q.project, "", offset+limit)
		if err != nil {
			return nil, err
		}
		for _, u := range list[min(offset, len(list)):] {
			infos = append(infos, show(u, true))
		}
	}
	return object{"recordsCount": strconv.Itoa(len(infos)), "userInfo": infos}, nil
}
