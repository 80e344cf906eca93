package identity

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rebase/auth/projects"
	"rebase/auth/users"
)

// toolkit serves the Identity Toolkit API; path is what follows the host.
func (q *request) toolkit(path string) (any, error) {
	version, rest, _ := strings.Cut(path, "/")
	if version != "v1" && version != "v2" {
		return nil, errNoSuchPath
	}
	if of, ok := strings.CutPrefix(rest, "projects/"); ok {
		return q.ofProject(version, of)
	}
	if err := q.byKey(); err != nil {
		return nil, err
	}
	if err := q.s.o.Users.MayCall(q.caller()); err != nil {
		return nil, err
	}
	switch version + " " + q.r.Method + " " + rest {
	case "v1 GET projects":
		return q.publicConfig()
	case "v2 GET passwordPolicy":
		return q.passwordPolicy()
	case "v2 GET recaptchaConfig":
		return object{"recaptchaEnforcementState": []object{{"provider": "EMAIL_PASSWORD_PROVIDER", "enforcementState": "OFF"}, {"provider": "PHONE_PROVIDER", "enforcementState": "OFF"}}}, nil
	case "v1 GET recaptchaParams":
		return nil, &users.Error{Code: users.NotAllowed, Detail: "sign-in by telephone is not supported"}
	}
	method, isAccount := strings.CutPrefix(rest, "accounts:")
	f := accountMethods[method]
	switch {
	case version == "v2" && (strings.HasPrefix(rest, "accounts/mfa") || rest == "accounts:revokeToken"):
		return nil, &users.Error{Code: users.NotAllowed, Detail: "second factors, and the revocation of a provider's tokens, are not supported"}
	case !isAccount || f == nil || version != "v1":
		return nil, errNoSuchPath
	case q.r.Method != http.MethodPost:
		return nil, errMethod
	}
	return f(q)
}

// accountMethods are what apps do on behalf of users.
var accountMethods = map[string]func(*request) (any, error){
	"signUp":                (*request).signUp,
	"signInWithPassword":    (*request).signInWithPassword,
	"signInWithCustomToken": (*request).signInWithCustomToken,
	"signInWithEmailLink":   (*request).signInWithEmailLink,
	"signInWithIdp":         (*request).signInWithIdp,
	"createAuthUri":         (*request).createAuthURI,
	"lookup":                (*request).lookupSelf,
	"update":                (*request).updateSelf,
	"delete":                (*request).deleteSelf,
	"sendOobCode":           (*request).sendOobCode,
	"resetPassword":         (*request).resetPassword,
	"sendVerificationCode":  (*request).noPhone,
	"signInWithPhoneNumber": (*request).noPhone,
}

func (q *request) noPhone() (any, error) {
	return nil, &users.Error{Code: users.NotAllowed, Detail: "sign-in by telephone is not supported"}
}

// noTenant refuses requests for a tenant: to serve them as the project's own would mix up users who must not be.
func noTenant(id string) error {
	if id != "" {
		return &users.Error{Code: "UNSUPPORTED_TENANT_OPERATION", Detail: "there are no tenants here"}
	}
	return nil
}

func (q *request) signUp() (any, error) {
	var b struct {
		Email, Password, DisplayName, PhotoURL, IDToken, TenantID string
	}
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	in, err := q.s.o.Users.SignUp(q.ctx(), q.caller(), users.SignUp{Email: b.Email, Password: b.Password, DisplayName: b.DisplayName, PhotoURL: b.PhotoURL, IDToken: b.IDToken})
	if err != nil {
		return nil, err
	}
	return tokens(with(kind("SignupNewUserResponse"), "localId", in.User.UID, "email", in.User.Email, "displayName", in.User.DisplayName), in.Tokens), nil
}

func (q *request) signInWithPassword() (any, error) {
	var b struct{ Email, Password, TenantID string }
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	in, err := q.s.o.Users.SignInWithPassword(q.ctx(), q.caller(), b.Email, b.Password)
	if err != nil {
		return nil, err
	}
	m := with(kind("VerifyPasswordResponse"), "localId", in.User.UID, "email", in.User.Email, "photoUrl", in.User.PhotoURL)
	m["registered"], m["displayName"] = true, in.User.DisplayName
	return tokens(m, in.Tokens), nil
}

func (q *request) signInWithCustomToken() (any, error) {
	var b struct{ Token, TenantID string }
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	in, err := q.s.o.Users.SignInWithCustomToken(q.ctx(), q.caller(), b.Token)
	if err != nil {
		return nil, err
	}
	m := kind("VerifyCustomTokenResponse")
	m["isNewUser"] = in.New
	return tokens(m, in.Tokens), nil
}

func (q *request) signInWithEmailLink() (any, error) {
	var b struct{ Email, OobCode, IDToken, TenantID string }
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	in, err := q.s.o.Users.SignInWithEmailLink(q.ctx(), q.caller(), b.Email, b.OobCode, b.IDToken)
	if err != nil {
		return nil, err
	}
	m := with(kind("EmailLinkSigninResponse"), "email", in.User.Email, "localId", in.User.UID)
	m["isNewUser"] = in.New
	return tokens(m, in.Tokens), nil
}

