package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"rebase/auth/keys"
	"rebase/auth/password"
	"rebase/auth/projects"
	"rebase/auth/token"
	"rebase/db"
	"rebase/tree"
)

// Signer signs ID tokens, and knows the keys of those that are in force; *keys.Ring is one.
type Signer interface {
	Sign(claims map[string]any) (string, error)
	Key(kid string) (*token.Key, bool)
}

var _ Signer = (*keys.Ring)(nil)

// Projects knows the projects; *projects.Registry is one.
type Projects interface {
	Config(project string) (*projects.Config, bool)
}

var _ Projects = (*projects.Registry)(nil)

// CustomTokens checks custom tokens; *auth.Authority is one.
type CustomTokens interface {
	VerifyCustomToken(ctx context.Context, project, token string) (uid string, claims map[string]any, err error)
}

// Options are the parts of a Store.
type Options struct {
	Keys     Signer
	Projects Projects
	// Custom checks custom tokens; nil: nobody signs in by one, but in open mode.
	Custom CustomTokens
	// HTTP is for what providers publish and for the code flow; nil: one with sensible time limits.
	HTTP *http.Client
	// Mailer sends mails; nil: there are none.
	Mailer Mailer
	// Hash are the costs of passwords.
	Hash password.Options
	// Limits bound guessing.
	Limits Limits
	// RecentLogin is how old a sign-in may be for what needs a recent one; 0 is 5 minutes.
	RecentLogin time.Duration
	// Open has the conventions of an emulator: tokens are not signed, and believed without a signature, and codes are kept in plain for Codes.
	Open bool

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: none
}

// Store is the users of all projects. It is safe for concurrent use.
type Store struct {
	o       Options
	db      *db.DB
	hash    *password.Hasher
	guard   *guard
	log     *slog.Logger
	revoked revocations
	recent  recentCodes
	posting poster
	remotes remotes

	stop context.CancelFunc
	done sync.WaitGroup
}

// Open returns the users in d. Close must be called before d is closed.
func Open(_ context.Context, d *db.DB, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.RecentLogin == 0 {
		o.RecentLogin = 5 * time.Minute
	}
	s := &Store{o: o, db: d, hash: password.New(o.Hash), guard: newGuard(o.Limits, o.Now), log: o.Logger}
	if o.HTTP == nil {
		s.o.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	run, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.revoked.init()
	s.posting.init()
	d.Watch(Namespace, s.changed)
	s.done.Go(func() { s.revoked.run(run) })
	s.done.Go(func() { s.posting.run(run, s) })
	s.done.Go(func() { s.sweep(run) })
	return s, nil
}

// Close ends what the store does by itself. Mails that wait to be sent are lost.
func (s *Store) Close() {
	s.stop()
	s.done.Wait()
}

// Caller is on whose behalf something is done.
type Caller struct {
	Project string
	// Address is where the caller is, for limits: an IP address.
	Address string
	// Admin is set for an administrator, whom no limit and no setting of the project binds.
	Admin bool
	// Language is what mails should be written in, as the client asks.
	Language string
	// Base is the server's own URL as the client reaches it, for links in mails.
	Base string
	// APIKey is the one that the client used, for links in mails.
	APIKey string
}

// settings returns how users of a project sign in.
func (s *Store) settings(project string) *projects.SignIn {
	if c, ok := s.o.Projects.Config(project); ok {
		return &c.SignIn
	}
	return &projects.SignIn{}
}

func (s *Store) millis() int64 { return s.o.Now().UnixMilli() }

// record is a stored text together with the condition that it is still the same.
type record struct {
	path tree.Path
	text string // "" if there is none
	hash string
}

func (s *Store) record(p tree.Path) (record, error) {
	leaf, _, err := s.db.Store().Leaf(Namespace, p)
	if err != nil {
		return record{}, fmt.Errorf("users: %w", err)
	}
	return record{p, leaf.Str(), tree.Hash(leaf)}, nil
}

// user returns an account with its record; nil if there is none.
func (s *Store) user(project, uid string) (*User, record, error) {
	if uid == "" {
		return nil, record{}, nil
	}
	r, err := s.record(at(project).user(uid))
	if err != nil || r.text == "" {
		return nil, r, err
	}
	u := &User{}
	if err := json.Unmarshal([]byte(r.text), u); err != nil {
		return nil, r, fmt.Errorf("users: the record of a user of project %s is damaged: %w", project, err)
	}
	return u, r, nil
}

// owner returns the account that a look-up record names; nil if there is none.
func (s *Store) owner(project string, p tree.Path) (*User, error) {
	r, err := s.record(p)
	if err != nil {
		return nil, err
	}
	u, _, err := s.user(project, r.text)
	return u, err
}

// Get returns an account; nil if there is none.
func (s *Store) Get(project, uid string) (*User, error) {
	u, _, err := s.user(project, uid)
	return u, err
}

// ByEmail returns the account with an address; nil if there is none.
func (s *Store) ByEmail(project, address string) (*User, error) {
	address, err := CanonicalEmail(address)
	if err != nil {
		return nil, nil
	}
	return s.owner(project, at(project).email(address))
}

// ByPhone returns the account with a telephone number; nil if there is none.
func (s *Store) ByPhone(project, number string) (*User, error) {
	return s.owner(project, at(project).phone(number))
}

// ByProvider returns the account with an identity at a provider; nil if there is none.
func (s *Store) ByProvider(project, id, raw string) (*User, error) {
	switch id {
	case ProviderPassword:
		return s.ByEmail(project, raw)
	case ProviderPhone:
		return s.ByPhone(project, raw)
	}
	return s.owner(project, at(project).provider(id, raw))
}

// errAgain has an operation done again, on the state that is now.
var errAgain = errors.New("users: the state has changed meanwhile")

// attempts bounds how often an operation is done again: more would be a fault.
const attempts = 20

// again repeats f while what it wanted to write rests on what has changed meanwhile.
func (s *Store) again(ctx context.Context, f func() error) error {
	for range attempts {
		err := f()
		if !errors.Is(err, errAgain) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return errors.New("users: the record changes too often")
}
