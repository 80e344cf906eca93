package users

import "fmt"

// Code is an error of the Identity Toolkit API, as SDKs know it.
type Code string

// The errors.
const (
	AdminOnly              Code = "ADMIN_ONLY_OPERATION"
	ClaimsTooLarge         Code = "CLAIMS_TOO_LARGE"
	ConfigNotFound         Code = "CONFIGURATION_NOT_FOUND"
	CredentialMismatch     Code = "CREDENTIAL_MISMATCH"
	CredentialTooOld       Code = "CREDENTIAL_TOO_OLD_LOGIN_AGAIN"
	DuplicateEmail         Code = "DUPLICATE_EMAIL"
	DuplicateLocalID       Code = "DUPLICATE_LOCAL_ID"
	EmailExists            Code = "EMAIL_EXISTS"
	EmailNotFound          Code = "EMAIL_NOT_FOUND"
	ExpiredCode            Code = "EXPIRED_OOB_CODE"
	FederatedLinked        Code = "FEDERATED_USER_ID_ALREADY_LINKED"
	ForbiddenClaim         Code = "FORBIDDEN_CLAIM"
	InvalidClaims          Code = "INVALID_CLAIMS"
	InvalidCode            Code = "INVALID_OOB_CODE"
	InvalidContinueURI     Code = "INVALID_CONTINUE_URI"
	InvalidCustomToken     Code = "INVALID_CUSTOM_TOKEN"
	InvalidEmail           Code = "INVALID_EMAIL"
	InvalidGrantType       Code = "INVALID_GRANT_TYPE"
	InvalidHash            Code = "INVALID_HASH_ALGORITHM"
	InvalidIDPResponse     Code = "INVALID_IDP_RESPONSE"
	InvalidIDToken         Code = "INVALID_ID_TOKEN"
	InvalidLogin           Code = "INVALID_LOGIN_CREDENTIALS"
	InvalidPageSelection   Code = "INVALID_PAGE_SELECTION"
	InvalidPassword        Code = "INVALID_PASSWORD"
	InvalidPhone           Code = "INVALID_PHONE_NUMBER"
	InvalidProvider        Code = "INVALID_PROVIDER_ID"
	InvalidRefreshToken    Code = "INVALID_REFRESH_TOKEN"
	InvalidRequestType     Code = "INVALID_REQ_TYPE"
	InvalidUID             Code = "INVALID_LOCAL_ID"
	MissingContinueURI     Code = "MISSING_CONTINUE_URI"
	MissingCustomToken     Code = "MISSING_CUSTOM_TOKEN"
	MissingEmail           Code = "MISSING_EMAIL"
	MissingIDToken         Code = "MISSING_ID_TOKEN"
	MissingUID             Code = "MISSING_LOCAL_ID"
	MissingNewEmail        Code = "MISSING_NEW_EMAIL"
	MissingCode            Code = "MISSING_OOB_CODE"
	MissingPassword        Code = "MISSING_PASSWORD"
	MissingRefreshToken    Code = "MISSING_REFRESH_TOKEN"
	MissingRequestType     Code = "MISSING_REQ_TYPE"
	NoSuchProvider         Code = "NO_SUCH_PROVIDER"
	NotAllowed             Code = "OPERATION_NOT_ALLOWED"
	PasswordLoginDisabled  Code = "PASSWORD_LOGIN_DISABLED"
	PhoneExists            Code = "PHONE_NUMBER_EXISTS"
	TokenExpired           Code = "TOKEN_EXPIRED"
	TooManyAttempts        Code = "TOO_MANY_ATTEMPTS_TRY_LATER"
	UnauthorizedDomain     Code = "UNAUTHORIZED_DOMAIN"
	UserDisabled           Code = "USER_DISABLED"
	UserNotFound           Code = "USER_NOT_FOUND"
	WeakPassword           Code = "WEAK_PASSWORD"
	ProviderAlreadyLinked  Code = "PROVIDER_ALREADY_LINKED"
	EmailChangeNeedsVerify Code = "EMAIL_CHANGE_NEEDS_VERIFICATION"
)

// Error is why an operation was refused.
type Error struct {
	Code   Code
	Detail string // for people; it repeats no credential
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return string(e.Code)
	}
	return string(e.Code) + " : " + e.Detail
}

// Is compares codes, so that errors.Is(err, &Error{Code: c}) does.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

func fail(c Code) error { return &Error{Code: c} }

func failf(c Code, format string, args ...any) error {
	return &Error{Code: c, Detail: fmt.Sprintf(format, args...)}
}
