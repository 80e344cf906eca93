package projects

import (
	"context"
	"errors"

	"rebase/db"
)

// Errors of changes.
var (
	// ErrChanged: the project is not at the version that was to be replaced.
	ErrChanged = errors.New("the project has changed meanwhile")
	// ErrNoProject: there is no project of that name.
	ErrNoProject = errors.New("there is no such project")
)

// Registry is all projects of a server. It is safe for concurrent use.
type Registry struct{}

// Open reads the projects from d, and follows their changes.
func Open(ctx context.Context, d *db.DB) (*Registry, error) {
	return nil, errors.ErrUnsupported
}

// Config returns a project; it must not be changed.
func (r *Registry) Config(project string) (*Config, bool) { return nil, false }

// ByAPIKey returns the project that an API key belongs to.
func (r *Registry) ByAPIKey(key string) (project string, ok bool) { return "", false }

// Of returns the project of a database, whether it exists or not: the one whose document names it, else the one that
// has its name, with or without "-default-rtdb".
func (r *Registry) Of(ns string) (project string) { return "" }

// List returns the names of all projects, sorted.
func (r *Registry) List() []string { return nil }

// Put stores a project. ifVersion is the version that it replaces, "" if there must be none: else the error is ErrChanged. *ConfigError says
// what makes no sense in a document.
func (r *Registry) Put(ctx context.Context, project string, c Config, ifVersion string) error {
	return errors.ErrUnsupported
}

// Update changes a project by f, again if somebody else changes it meanwhile. The copy that f gets is deep. An error of f ends it.
func (r *Registry) Update(ctx context.Context, project string, f func(*Config) error) error {
	return errors.ErrUnsupported
}
