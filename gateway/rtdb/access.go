package rtdb

import (
	"errors"
	"net/url"
	"sync"
	"time"

	"rebase/auth"
	"rebase/db"
	"rebase/live"
	"rebase/query"
	"rebase/tree"
)

// access is in whose name a client acts, and for how long. The zero value is a client that has said nothing.
type access struct {
	mu       sync.Mutex
	identity auth.Identity
	caller   *db.Caller  // identity as the database knows it; nil: the server's anonymous
	expiry   *time.Timer // ends the identity
	app      time.Time   // until when the client is known to be one of the project's apps
}

// forever is the end of what does not expire.
var forever = time.Unix(1<<40, 0)

// stop ends the timer. The client is gone.
func (a *access) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.expiry != nil {
		a.expiry.Stop()
		a.expiry = nil
	}
}

// caller is in whose name the client acts now.
func (c *client) caller() *db.Caller {
	c.access.mu.Lock()
	defer c.access.mu.Unlock()
	if c.access.caller == nil {
		return c.srv.anonymous
	}
	return c.access.caller
}

// authenticate takes a credential, and answers who that makes of the client. A credential that is rejected leaves the client
// who it was.
func (c *client) authenticate(e effect) {
	id, err := c.assume(e.cred)
	if errors.Is(err, errTooMany) {
		return
	}
	if err != nil {
		c.refuse(e.slot, c.unchecked("credential", err))
		return
	}
	variable := null
	if id.Auth != nil {
		variable = id.Auth
	}
	payload := append([]byte(`{"auth":`), variable...)
	c.answer(e.slot, "ok", append(payload, '}'))
}

// errTooMany says that the user has too many connections. The client has been told, and this one ends.
var errTooMany = errors.New("too many connections")

// assume makes the client who the credential says. A credential may be withdrawn between being checked and being the client's,
// where a revocation finds it; so it is checked again if there was any revocation.
func (c *client) assume(cred auth.Credential) (auth.Identity, error) {
	for {
		revocations := c.srv.revocations.Load()
		id, err := c.srv.o.Authenticator.Authenticate(c.srv.ctx, cred)
		c.refusedAdmin(cred, err)
		if err != nil {
			return id, err
		}
		if !c.identify(id) {
			return id, errTooMany
		}
		if err := c.become(id); err != nil {
			return id, err
		}
		if c.srv.revocations.Load() == revocations {
			return id, nil
		}
		if err := c.become(auth.Identity{}); err != nil { // nobody, for as long as it is not known
			return id, err
		}
	}
}

// unchecked is what is told of an error of finding out about a credential.
func (c *client) unchecked(what string, err error) error {
	var rejected *auth.Error
	if errors.As(err, &rejected) {
		return err
	}
	c.srv.o.Logger.Error("a "+what+" could not be checked", "ns", c.ns, "err", err)
	return &refusal{"unavailable", "The " + what + " cannot be checked at the moment."}
}

// become makes the client act in another name from now on. Listens that this one may not have are revoked. The
// caller holds work.
func (c *client) become(id auth.Identity) error {
	caller, err := db.NewCaller(id.Admin, c.srv.open, id.Auth)
	if err != nil {
		return err
	}
	a := &c.access
	a.mu.Lock()
	a.identity, a.caller = id, caller
	if a.expiry != nil {
		a.expiry.Stop()
		a.expiry = nil
	}
	if !id.Expires.IsZero() {
		a.expiry = time.AfterFunc(id.Expires.Sub(c.srv.o.Now()), func() {
			c.revoke(auth.StatusExpiredToken, "Auth token is expired.", func(now auth.Identity) bool { return now.Expires.Equal(id.Expires) })
		})
	}
	a.mu.Unlock()
	c.sess.SetCaller(caller)
	listeners := make([]*live.Listener, len(c.listens.all))
	for i, ls := range c.listens.all {
		listeners[i] = ls.l
	}
	c.srv.o.Hub.SetCaller(listeners, caller)
	if id.UID == "" && !id.Admin {
		_ = c.limits.Identify("", false) // where its address has too many connections it stays what it was
	}
	return nil
}

