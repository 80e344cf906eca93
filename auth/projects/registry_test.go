package projects

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/db"
	"rebase/test/memdb"
	"rebase/tree"
)

func open(t *testing.T, d *db.DB) *Registry {
	t.Helper()
	r, err := Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func put(t *testing.T, r *Registry, project string, c Config) {
	t.Helper()
	if err := r.Put(t.Context(), project, c, ""); err != nil {
		t.Fatal(err)
	}
}

func TestRegistry(t *testing.T) {
	disk := memdb.NewDisk()
	d, stop := disk.Open(t, nil)
	r := open(t, d)
	if _, ok := r.Config("shop"); ok || len(r.List()) != 0 {
		t.Fatal("there are projects from the start")
	}
	put(t, r, "shop", Config{APIKeys: []string{"key-of-shop"}, Databases: []string{"stock"}})
	put(t, r, "blog", Config{})
	if err := r.Put(t.Context(), "shop", Config{}, ""); !errors.Is(err, ErrChanged) {
		t.Errorf("made twice: %v", err)
	}
	c, _ := r.Config("shop")
	if err := r.Put(t.Context(), "shop", *c, "other version"); !errors.Is(err, ErrChanged) {
		t.Errorf("replaced another version: %v", err)
	}
	if err := r.Update(t.Context(), "nowhere", func(*Config) error { return nil }); !errors.Is(err, ErrNoProject) {
		t.Error(err)
	}
	ended := errors.New("ended")
	if err := r.Update(t.Context(), "shop", func(*Config) error { return ended }); err != ended {
		t.Error(err)
	}
	if err := r.Update(t.Context(), "shop", func(c *Config) error { c.Databases[0] = "stores"; return nil }); err != nil {
		t.Fatal(err)
	}
	if c.Databases[0] != "stock" {
		t.Error("a config that was handed out was changed")
	}
	check := func(r *Registry) {
		t.Helper()
		for ns, want := range map[string]string{
			"shop": "shop", "shop-default-rtdb": "shop", "stores": "shop", "stock": "stock", "blog": "blog",
			"else": "else", "else-default-rtdb": "else", "-default-rtdb": "",
		} {
			if got := r.Of(ns); got != want {
				t.Errorf("database %s is of project %q, want %q", ns, got, want)
			}
		}
		if p, ok := r.ByAPIKey("key-of-shop"); !ok || p != "shop" {
			t.Errorf("by API key: %q", p)
		}
		if got := fmt.Sprint(r.List()); got != "[blog shop]" {
			t.Errorf("list: %s", got)
		}
	}
	check(r)
	stop()
	d, _ = disk.Open(t, nil)
	r = open(t, d)
	check(r)
	c, _ = r.Config("shop")
	if err := r.Delete(t.Context(), "shop", c.Version); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Config("shop"); ok {
		t.Error("deleted, and still there")
	}
	if _, ok := r.ByAPIKey("key-of-shop"); ok {
		t.Error("deleted, and its API key still there")
	}
}

// However replicas race, no database, API key or service account gets two projects.
func TestClaimsAreExclusive(t *testing.T) {
	d := memdb.Open(t, nil)
	replicas := []*Registry{open(t, d), open(t, d), open(t, d)}
	account, _, err := NewServiceAccount(time.Now(), "p0", "server", "http://127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	for name, claim := range map[string]func(*Config){
		"databases":        func(c *Config) { c.Databases = []string{"common"} },
		"apiKeys":          func(c *Config) { c.APIKeys = []string{"common-key"} },
		"serviceAccounts":  func(c *Config) { c.ServiceAccounts = []ServiceAccount{account} },
		"database by name": func(c *Config) { c.Databases = []string{"taken"} },
	} {
		t.Run(name, func(t *testing.T) {
			errs := make([]error, len(replicas))
			var wait sync.WaitGroup
			for i, r := range replicas {
				wait.Go(func() {
					var c Config
					claim(&c)
					errs[i] = r.Put(t.Context(), fmt.Sprintf("%c%d", name[0], i)+name[len(name)-1:], c, "")
				})
			}
			wait.Wait()
			won := 0
			for _, err := range errs {
				var refused *ConfigError
				switch {
				case err == nil:
					won++
				case !errors.As(err, &refused):
					t.Error(err)
				}
			}
			if won != 1 {
				t.Errorf("%d projects have claimed it: %v", won, errs)
			}
		})
	}
	if err := replicas[0].Put(t.Context(), "taken", Config{}, ""); err == nil {
		t.Error("a project was made whose database is another's")
	}
	put(t, replicas[1], "late", Config{})
	for _, ns := range []string{"late", "late-default-rtdb"} {
		err := replicas[0].Put(t.Context(), "thief", Config{Databases: []string{ns}}, "")
		if err == nil || !strings.Contains(err.Error(), "late") {
			t.Errorf("the database %s of another project was claimed: %v", ns, err)
		}
	}
}

func TestUpdatesOfManyAreNotLost(t *testing.T) {
	d := memdb.Open(t, nil)
	replicas := []*Registry{open(t, d), open(t, d)}
	put(t, replicas[0], "shop", Config{})
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			err := replicas[i%2].Update(t.Context(), "shop", func(c *Config) error {
				c.Databases = append(c.Databases, fmt.Sprintf("db%d", i))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, r := range replicas {
		if c, _ := r.Config("shop"); len(c.Databases) != 20 {
			t.Errorf("%d of 20 updates are left", len(c.Databases))
		}
	}
}

func TestListenersHear(t *testing.T) {
	d := memdb.Open(t, nil)
	r := open(t, d)
	var heard []string
	r.OnChange(func(project string) { heard = append(heard, project) })
	put(t, r, "shop", Config{})
	set := func(p tree.Path, v *tree.Node) {
		t.Helper()
		if err := d.Do(t.Context(), &db.Op{Kind: db.OpSet, NS: namespace, Path: p, Value: v}).Err; err != nil {
			t.Fatal(err)
		}
	}
	set("projects/shop/users/alice", tree.NewString("{}")) // none of ours
	set("keys/active", nil)
	c, _ := r.Config("shop")
	if got, _ := r.Config("shop"); got != c {
		t.Error("a change of users reloads the project")
	}
	set("projects/shop", nil)
	put(t, r, "blog", Config{})
	set("", nil)
	if got := fmt.Sprint(heard); got != "[shop shop blog blog]" {
		t.Errorf("heard %s", got)
	}
	if len(r.List()) != 0 {
		t.Errorf("left: %v", r.List())
	}
}

// A document that cannot be read is as none: nobody is believed there. It stops the next start, and can be deleted.
func TestDamagedDocument(t *testing.T) {
	d := memdb.Open(t, nil)
	r := open(t, d)
	put(t, r, "shop", Config{})
	if err := d.Do(t.Context(), &db.Op{Kind: db.OpSet, NS: namespace, Path: pathConfig("shop"), Value: tree.NewString(`{"secrets":[{"secret":"x"}]}`)}).Err; err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Config("shop"); ok {
		t.Error("there")
	}
	if err := r.Put(t.Context(), "shop", Config{}, ""); err == nil {
		t.Error("overwritten")
	}
	if _, err := Open(t.Context(), d); err == nil {
		t.Error("opened")
	}
	if err := r.Delete(t.Context(), "shop", ""); err != nil {
		t.Error(err)
	}
	put(t, r, "shop", Config{})
}