func (q *request) signInWithIdp() (any, error) {
	var b struct {
		PostBody, RequestURI, SessionID, IDToken, PendingToken, TenantID string
		AutoCreate                                                       *bool
	}
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	in, err := q.s.o.Users.SignInWithIDP(q.ctx(), q.caller(), users.IDPRequest{
		PostBody: b.PostBody, RequestURI: b.RequestURI, SessionID: b.SessionID, IDToken: b.IDToken, NoCreate: b.AutoCreate != nil && !*b.AutoCreate,
	})
	if err != nil {
		return nil, err
	}
	i := in.IDP
	m := with(kind("VerifyAssertionResponse"), "providerId", i.ProviderID, "federatedId", i.RawID, "email", i.Email, "displayName", i.Name, "fullName", i.Name,
		"firstName", i.FirstName, "lastName", i.LastName, "screenName", i.User, "photoUrl", i.Photo, "oauthIdToken", i.IDToken, "oauthAccessToken", i.AccessToken, "rawUserInfo", i.Raw)
	if i.Taken {
		m["needConfirmation"], m["verifiedProvider"] = true, i.Methods
		return m, nil
	}
	m["localId"], m["emailVerified"], m["isNewUser"] = in.User.UID, in.User.EmailVerified, in.New
	return tokens(m, in.Tokens), nil
}

// createAuthURI tells how an address signs in, unless that is to be kept from callers, or where a provider's page is.
func (q *request) createAuthURI() (any, error) {
	var b struct {
		Identifier, ContinueURI, ProviderID, OauthScope, TenantID string
	}
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	m := kind("CreateAuthUriResponse")
	if b.ProviderID != "" && b.ProviderID != users.ProviderPassword {
		var scopes []string
		var byProvider map[string]string // the SDKs' form: JSON, scopes by provider
		if json.Unmarshal([]byte(b.OauthScope), &byProvider) == nil {
			scopes = strings.FieldsFunc(byProvider[b.ProviderID], func(r rune) bool { return r == ',' || r == ' ' })
		} else {
			scopes = strings.Fields(b.OauthScope)
		}
		uri, sessionID, err := q.s.o.Users.AuthURI(q.ctx(), q.caller(), b.ProviderID, b.ContinueURI, b.Identifier, scopes)
		if err != nil {
			return nil, err
		}
		return with(m, "authUri", uri, "sessionId", sessionID, "providerId", b.ProviderID), nil
	}
	if b.Identifier == "" {
		return nil, &users.Error{Code: "MISSING_IDENTIFIER"}
	}
	if _, err := users.CanonicalEmail(b.Identifier); err != nil {
		return nil, &users.Error{Code: "INVALID_IDENTIFIER"}
	}
	if b.ContinueURI == "" {
		return nil, &users.Error{Code: users.MissingContinueURI}
	}
	m["sessionId"] = strconv.FormatInt(int64(len(b.Identifier)), 10) // clients do not use it
	settings := q.settings()
	if projects.On(settings.HideEmails) {
		return m, nil
	}
	u, err := q.s.o.Users.ByEmail(q.project, b.Identifier)
	if err != nil {
		return nil, err
	}
	m["registered"] = u != nil
	all, methods := []string{}, []string{}
	if u != nil {
		for _, p := range u.AllProviders() {
			if p.ID == users.ProviderPhone {
				continue
			}
			if !slices.Contains(all, p.ID) {
				all = append(all, p.ID)
			}
			if p.ID != users.ProviderPassword || u.HasPassword() {
				methods = append(methods, p.ID)
			}
		}
		if u.EmailLink {
			methods = append(methods, "emailLink")
		}
	}
	m["allProviders"], m["signinMethods"] = all, methods
	return m, nil
}

func (q *request) settings() *projects.SignIn {
	if c, ok := q.s.o.Projects.Config(q.project); ok {
		return &c.SignIn
	}
	return &projects.SignIn{}
}

func (q *request) lookupSelf() (any, error) {
	var b struct{ IDToken, TenantID string }
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	u, err := q.s.o.Users.Lookup(q.project, b.IDToken)
	if err != nil {
		return nil, err
	}
	m := kind("GetAccountInfoResponse")
	m["users"] = []userInfo{show(u, false)}
	return m, nil
}

// changes are the fields of accounts:update that both apps and administrators use.
type changes struct {
	Email           *string
	Password        *string
	DisplayName     nullable
	PhotoURL        nullable
	DeleteProvider  []string
	DeleteAttribute []string
}

func (b *changes) changes() users.Changes {
	ch := users.Changes{Email: b.Email, Password: b.Password, DisplayName: b.DisplayName.value, PhotoURL: b.PhotoURL.value, Unlink: b.DeleteProvider}
	none := ""
	for _, a := range b.DeleteAttribute {
		switch a {
		case "DISPLAY_NAME":
			ch.DisplayName = &none
		case "PHOTO_URL":
			ch.PhotoURL = &none
		case "EMAIL":
			ch.Email = &none
		}
	}
	return ch
}

