package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"rebase/auth/password"
	"rebase/auth/userfile"
	"rebase/auth/users"
)

type authUsersCmd struct {
	Import authUsersImportCmd `cmd:"" help:"Import accounts from a file as firebase auth:export writes it. Users keep their passwords."`
	Export authUsersExportCmd `cmd:"" help:"Export accounts into such a file, with the hashes of their passwords."`
}

// hashFlags are those of firebase auth:import, and a name for hashes of this program.
type hashFlags struct {
	HashAlgo        string `name:"hash-algo" help:"How the passwords in the file are hashed: SCRYPT for a project at Firebase, STANDARD_SCRYPT, BCRYPT, PBKDF2_SHA256, PBKDF_SHA1, HMAC_SHA512, HMAC_SHA256, HMAC_SHA1, HMAC_MD5, SHA512, SHA256, SHA1, MD5; REBASE for a file that this program has exported." placeholder:"NAME"`
	HashKey         string `help:"Key of SCRYPT and HMACs, in base64." placeholder:"BASE64"`
	SaltSeparator   string `help:"Salt separator of SCRYPT, in base64." placeholder:"BASE64"`
	Rounds          int    `help:"Rounds of SCRYPT, PBKDF and digests." placeholder:"N"`
	MemCost         int    `help:"Memory cost of SCRYPT; N of STANDARD_SCRYPT." placeholder:"N"`
	Parallelization int    `help:"p of STANDARD_SCRYPT." placeholder:"N"`
	BlockSize       int    `help:"r of STANDARD_SCRYPT." placeholder:"N"`
	DKLen           int    `name:"dk-len" help:"Length of the key of STANDARD_SCRYPT, in bytes." placeholder:"N"`
	HashInputOrder  string `enum:",SALT_FIRST,PASSWORD_FIRST" default:"" help:"Which comes first in digests and HMACs, SALT_FIRST or PASSWORD_FIRST." placeholder:"ORDER"`
}

// params returns the flags as the API has them, after a check that says what is missing.
func (f *hashFlags) params() (map[string]any, error) {
	algorithm := strings.ToUpper(f.HashAlgo)
	p := password.Params{Algorithm: algorithm, Rounds: f.Rounds}
	for _, b := range []struct {
		flag, text string
		into       *[]byte
	}{{"--hash-key", f.HashKey, &p.SignerKey}, {"--salt-separator", f.SaltSeparator, &p.SaltSeparator}} {
		v, err := password.Bytes(b.text)
		if err != nil {
			return nil, fmt.Errorf("%s is not base64", b.flag)
		}
		*b.into = v
	}
	p.Order = map[string]string{"SALT_FIRST": password.SaltFirst, "PASSWORD_FIRST": password.PasswordFirst}[f.HashInputOrder]
	m := map[string]any{}
	switch algorithm {
	case "", users.Native:
		if algorithm != "" {
			m["hashAlgorithm"] = algorithm
		}
		return m, nil
	case password.StandardScrypt:
		p.CPUMemCost, p.Parallelization, p.BlockSize, p.DKLen = f.MemCost, f.Parallelization, f.BlockSize, f.DKLen
	default:
		p.MemoryCost = f.MemCost
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return m, json.Unmarshal(text, &m)
}

type authUsersImportCmd struct {
	ofProject
	hashFlags
	File   string `arg:"" help:"File of accounts, JSON or CSV; \"-\" is standard input." placeholder:"FILE"`
	Format string `enum:",json,csv" default:"" help:"json or csv, if the file's name does not say." placeholder:"FORMAT"`
	Quiet  bool   `short:"q" help:"Say nothing but what goes wrong."`
}

// api is a path of the administrators' API.
func (p ofProject) api(method string) string {
	return "/identitytoolkit.googleapis.com/v1/projects/" + esc(p.Project) + "/accounts:" + method
}

// apiError reads an error of that API.
func apiError(text []byte) string {
	var e struct{ Error struct{ Message string } }
	_ = json.Unmarshal(text, &e) // then it is ""
	return e.Error.Message
}

// usersFormat is the format of a file of accounts, by flag or name.
func usersFormat(flag, file string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".json":
		return "json", nil
	case ".csv":
		return "csv", nil
	}
	return "", &usageError{fmt.Errorf("the name of %s does not say whether it is JSON or CSV: give --format", file)}
}

// usersBatch is how many accounts go with one request; the API takes a thousand.
const usersBatch = 1000

