package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// authCmd administers a running server's authentication over HTTP.
type authCmd struct {
	adminFlags

	Project        authProjectCmd `cmd:"" help:"Projects: which databases belong together, and whose tokens are believed there."`
	Secret         authSecretCmd  `cmd:"" help:"Legacy secrets of databases: credentials of administrators, that also sign tokens."`
	ServiceAccount authAccountCmd `cmd:"" help:"Service accounts, for Admin SDKs."`
	Users          authUsersCmd   `cmd:"" help:"Users: take them over from Firebase or another system, and write them out."`
	Keys           authKeysCmd    `cmd:"" help:"The keys that the server signs with."`
	Root           authRootCmd    `cmd:"" help:"The root secret."`
	Token          authTokenCmd   `cmd:"" help:"Tokens."`
}

// Help is shown by --help below the flags' purpose.
func (*authCmd) Help() string {
	return `A closed server believes only whom a project names, and the holder of the root secret, which is in the file root-secret of its data folder. docs/auth.md leads from nothing to a project with a service account.`
}

// esc is a part of a path.
func esc(s string) string { return url.PathEscape(s) }

func table(w io.Writer, rows ...[]string) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

type authProjectCmd struct {
	Create authProjectCreateCmd `cmd:"" help:"Make a project. The database of its name is its own."`
	List   authProjectListCmd   `cmd:"" help:"List the projects."`
	Show   authProjectShowCmd   `cmd:"" help:"Print a project, without what is secret in it."`
	Config authProjectConfigCmd `cmd:"" help:"Change settings of a project, by a JSON document with those that change."`
	Delete authProjectDeleteCmd `cmd:"" help:"Delete a project and its users, but no database."`
}

type authProjectCreateCmd struct {
	Name            string   `arg:"" help:"Name: lower-case letters, digits, hyphens." placeholder:"NAME"`
	Database        []string `help:"Further database of the project. May be repeated." placeholder:"NAME"`
	FirebaseProject string   `help:"Project at Firebase whose users' ID tokens are believed, too." placeholder:"ID"`
}

type projectAnswer struct {
	Name         string    `json:"name"`
	Created      time.Time `json:"created"`
	APIKeys      []string  `json:"apiKeys"`
	AllDatabases []string  `json:"allDatabases"`
}

// Run makes the project.
func (c *authProjectCreateCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	in := map[string]any{"name": c.Name}
	if len(c.Database) > 0 {
		in["databases"] = c.Database
	}
	if c.FirebaseProject != "" {
		in["firebaseProject"] = c.FirebaseProject
	}
	var p projectAnswer
	if printed, err := a.do(ctx, std, "POST", "projects", in, &p); err != nil || printed {
		return err
	}
	return table(std.out, []string{"project", p.Name}, []string{"apiKey", strings.Join(p.APIKeys, " ")}, []string{"databases", strings.Join(p.AllDatabases, " ")})
}

type authProjectListCmd struct{}

// Run lists the projects.
func (c *authProjectListCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	var list struct{ Projects []projectAnswer }
	if printed, err := a.do(ctx, std, "GET", "projects", nil, &list); err != nil || printed {
		return err
	}
	rows := [][]string{{"PROJECT", "CREATED", "DATABASES"}}
	for _, p := range list.Projects {
		rows = append(rows, []string{p.Name, day(p.Created), strings.Join(p.AllDatabases, " ")})
	}
	return table(std.out, rows...)
}

type authProjectShowCmd struct {
	Name string `arg:"" placeholder:"NAME" help:"The project."`
}

// Run prints the project, which is JSON for people, too.
func (c *authProjectShowCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	a.JSON = true
	_, err := a.do(ctx, std, "GET", "projects/"+esc(c.Name), nil, nil)
	return err
}

type authProjectConfigCmd struct {
	Name string `arg:"" placeholder:"NAME" help:"The project."`
	File string `arg:"" placeholder:"FILE" help:"JSON with settings: apiKeys, databases, firebaseProject, issuers, appCheck, signIn. Those that are missing stay as they are. \"-\" is standard input."`
}

