package projects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"rebase/auth/keys"
	"rebase/db"
	"rebase/tree"
)

// Errors of changes.
var (
	// ErrChanged: the project is not at the version that was to be replaced.
	ErrChanged = errors.New("the project has changed meanwhile")
	// ErrNoProject: there is no project of that name.
	ErrNoProject = errors.New("there is no such project")
)

// Where the projects are in the system tree:
//
//	projects/<project>/config    the document, as JSON
//	registry                     how often a document was changed
//
// Each change is on condition that the counter is as it was when the documents were compared with one another. So they are compared in one
// order on all replicas, and no two of them can claim one database or API key.
const (
	namespace              = keys.Namespace
	top          tree.Path = "projects"
	pathRegistry tree.Path = "registry"
	configKey              = "config"
)

func pathConfig(project string) tree.Path { return top.Child(project).Child(configKey) }

// DefaultDatabase follows a project's name in the name of the database that the SDKs take if they are given none.
const DefaultDatabase = "-default-rtdb"

// Registry is all projects of a server. It is safe for concurrent use.
type Registry struct {
	db    *db.DB
	state atomic.Pointer[state]

	mu        sync.Mutex
	listeners []func(project string)
}

// state is the projects at one position of the log. It is never changed.
type state struct {
	changes   int64 // the counter
	byName    map[string]*Config
	databases map[string]string // of explicit ones, their project
	apiKeys   map[string]string
	accounts  map[string]string // by e-mail address
	err       error             // some document cannot be read; its project is not in byName
}

// Open reads the projects from d, and follows their changes.
func Open(_ context.Context, d *db.DB) (*Registry, error) {
	r := &Registry{db: d}
	d.Watch(namespace, r.applied)
	d.Barrier(func(uint64) { r.load(nil) })
	return r, r.state.Load().err
}