// Run imports the file.
func (c *authUsersImportCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	format, err := usersFormat(c.Format, c.File)
	if err != nil {
		return err
	}
	params, err := c.params()
	if err != nil {
		return &usageError{err}
	}
	in := std.in
	if c.File != stdio {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	i := usersImport{c: c, a: a, std: std, params: params}
	read := userfile.ReadJSON
	if format == "csv" {
		read = userfile.ReadCSV
	}
	err = read(in, func(u *userfile.Account) error { return i.add(ctx, *u) })
	if err == nil {
		err = i.flush(ctx)
	}
	if err != nil {
		if i.taken > 0 {
			err = fmt.Errorf("%w\n%d accounts were imported before; importing them again does no harm", err, i.taken)
		}
		return err
	}
	if !c.Quiet {
		fmt.Fprintf(std.err, "imported %s accounts\n", thousands(int64(i.taken)))
	}
	if i.refused > 0 {
		return fmt.Errorf("%d accounts were refused", i.refused)
	}
	return nil
}

type usersImport struct {
	c              *authUsersImportCmd
	a              *authCmd
	std            streams
	params         map[string]any
	batch          []userfile.Account
	taken, refused int
}

func (i *usersImport) add(ctx context.Context, u userfile.Account) error {
	if u.PasswordHash != "" && i.params["hashAlgorithm"] == nil {
		return &usageError{errors.New("the accounts in the file have passwords: say by --hash-algo how they are hashed. For a project at Firebase, the console tells all the parameters: Authentication, Users, the menu's \"Password hash parameters\"")}
	}
	if i.batch = append(i.batch, u); len(i.batch) < usersBatch {
		return nil
	}
	return i.flush(ctx)
}

// uploadAccount is an account as the API takes it: two fields have other names than in files.
type uploadAccount struct {
	userfile.Account
	LastLoginAt    userfile.Text `json:"lastLoginAt,omitempty"`
	LastSignedInAt *struct{}     `json:"lastSignedInAt,omitempty"` // hides the file's
}

func (i *usersImport) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	body := map[string]any{}
	for k, v := range i.params {
		body[k] = v
	}
	list := make([]uploadAccount, len(i.batch))
	for k, u := range i.batch {
		list[k] = uploadAccount{Account: u, LastLoginAt: u.LastSignedInAt}
	}
	body["users"] = list
	text, err := i.a.send(ctx, "POST", i.c.api("batchCreate"), body, apiError)
	if err != nil {
		return err
	}
	var got struct {
		Error []struct {
			Index   int
			Message string
		}
	}
	if err := i.a.decode(text, &got); err != nil {
		return err
	}
	for _, e := range got.Error {
		if e.Index >= 0 && e.Index < len(i.batch) {
			fmt.Fprintf(i.std.err, "%s: %s\n", i.batch[e.Index].LocalID, e.Message)
		}
	}
	i.refused += len(got.Error)
	i.taken += len(i.batch) - len(got.Error)
	i.batch = i.batch[:0]
	return nil
}

type authUsersExportCmd struct {
	ofProject
	File   string `arg:"" help:"File to write, JSON or CSV; \"-\" is standard output. Only its owner can read it." placeholder:"FILE"`
	Format string `enum:",json,csv" default:"" help:"json or csv, if the file's name does not say." placeholder:"FORMAT"`
	Quiet  bool   `short:"q" help:"Say nothing but what goes wrong."`
}

// Run exports the accounts. The file has the name only once it is whole.
func (c *authUsersExportCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	format, err := usersFormat(c.Format, c.File)
	if err != nil {
		return err
	}
	if c.File == stdio {
		_, err := c.write(ctx, a, std.out, format)
		return err
	}
	temporary := c.File + ".part"
	_ = os.Remove(temporary) // one that was left with other permissions
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := c.write(ctx, a, f, format)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(temporary, c.File)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if !c.Quiet {
		fmt.Fprintf(std.err, "exported %s accounts\n", thousands(int64(n)))
	}
	return nil
}

func (c *authUsersExportCmd) write(ctx context.Context, a *authCmd, to io.Writer, format string) (n int, err error) {
	w := userfile.NewJSON(to)
	if format == "csv" {
		w = userfile.NewCSV(to)
	}
	next := ""
	for {
		path := c.api("batchGet") + "?maxResults=1000&nextPageToken=" + url.QueryEscape(next)
		text, err := a.send(ctx, "GET", path, nil, apiError)
		if err != nil {
			return n, err
		}
		var page struct {
			Users []struct {
				userfile.Account
				LastLoginAt userfile.Text
			}
			NextPageToken string
		}
		if err := a.decode(text, &page); err != nil {
			return n, err
		}
		for _, u := range page.Users {
			u.LastSignedInAt = u.LastLoginAt
			if u.PasswordHash != "" { // files have the ordinary alphabet of base64, the API the other
				hash, err := password.Bytes(u.PasswordHash)
				if err != nil {
					return n, fmt.Errorf("the hash of %s: %w", u.LocalID, err)
				}
				u.PasswordHash = base64.StdEncoding.EncodeToString(hash)
			}
			own := u.Providers[:0]
			for _, p := range u.Providers { // the others follow from the account itself
				if p.ProviderID != users.ProviderPassword && p.ProviderID != users.ProviderPhone {
					own = append(own, p)
				}
			}
			u.Providers = own
			if err := w.Write(&u.Account); err != nil {
				return n, err
			}
			n++
		}
		if next = page.NextPageToken; next == "" {
			return n, w.Close()
		}
	}
}