// Run changes the settings.
func (c *authProjectConfigCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	text, err := readFile(std, c.File)
	if err != nil {
		return err
	}
	if !json.Valid(text) {
		return &usageError{fmt.Errorf("%s is not JSON", c.File)}
	}
	a.JSON = true
	_, err = a.do(ctx, std, "PATCH", "projects/"+esc(c.Name), json.RawMessage(text), nil)
	return err
}

type authProjectDeleteCmd struct {
	Name string `arg:"" placeholder:"NAME" help:"The project."`
	Yes  bool   `required:"" help:"Really: its users and their passwords cannot be brought back."`
}

// Run deletes the project.
func (c *authProjectDeleteCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	printed, err := a.do(ctx, std, "DELETE", "projects/"+esc(c.Name)+"?confirm="+url.QueryEscape(c.Name), nil, nil)
	return said(std, printed, err, "deleted project %s", c.Name)
}

// said tells people that something was done.
func said(std streams, printed bool, err error, format string, args ...any) error {
	if err != nil || printed {
		return err
	}
	_, err = fmt.Fprintf(std.out, format+"\n", args...)
	return err
}

func readFile(std streams, name string) ([]byte, error) {
	if name == stdio {
		return io.ReadAll(std.in)
	}
	return os.ReadFile(name)
}

type authSecretCmd struct {
	Create authSecretCreateCmd `cmd:"" help:"Make a secret, and print it: it cannot be read again."`
	Import authSecretImportCmd `cmd:"" help:"Take over a secret from Firebase, so that what is signed with it stays good."`
	List   authSecretListCmd   `cmd:"" help:"List the secrets, by their ids."`
	Revoke authSecretRevokeCmd `cmd:"" help:"Revoke a secret, and all tokens signed with it."`
}

type ofProject struct {
	Project string `required:"" help:"The project." placeholder:"NAME"`
}

func (p ofProject) path(below string) string { return "projects/" + esc(p.Project) + "/" + below }

type secretAnswer struct {
	ID       string    `json:"id"`
	Secret   string    `json:"secret"`
	Database string    `json:"database"`
	Created  time.Time `json:"created"`
}

type authSecretCreateCmd struct {
	ofProject
	Database string `help:"For this database of the project alone." placeholder:"NAME"`
}

// Run makes a secret.
func (c *authSecretCreateCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	var s secretAnswer
	printed, err := a.do(ctx, std, "POST", c.path("secrets"), map[string]string{"database": c.Database}, &s)
	return said(std, printed, err, "%s", s.Secret)
}

type authSecretImportCmd struct {
	ofProject
	Database string `help:"For this database of the project alone." placeholder:"NAME"`
	File     string `arg:"" help:"File with the secret; \"-\" is standard input." placeholder:"FILE"`
}

// Run takes over a secret.
func (c *authSecretImportCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	text, err := readFile(std, c.File)
	if err != nil {
		return err
	}
	var s secretAnswer
	in := map[string]string{"database": c.Database, "secret": string(bytes.TrimSpace(text))}
	printed, err := a.do(ctx, std, "POST", c.path("secrets"), in, &s)
	return said(std, printed, err, "secret %s", s.ID)
}

type authSecretListCmd struct{ ofProject }

