package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"rebase/auth/projects"
)

type authAccountCmd struct {
	Create    authAccountCreateCmd    `cmd:"" help:"Make a service account, and write its key file."`
	Import    authAccountImportCmd    `cmd:"" help:"Take over a service account from its key file, so that what it signs is believed. The private key stays here."`
	List      authAccountListCmd      `cmd:"" help:"List the service accounts and their keys."`
	Delete    authAccountDeleteCmd    `cmd:"" help:"Delete a service account. What it has signed, and its access tokens, are void at once."`
	AddKey    authAccountAddKeyCmd    `cmd:"" help:"Make a further key for a service account, and write its key file."`
	DeleteKey authAccountDeleteKeyCmd `cmd:"" help:"Delete a key of a service account."`
}

type keyOutput struct {
	Output string `required:"" short:"o" type:"path" help:"Key file to write; it must not exist." placeholder:"FILE"`
}

// write writes a key file that only its owner can read. It is opened before the key is made, so that no key is lost for want of a place.
func (o *keyOutput) write(ctx context.Context, std streams, a *authCmd, path string, in any) error {
	f, err := os.OpenFile(o.Output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	a.JSON = false
	var file projects.KeyFile
	_, err = a.do(ctx, std, "POST", path, in, &file)
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(o.Output))
	}
	text, err := json.MarshalIndent(file, "", "  ")
	if err == nil {
		_, err = f.Write(append(text, '\n'))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return table(std.out, []string{"account", file.ClientEmail}, []string{"key", file.PrivateKeyID}, []string{"file", o.Output}, []string{"tokens", file.TokenURI})
}

type authAccountCreateCmd struct {
	ofProject
	Name string `arg:"" help:"Name: lower-case letters, digits, hyphens." placeholder:"NAME"`
	keyOutput
}

// Run makes the service account.
func (c *authAccountCreateCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	return c.write(ctx, std, a, c.path("service-accounts"), map[string]string{"name": c.Name})
}

type authAccountImportCmd struct {
	ofProject
	File string `arg:"" help:"Key file, in Google's format." placeholder:"FILE"`
}

// Run sends the public half of the key file's key.
func (c *authAccountImportCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	text, err := readFile(std, c.File)
	if err != nil {
		return err
	}
	account, err := projects.ReadKeyFile(text, time.Now())
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	in := map[string]string{"email": account.Email, "keyId": account.Keys[0].ID, "publicKey": account.Keys[0].PEM}
	printed, err := a.do(ctx, std, "POST", c.path("service-accounts"), in, nil)
	return said(std, printed, err, "took over %s", account.Email)
}

type authAccountListCmd struct{ ofProject }

// Run lists the service accounts.
func (c *authAccountListCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	var list struct {
		ServiceAccounts []struct {
			Email   string
			Created time.Time
			Keys    []struct {
				ID      string
				Created time.Time
			}
		}
	}
	if printed, err := a.do(ctx, std, "GET", c.path("service-accounts"), nil, &list); err != nil || printed {
		return err
	}
	rows := [][]string{{"ACCOUNT", "KEY", "CREATED"}}
	for _, s := range list.ServiceAccounts {
		for _, k := range s.Keys {
			rows = append(rows, []string{s.Email, k.ID, day(k.Created)})
		}
	}
	return table(std.out, rows...)
}

type authAccountDeleteCmd struct {
	ofProject
	Email string `arg:"" help:"The service account's address, as listed." placeholder:"EMAIL"`
}

// Run deletes the service account.
func (c *authAccountDeleteCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	printed, err := a.do(ctx, std, "DELETE", c.path("service-accounts/"+esc(c.Email)), nil, nil)
	return said(std, printed, err, "deleted %s", c.Email)
}

type authAccountAddKeyCmd struct {
	ofProject
	Email string `arg:"" help:"The service account's address, as listed." placeholder:"EMAIL"`
	keyOutput
}

// Run makes the key.
func (c *authAccountAddKeyCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	return c.write(ctx, std, a, c.path("service-accounts/"+esc(c.Email)+"/keys"), map[string]string{})
}

type authAccountDeleteKeyCmd struct {
	ofProject
	Email string `arg:"" help:"The service account's address, as listed." placeholder:"EMAIL"`
	Key   string `arg:"" help:"The key's id, as listed." placeholder:"KEY"`
}

// Run deletes the key.
func (c *authAccountDeleteKeyCmd) Run(ctx context.Context, std streams, a *authCmd) error {
	printed, err := a.do(ctx, std, "DELETE", c.path("service-accounts/"+esc(c.Email)+"/keys/"+esc(c.Key)), nil, nil)
	return said(std, printed, err, "deleted key %s of %s", c.Key, c.Email)
}