// OnChange has f called with the name of each project that has changed, after the change, on the goroutine that applies changes: f must not
// block. It is for whoever keeps something that a change could make void.
func (r *Registry) OnChange(f func(project string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners = append(r.listeners, f)
}

// applied hears of changes of the system tree. Those of users are many, and must cost little here.
func (r *Registry) applied(c *db.Change) {
	var changed []string
	all := false
	for i := range c.Updates {
		p := c.Base.Join(c.Updates[i].Path)
		if p.Contains(top) {
			all = true
			continue
		}
		if !top.Contains(p) {
			continue
		}
		project, below := p.Rel(top).Front()
		if below.IsRoot() || tree.Path(configKey).Contains(below) {
			changed = append(changed, project)
		}
	}
	if all {
		changed = nil
	} else if len(changed) == 0 {
		return
	}
	before := r.state.Load()
	r.load(changed)
	after := r.state.Load()
	if all {
		changed = slices.Collect(maps.Keys(before.byName))
		for name := range after.byName {
			if before.byName[name] == nil {
				changed = append(changed, name)
			}
		}
	}
	r.mu.Lock()
	listeners := slices.Clone(r.listeners)
	r.mu.Unlock()
	for _, f := range listeners {
		for _, name := range changed {
			f(name)
		}
	}
}

// load reads the named projects anew, or all if none are named. It runs under the database's barrier.
func (r *Registry) load(names []string) {
	s := &state{byName: map[string]*Config{}, databases: map[string]string{}, apiKeys: map[string]string{}, accounts: map[string]string{}}
	st := r.db.Store()
	var errs []error
	if names == nil {
		err := st.Children(namespace, top, "", func(name string, _ bool, _ *tree.Node) bool {
			names = append(names, name)
			return true
		})
		errs = append(errs, err)
	} else {
		maps.Copy(s.byName, r.state.Load().byName)
	}
	for _, name := range names {
		delete(s.byName, name)
		leaf, _, err := st.Leaf(namespace, pathConfig(name))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if leaf.IsNull() {
			continue // users may be left of a project that is gone
		}
		c, err := decode([]byte(leaf.Str()), tree.Hash(leaf))
		if err != nil {
			// Nobody is believed there rather than somebody who should not be.
			errs = append(errs, fmt.Errorf("the document of project %s cannot be read: %w", name, err))
			continue
		}
		s.byName[name] = c
	}
	counter, _, err := st.Leaf(namespace, pathRegistry)
	errs = append(errs, err)
	s.changes = counter.Int()
	for name, c := range s.byName {
		for _, ns := range c.Databases {
			s.databases[ns] = name
		}
		for _, k := range c.APIKeys {
			s.apiKeys[k] = name
		}
		for i := range c.ServiceAccounts {
			s.accounts[c.ServiceAccounts[i].Email] = name
		}
	}
	s.err = errors.Join(errs...)
	r.state.Store(s)
}

// Config returns a project; it must not be changed.
func (r *Registry) Config(project string) (*Config, bool) {
	c := r.state.Load().byName[project]
	return c, c != nil
}

// ByAPIKey returns the project that an API key belongs to.
func (r *Registry) ByAPIKey(key string) (project string, ok bool) {
	project, ok = r.state.Load().apiKeys[key]
	return project, ok
}

// ByServiceAccount returns the project that a service account belongs to. It belongs to one.
func (r *Registry) ByServiceAccount(email string) (project string, ok bool) {
	project, ok = r.state.Load().accounts[email]
	return project, ok
}

// Of returns the project of a database, whether it exists or not: the one whose document names it, else the one that
// has its name, with or without "-default-rtdb".
func (r *Registry) Of(ns string) (project string) { return r.state.Load().of(ns) }

func (s *state) of(ns string) string {
	if project, ok := s.databases[ns]; ok {
		return project
	}
	return strings.TrimSuffix(ns, DefaultDatabase)
}

// List returns the names of all projects, sorted.
func (r *Registry) List() []string { return slices.Sorted(maps.Keys(r.state.Load().byName)) }

// Put stores a project. ifVersion is the version that it replaces, "" if there must be none: else the error is ErrChanged. *ConfigError says
// what makes no sense in a document, by itself or beside those of other projects.
func (r *Registry) Put(ctx context.Context, project string, c Config, ifVersion string) error {
	if err := CheckName(project); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	text, err := json.Marshal(&c)
	if err != nil {
		return err
	}
	if len(text) > MaxDocument {
		return bad("project", "its document would have more than %d bytes", MaxDocument)
	}
	return r.write(ctx, project, ifVersion, tree.NewString(string(text)), func(s *state) error { return s.fits(project, &c) })
}

// Delete removes a project and all that belongs to it, its users included, but no database. ifVersion is as for Put.
func (r *Registry) Delete(ctx context.Context, project, ifVersion string) error {
	if err := CheckName(project); err != nil {
		return err
	}
	return r.write(ctx, project, ifVersion, nil, func(*state) error { return nil })
}

// write replaces a document, or the whole project by nothing, on condition that nothing has changed since it was compared with the others.
func (r *Registry) write(ctx context.Context, project, ifVersion string, doc *tree.Node, fits func(*state) error) error {
	for {
		s := r.state.Load()
		if s.err != nil && doc != nil {
			return s.err
		}
		version := ""
		if c := s.byName[project]; c != nil {
			version = c.Version
		}
		if version != ifVersion && (s.err == nil || doc != nil) {
			return ErrChanged
		}
		if err := fits(s); err != nil {
			return err
		}
		if doc != nil && tree.Hash(doc) == version {
			return nil
		}
		counter := ""
		if s.changes != 0 {
			counter = tree.Hash(tree.NewInt(s.changes))
		}
		at := pathConfig(project)
		if doc == nil {
			at = top.Child(project)
		}
		err := r.db.Do(ctx, &db.Op{
			Kind: db.OpMerge, NS: namespace,
			Updates: []db.Update{{Path: at, Value: doc}, {Path: pathRegistry, Value: tree.NewInt(s.changes + 1)}},
			If:      []db.Condition{{Path: pathRegistry, Hash: counter}},
		}).Err
		if !errors.Is(err, db.ErrStale) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// fits returns an error if a project claims what is another's.
func (s *state) fits(project string, c *Config) error {
	for i, ns := range c.Databases {
		field := fmt.Sprintf("databases[%d]", i)
		if other := s.databases[ns]; other != "" && other != project {
			return bad(field, "%s belongs to project %s", ns, other)
		}
		if other := s.of(ns); other != project && s.byName[other] != nil {
			return bad(field, "%s belongs to project %s, which has its name", ns, other)
		}
	}
	for _, ns := range []string{project, project + DefaultDatabase} {
		if other := s.databases[ns]; other != "" && other != project {
			return bad("project", "the database %s, which would belong to it by its name, belongs to project %s", ns, other)
		}
	}
	for i, k := range c.APIKeys {
		if other := s.apiKeys[k]; other != "" && other != project {
			return bad(fmt.Sprintf("apiKeys[%d]", i), "it belongs to project %s", other)
		}
	}
	for i := range c.ServiceAccounts {
		if other := s.accounts[c.ServiceAccounts[i].Email]; other != "" && other != project {
			return bad(fmt.Sprintf("serviceAccounts[%d].email", i), "it belongs to project %s", other)
		}
	}
	return nil
}

// Update changes a project by f, again if somebody else changes it meanwhile. The copy that f gets is deep. An error of f ends it.
func (r *Registry) Update(ctx context.Context, project string, f func(*Config) error) error {
	for {
		current, ok := r.Config(project)
		if !ok {
			if err := r.state.Load().err; err != nil {
				return err
			}
			return ErrNoProject
		}
		c, err := current.clone()
		if err != nil {
			return err
		}
		if err := f(c); err != nil {
			return err
		}
		if err = r.Put(ctx, project, *c, current.Version); !errors.Is(err, ErrChanged) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
