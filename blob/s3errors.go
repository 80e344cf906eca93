package blob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// again marks an error after which the call is to be repeated at once.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

// do makes a call, and repeats it while what fails may pass, with growing pauses, for as long as Patience and the context allow. Errors
// are explained.
func (s *s3) do(ctx context.Context, verb, key string, call func() error) error {
	if err := checkKey(key); err != nil && verb != "list" {
		return err
	}
	deadline := time.Now().Add(s.patience)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := call()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("blob: %s %s: %w", verb, s.name(key), ctx.Err())
		}
		if errors.As(err, &again{}) {
			continue
		}
		if !transient(err) {
			return s.explain(verb, key, err)
		}
		if time.Now().Add(pause).After(deadline) {
			return fmt.Errorf("%w: %s %s: %w; see whether %s is up and can be reached from here", ErrUnreachable, verb, s.name(key), err, s.core.EndpointURL().Host)
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("blob: %s %s: %w", verb, s.name(key), err)
		}
	}
}

// name is how messages call an object.
func (s *s3) name(key string) string {
	return "s3://" + s.bucket + "/" + s.prefix + key
}

// transient says whether an error may pass by itself.
func transient(err error) bool {
	var e minio.ErrorResponse
	if errors.As(err, &e) {
		switch e.Code {
		case "RequestTimeout", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestThrottled", "SlowDown", "InternalError",
			"ConditionalRequestConflict", "OperationAborted", "ServiceUnavailable":
			return true
		}
		return e.StatusCode == http.StatusRequestTimeout || e.StatusCode == http.StatusTooManyRequests ||
			e.StatusCode >= 500 && e.StatusCode != http.StatusNotImplemented
	}
	return !badTransport(err)
}

// badTransport says whether an error comes from a configuration in which the two cannot talk to each other.
func badTransport(err error) bool {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
	)
	return errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verify) ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// explain says what an error that will not pass means, and what to do. No message of the store or the library holds a secret key.
func (s *s3) explain(verb, key string, err error) error {
	var e minio.ErrorResponse
	if !errors.As(err, &e) {
		if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
			return fmt.Errorf("blob: %s %s: %s speaks plain HTTP; add insecure=1 to the URL if that is meant", verb, s.name(key), s.core.EndpointURL().Host)
		}
		return fmt.Errorf("blob: %s %s: %w; if the store has a certificate of its own, add its authority to the system's (or set SSL_CERT_FILE)", verb, s.name(key), err)
	}
	switch {
	case e.Code == "NoSuchBucket":
		return fmt.Errorf("%w: %s at %s; create it, or correct the URL", ErrNoBucket, s.bucket, s.core.EndpointURL().Host)
	case e.Code == "NoSuchUpload":
		return fmt.Errorf("blob: %s %s: %w", verb, s.name(key), err)
	case e.StatusCode == http.StatusNotFound || e.Code == "NoSuchKey":
		return fmt.Errorf("%w: %s", ErrNotFound, s.name(key))
	case e.StatusCode == http.StatusPreconditionFailed:
		return fmt.Errorf("%w: %s", ErrExists, s.name(key))
	case e.Code == "RequestTimeTooSkewed":
		return fmt.Errorf("%w: %s %s: %w; set this machine's clock", ErrAccess, verb, s.name(key), err)
	case e.StatusCode == http.StatusMovedPermanently || e.StatusCode == http.StatusTemporaryRedirect ||
		e.Code == "AuthorizationHeaderMalformed" || e.Code == "IllegalLocationConstraintException" || e.Code == "PermanentRedirect":
		hint := "its region"
		if e.Region != "" {
			hint = e.Region
		}
		return fmt.Errorf("%w: %s %s: %w; add region=%s to the URL or set AWS_REGION", ErrRegion, verb, s.name(key), err, hint)
	case e.StatusCode == http.StatusForbidden || e.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s %s: %w; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of a user who may read, write, list and delete in bucket %s",
			ErrAccess, verb, s.name(key), err, s.bucket)
	}
	return fmt.Errorf("blob: %s %s: %w", verb, s.name(key), err)
}
