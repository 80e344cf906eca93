package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/audit"
	"rebase/auth"
	"rebase/auth/keys"
	"rebase/auth/projects"
	"rebase/gateway/authadmin"
)

// RootSecretFile is the file in the data folder that holds the root secret of a closed server.
const RootSecretFile = "root-secret"

// rotateKeysAfter is the age at which the signing key is replaced by a new one.
const rotateKeysAfter = 30 * 24 * time.Hour

// authentication is who is believed. It is there in open mode, too, where it decides nothing but serves the administration.
type authentication struct {
	keys      *keys.Ring
	projects  *projects.Registry
	authority *auth.Authority
	admin     *authadmin.Handler
}

// openAuth opens what the log holds of authentication. It needs the database and the journal.
func (s *Server) openAuth(ctx context.Context) error {
	var err error
	if s.auth.keys, err = keys.Open(ctx, s.data.db, keys.Options{}); err != nil {
		return authError(err)
	}
	if s.auth.projects, err = projects.Open(ctx, s.data.db); err != nil {
		return authError(err)
	}
	s.auth.authority, err = auth.New(auth.Options{
		Keys: s.auth.keys, Projects: s.auth.projects, Users: storedUsers{s}, PublicURL: s.o.PublicURL, Logger: s.log,
		IDTokenKeys: s.o.FirebaseKeys, AppCheckKeys: s.o.AppCheckKeys,
	})
	if err != nil {
		return &StartError{Kind: KindOther, What: "credentials cannot be checked", Err: err, Advice: "Give --public-url as https://HOST, the address under which apps and services reach this server, and --firebase-keys and --app-check-keys as https addresses."}
	}
	s.auth.admin = authadmin.New(authadmin.Options{
		Authority: s.auth.authority, Keys: s.auth.keys, Projects: s.auth.projects, Open: s.o.open(), PublicURL: s.o.PublicURL,
		NewRoot: s.newRootSecret, Audit: s.audit, Logger: s.log,
	})
	if s.o.open() {
		return nil
	}
	return s.ensureRootSecret(ctx)
}

func authError(err error) error {
	return &StartError{
		Kind: KindCorrupt, What: "what the log holds of authentication cannot be read", Err: err,
		Advice: "It was written by a newer version, or is damaged: start that version, or restore the whole folder from a backup.",
	}
}

// authenticator names the callers of the gateways.
func (s *Server) authenticator() auth.Authenticator {
	if s.o.open() {
		return auth.Open{}
	}
	return s.auth.authority
}

// appChecker checks apps for the gateways; nil in open mode, as an emulator does not ask.
func (s *Server) appChecker() auth.AppChecker {
	if s.o.open() {
		return nil
	}
	return s.auth.authority
}

// ensureRootSecret makes the root secret at the first start of a closed server, or when one is asked for.
func (s *Server) ensureRootSecret(ctx context.Context) error {
	if s.auth.keys.HasRoot() && !s.o.NewRootSecret {
		return nil
	}
	if _, err := s.newRootSecret(ctx); err != nil {
		return &StartError{Kind: KindData, What: "the root secret cannot be made", Err: err, Advice: "The user that the server runs as must be able to write the data folder."}
	}
	s.log.Info("made a root secret, the administrator's credential", "file", s.o.FS.PathJoin(s.o.Data, RootSecretFile))
	s.record(audit.Event{Act: audit.SecretCreated, Target: "root secret"})
	return nil
}

// newRootSecret replaces the root secret, in the file and in the log. The file comes first: a crash in between leaves the old secret in
// force and the new one in the file, which a further try puts right, while a secret in force that nobody has ever seen would lock everyone out.
func (s *Server) newRootSecret(ctx context.Context) (string, error) {
	secret := keys.NewRootSecret()
	if err := writeSecret(s.o.FS, s.o.Data, RootSecretFile, secret+"\n"); err != nil {
		return "", fmt.Errorf("writing %s: %w", RootSecretFile, err)
	}
	return secret, s.auth.keys.SetRoot(ctx, secret)
}

// writeSecret replaces a file by one that only its owner can read. The file system under tests knows no permissions.
func writeSecret(fs vfs.FS, dir, name, text string) error {
	temporary := fs.PathJoin(dir, name+".new")
	var f interface {
		Write([]byte) (int, error)
		Sync() error
		Close() error
	}
	var err error
	if fs == vfs.Default {
		_ = os.Remove(temporary) // one that was left with other permissions
		f, err = os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	} else {
		f, err = fs.Create(temporary, vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(temporary, fs.PathJoin(dir, name)); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// rotateKeys replaces the signing key when it is old, until ctx is done.
func (s *Server) rotateKeys(ctx context.Context) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		if list := s.auth.keys.List(); len(list) > 0 && list[0].Retired.IsZero() && time.Since(list[0].Created) > rotateKeysAfter {
			switch err := s.auth.keys.Rotate(ctx); {
			case err == nil:
				s.log.Info("replaced the signing key by a new one; tokens that it has signed stay good")
				s.record(audit.Event{Act: audit.KeyRotated, Reason: "age"})
			case ctx.Err() == nil:
				s.log.Error("the signing key could not be replaced; it will be tried again", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