func (q *request) updateSelf() (any, error) {
	var b struct {
		changes
		IDToken, OobCode, LocalID, TenantID string
		ReturnSecureToken                   bool
	}
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	if b.OobCode != "" {
		u, err := q.s.o.Users.ApplyCode(q.ctx(), q.caller(), b.OobCode)
		if err != nil {
			return nil, err
		}
		return updated(u), nil
	}
	ch := b.changes.changes()
	if ch.Email != nil && *ch.Email == "" {
		ch.Email = nil // an app can unlink a password, but not lose the address
	}
	if ch.Password != nil && *ch.Password == "" {
		ch.Password = nil
	}
	u, t, err := q.s.o.Users.UpdateSelf(q.ctx(), q.caller(), b.IDToken, ch, b.ReturnSecureToken)
	if err != nil {
		return nil, err
	}
	return tokens(updated(u), t), nil
}

func updated(u *users.User) object {
	m := with(kind("SetAccountInfoResponse"), "localId", u.UID, "email", u.Email, "displayName", u.DisplayName, "photoUrl", u.PhotoURL)
	m["emailVerified"], m["providerUserInfo"] = u.EmailVerified, showProviders(u)
	if u.Password != "" {
		m["passwordHash"] = redacted
	}
	return m
}

func (q *request) deleteSelf() (any, error) {
	var b struct{ IDToken, LocalID, TenantID string }
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	if err := q.s.o.Users.DeleteSelf(q.ctx(), q.caller(), b.IDToken); err != nil {
		return nil, err
	}
	return kind("DeleteAccountResponse"), nil
}

// sendOobCode serves apps and administrators.
func (q *request) sendOobCode() (any, error) {
	var b struct {
		RequestType, Email, NewEmail, IDToken, ContinueURL, TenantID string
		ReturnOobLink                                                bool
		CanHandleCodeInApp                                           bool
		IOSBundleID, AndroidPackageName                              string
		DynamicLinkDomain, LinkDomain                                string
	}
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	extra := map[string]string{}
	with2 := func(k, v string) {
		if v != "" && len(v) < 512 {
			extra[k] = v
		}
	}
	with2("ibi", b.IOSBundleID)
	with2("apn", b.AndroidPackageName)
	sent, err := q.s.o.Users.SendCode(q.ctx(), q.caller(), users.CodeRequest{
		Kind: b.RequestType, Email: b.Email, NewEmail: b.NewEmail, IDToken: b.IDToken, ContinueURL: b.ContinueURL, Extra: extra, Return: b.ReturnOobLink,
	})
	if err != nil {
		return nil, err
	}
	m := with(kind("GetOobConfirmationCodeResponse"), "email", sent.Email, "newEmail", sent.NewEmail)
	if b.ReturnOobLink {
		m["oobCode"], m["oobLink"] = sent.Code, sent.Link
	}
	return m, nil
}

// resetPassword sets a password by a code, or, without one, tells what the code is for.
func (q *request) resetPassword() (any, error) {
	var b struct{ OobCode, NewPassword, OldPassword, Email, TenantID string }
	if err := q.body(&b); err != nil {
		return nil, err
	}
	if err := noTenant(b.TenantID); err != nil {
		return nil, err
	}
	var info *users.CodeInfo
	var err error
	if b.NewPassword == "" {
		info, err = q.s.o.Users.CheckCode(q.caller(), b.OobCode)
	} else {
		info, err = q.s.o.Users.ResetPassword(q.ctx(), q.caller(), b.OobCode, b.NewPassword)
	}
	if err != nil {
		return nil, err
	}
	m := with(kind("ResetPasswordResponse"), "requestType", info.Kind, "newEmail", info.NewEmail)
	if info.Kind != users.EmailSignIn { // whoever has the code of a link need not have the address: it must be typed in
		m["email"] = info.Email
	}
	return m, nil
}

// token serves the Secure Token API.
func (q *request) token(path string) (any, error) {
	if path != "v1/token" {
		return nil, errNoSuchPath
	}
	if q.r.Method != http.MethodPost {
		return nil, errMethod
	}
	if err := q.byKey(); err != nil {
		return nil, err
	}
	if err := q.s.o.Users.MayCall(q.caller()); err != nil {
		return nil, err
	}
	f, err := q.form()
	if err != nil {
		return nil, err
	}
	if get := f.Get("grant_type"); get != "refresh_token" {
		return nil, &users.Error{Code: users.InvalidGrantType}
	}
	c := q.caller()
	if q.s.o.Open {
		c.Project = "" // the token's own
	}
	u, t, project, err := q.s.o.Users.Refresh(q.ctx(), c, f.Get("refresh_token"))
	if err != nil {
		return nil, err
	}
	return object{
		"id_token": t.ID, "access_token": t.ID, "refresh_token": t.Refresh, "expires_in": strconv.Itoa(int(t.ExpiresIn.Seconds())),
		"token_type": "Bearer", "user_id": u.UID, "project_id": project,
	}, nil
}