// Run lists the secrets.
func (c *authSecretListCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	var list struct{ Secrets []secretAnswer }
	if printed, err := a.do(ctx, std, "GET", c.path("secrets"), nil, &list); err != nil || printed {
		return err
	}
	rows := [][]string{{"ID", "CREATED", "DATABASE"}}
	for _, s := range list.Secrets {
		rows = append(rows, []string{s.ID, day(s.Created), or(s.Database, "(all)")})
	}
	return table(std.out, rows...)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

type authSecretRevokeCmd struct {
	ofProject
	ID string `arg:"" help:"The secret's id, as listed." placeholder:"ID"`
}

// Run revokes the secret.
func (c *authSecretRevokeCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	printed, err := a.do(ctx, std, "DELETE", c.path("secrets/"+esc(c.ID)), nil, nil)
	return said(std, printed, err, "revoked secret %s", c.ID)
}

type authKeysCmd struct {
	List   authKeysListCmd   `cmd:"" help:"List the keys whose tokens are good."`
	Rotate authKeysRotateCmd `cmd:"" help:"Sign with a new key from now on. Nobody is signed out: the old one stays good for what it has signed."`
	Revoke authKeysRevokeCmd `cmd:"" help:"Delete a key that does not sign any more, because somebody else may have it. What it has signed is void at once."`
}

type keysAnswer struct {
	Keys []struct {
		ID                     string
		Created, Retired, Ends time.Time
	}
}

func (k *keysAnswer) print(std streams, printed bool, err error) error {
	if err != nil || printed {
		return err
	}
	rows := [][]string{{"KEY", "CREATED", "STATE"}}
	for _, key := range k.Keys {
		state := "signs"
		if !key.Ends.IsZero() {
			state = "verifies until " + day(key.Ends)
		}
		rows = append(rows, []string{key.ID, day(key.Created), state})
	}
	return table(std.out, rows...)
}

type authKeysListCmd struct{}

// Run lists the keys.
func (c *authKeysListCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	var k keysAnswer
	printed, err := a.do(ctx, std, "GET", "keys", nil, &k)
	return k.print(std, printed, err)
}

type authKeysRotateCmd struct{}

// Run rotates the keys.
func (c *authKeysRotateCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	var k keysAnswer
	printed, err := a.do(ctx, std, "POST", "keys/rotate", nil, &k)
	return k.print(std, printed, err)
}

type authKeysRevokeCmd struct {
	ID string `arg:"" help:"The key's id, as listed." placeholder:"ID"`
}

// Run revokes the key.
func (c *authKeysRevokeCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	var k keysAnswer
	printed, err := a.do(ctx, std, "DELETE", "keys/"+esc(c.ID), nil, &k)
	return k.print(std, printed, err)
}

type authRootCmd struct {
	Rotate authRootRotateCmd `cmd:"" help:"Replace the root secret, and print the new one. The server writes it into its data folder, too."`
}

type authRootRotateCmd struct{}

// Run replaces the root secret.
func (c *authRootRotateCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	var s secretAnswer
	printed, err := a.do(ctx, std, "POST", "root/rotate", nil, &s)
	return said(std, printed, err, "%s", s.Secret)
}

type authTokenCmd struct {
	Inspect authTokenInspectCmd `cmd:"" help:"Say what the server makes of a credential: whom it names, or why it is refused."`
}

type authTokenInspectCmd struct {
	Database string `required:"" help:"The database that it is presented to." placeholder:"NAME"`
	File     string `arg:"" default:"-" help:"File with the credential; \"-\", the default, is standard input." placeholder:"FILE"`
}

// Run inspects the credential. One that is refused is a failure.
func (c *authTokenInspectCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	text, err := readFile(std, c.File)
	if err != nil {
		return err
	}
	var v struct {
		Accepted, Admin              bool
		Status, Reason, Project, UID string
		Auth                         json.RawMessage
		Expires                      time.Time
	}
	in := map[string]string{"database": c.Database, "token": string(bytes.TrimSpace(text))}
	if printed, err := a.do(ctx, std, "POST", "inspect", in, &v); err != nil || printed {
		return err
	}
	if !v.Accepted {
		return fmt.Errorf("%s: %s", v.Status, v.Reason)
	}
	rows := [][]string{}
	if v.Admin {
		rows = append(rows, []string{"administrator", "of " + or(v.Project, "everything")})
	} else {
		rows = append(rows, []string{"user", v.UID}, []string{"project", v.Project})
	}
	if !v.Expires.IsZero() {
		rows = append(rows, []string{"expires", day(v.Expires)})
	}
	if len(v.Auth) > 0 {
		var b bytes.Buffer
		if err := json.Compact(&b, v.Auth); err != nil {
			return err
		}
		rows = append(rows, []string{"auth", b.String()})
	}
	return table(std.out, rows...)
}