// revoke tells the client that its credential has lost its force, and takes it away, if it is still the one that is meant. SDKs then get
// a new one and connect again.
func (c *client) revoke(status, reason string, meant func(auth.Identity) bool) {
	c.mu.Lock()
	c.revoking++
	c.progressed()
	c.mu.Unlock()
	c.work.Lock()
	defer c.work.Unlock()
	c.access.mu.Lock()
	id := c.access.identity
	c.access.mu.Unlock()
	c.mu.Lock()
	c.revoking--
	if c.ended || !meant(id) {
		c.mu.Unlock()
		return
	}
	c.m.out.control(authRevokedFrame("ac", status, reason))
	c.kick()
	c.mu.Unlock()
	if err := c.become(auth.Identity{}); err != nil {
		c.srv.o.Logger.Error("a credential could not be revoked; the connection is closed", "ns", c.ns, "err", err)
		c.mu.Lock()
		c.via.abort()
		c.mu.Unlock()
	}
}

// Revoke takes the credentials of a user away that were issued before a moment: the user has been deleted or disabled, or its tokens
// have been revoked.
func (s *Server) Revoke(project, uid string, before time.Time) {
	s.revoke(func(id auth.Identity) bool {
		return id.UID == uid && id.Project == project && id.Issued.Before(before)
	})
}

// RevokeIf takes credentials away that may have been withdrawn. Those that are still good are accepted again. meant must be safe for
// concurrent use; it is not asked about clients that have shown none.
func (s *Server) RevokeIf(meant func(auth.Identity) bool) {
	s.revoke(func(id auth.Identity) bool { return (id.Project != "" || id.Name != "") && meant(id) })
}

func (s *Server) revoke(meant func(auth.Identity) bool) {
	s.revocations.Add(1) // before it looks for clients; see assume
	s.mu.Lock()
	var clients []*client
	for _, c := range s.clients {
		c.access.mu.Lock()
		if meant(c.access.identity) {
			clients = append(clients, c)
		}
		c.access.mu.Unlock()
	}
	s.mu.Unlock()
	for _, c := range clients {
		go c.revoke(auth.StatusInvalidToken, "The credential is no longer valid.", meant)
	}
}

// checkApp takes an App Check token.
func (c *client) checkApp(e effect) {
	if err := c.presentApp(e.token); err != nil {
		c.refuse(e.slot, err)
		return
	}
	c.answer(e.slot, "ok", emptyText)
}

func (c *client) presentApp(token string) error {
	until := forever
	if checker := c.srv.o.AppChecker; checker != nil {
		expires, err := checker.CheckApp(c.srv.ctx, c.ns, token)
		if err != nil {
			return c.unchecked("App Check token", err)
		}
		if !expires.IsZero() {
			until = expires
		}
	}
	c.access.mu.Lock()
	defer c.access.mu.Unlock()
	c.access.app = until
	return nil
}

// presentAppInURL takes the App Check token that a client has given when it connected. One that is no good is no error here:
// the client will present another, or be refused where it needs one.
func (c *client) presentAppInURL(q params) {
	if token, err := url.QueryUnescape(q.get("ac")); err == nil && token != "" && c.srv.o.AppChecker != nil {
		if err := c.presentApp(token); err != nil {
			c.srv.o.Logger.Debug("an App Check token in a URL was not accepted", "ns", c.ns, "err", err)
		}
	}
}

func (c *client) forgetApp(e effect) {
	c.access.mu.Lock()
	c.access.app = time.Time{}
	c.access.mu.Unlock()
	c.answer(e.slot, "ok", emptyText)
}

var errNoApp = &refusal{"permission_denied", "Missing or invalid App Check token"}

// admitted refuses clients that are not known to be one of the project's apps, where that is required. Admins need not be.
func (c *client) admitted() error {
	checker := c.srv.o.AppChecker
	if checker == nil || !checker.AppCheckRequired(c.ns) {
		return nil
	}
	c.access.mu.Lock()
	defer c.access.mu.Unlock()
	if c.access.identity.Admin || c.srv.o.Now().Before(c.access.app) {
		return nil
	}
	return errNoApp
}

// mayRead refuses a get that the rules do not allow on the state that it reads. Unlike a listen, it comes with its order also where that
// selects everything.
func (c *client) mayRead(v *db.View, p tree.Path, q *query.Query) error {
	return v.MayRead(p, q, c.caller())
}
