package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/cluster/secret"
)

func TestIdentityIsKept(t *testing.T) {
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("d", 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := fs.OpenDir("/")
	if err == nil {
		err = errors.Join(root.Sync(), root.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	id, err := begin(nil, Options{Begin: true, Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	for range 5 {
		id.Cluster = "c1"
		if err := id.store(fs, "d"); err != nil {
			t.Fatal(err)
		}
		if n := id.incarnation(); n <= last {
			t.Errorf("incarnation %x after %x", n, last)
		} else {
			last = n
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{})
		back, err := loadIdentity(crashed, "d")
		if err != nil || back.ID != id.ID || back.Name != "n1" || back.Starts != id.Starts {
			t.Fatalf("%+v %v, want %+v", back, err, id)
		}
		if _, yes, err := Belongs("d", crashed); err != nil || !yes {
			t.Error(yes, err)
		}
		if id, err = begin(back, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, yes, err := Belongs("elsewhere", fs); err != nil || yes {
		t.Error(yes, err)
	}
}

func TestFlagsThatContradict(t *testing.T) {
	member := func(role Role, meta ...string) *identity {
		return &identity{Format: identityFormat, ID: 7, Name: "n7", Role: role, Cluster: "c1", Meta: meta}
	}
	tests := []struct {
		stored *identity
		o      Options
		want   string // in the error; "" is none
	}{
		{nil, Options{}, "--cluster to begin one, or --join"},
		{nil, Options{Begin: true}, ""},
		{nil, Options{Join: []string{"a"}}, ""},
		{nil, Options{Join: []string{"a"}, Begin: true}, "both begin"},
		{nil, Options{Begin: true, Role: RoleLog}, "cannot begin"},
		{nil, Options{Begin: true, Role: "king"}, "no role"},
		{nil, Options{Begin: true, Replace: "n2"}, "--replace"},
		{nil, Options{Join: []string{"a"}, Replace: "n2"}, ""},
		{nil, Options{Begin: true, Name: "a b"}, "name"},
		{nil, Options{Begin: true, Name: "0123456789abcdef"}, "name"},
		{nil, Options{Begin: true, Name: "127.0.0.1:9101"}, ""},
		{member(RoleAll), Options{}, ""},
		{member(RoleAll), Options{Begin: true, Join: []string{"a"}}, ""}, // the same command line may start it again
		{member(RoleAll), Options{Role: RoleLog}, "role"},
		{member(RoleLog), Options{Role: RoleAll}, "role"},
		{member(RoleAll), Options{Replace: "n2"}, "belongs to the cluster already"},
		{member(RoleAll), Options{Replace: "n7"}, ""},
		{member(RoleAll), Options{Meta: []string{"http://e"}}, "embedded"},
		{member(RoleAll, "http://e"), Options{Meta: []string{"http://f"}}, ""},
	}
	for _, test := range tests {
		_, err := begin(test.stored, test.o)
		if test.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", test.o, err)
			}
			continue
		}
		var e *StartError
		if !errors.As(err, &e) || e.Advice == "" || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want one with %q and advice", test.o, err, test.want)
		}
	}
}

func TestDamagedIdentity(t *testing.T) {
	for _, text := range []string{"", "{", `{"format":1}`, `{"format":2,"id":"0000000000000007","role":"all"}`, `{"format":1,"id":"7","role":"all"}`} {
		fs := vfs.NewMem()
		if err := writeFile(fs, "", identityFile, []byte(text)); err != nil {
			t.Fatal(err)
		}
		var e *StartError
		if _, err := loadIdentity(fs, ""); !errors.As(err, &e) || e.Advice == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSecretIsDemanded(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	tests := []struct {
		name    string
		o       Options
		secured bool
		member  bool
		file    string // what is in DATA/cluster-secret
		want    string // error; "none", "made", "read"
	}{
		{name: "loopback needs none", o: Options{Begin: true, Listen: "127.0.0.1:9101"}, want: "none"},
		{name: "by name", o: Options{Begin: true, Listen: "localhost:9101"}, want: "none"},
		{name: "IPv6", o: Options{Begin: true, Listen: "[::1]:9101"}, want: "none"},
		{name: "off loopback it is made", o: Options{Begin: true, Listen: "0.0.0.0:9101"}, want: "made"},
		{name: "also for etcd's port", o: Options{Begin: true, Listen: "127.0.0.1:9101", MetaListen: "10.0.0.1:9201"}, want: "made"},
		{name: "all addresses", o: Options{Begin: true, Listen: ":9101"}, want: "made"},
		{name: "when asked for", o: Options{Begin: true, Listen: "127.0.0.1:9101", SecretFile: other}, want: "made"},
		{name: "one who joins has to bring it", o: Options{Join: []string{"a"}, Listen: "10.0.0.1:9101"}, want: "Copy the file cluster-secret"},
		{name: "also one that is named", o: Options{Join: []string{"a"}, Listen: "127.0.0.1:9101", SecretFile: other + "2"}, want: "there is no"},
		{name: "it is there", o: Options{Join: []string{"a"}, Listen: "10.0.0.1:9101"}, file: string(secret.New()), want: "read"},
		{name: "it is used on loopback too", o: Options{Begin: true, Listen: "127.0.0.1:9101"}, file: string(secret.New()), want: "read"},
		{name: "it is damaged", o: Options{Begin: true, Listen: "127.0.0.1:9101"}, file: "hunter2", want: "line 1"},
		{name: "it was lost", o: Options{Listen: "127.0.0.1:9101"}, secured: true, member: true, want: "is missing"},
		{name: "not made for a member", o: Options{Begin: true, Listen: "10.0.0.1:9101"}, member: true, want: "Copy the file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.o.withDefaults()
			o.Data = t.TempDir()
			path := filepath.Join(o.Data, SecretFile)
			if test.file != "" {
				if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if o.SecretFile != "" {
				path = o.SecretFile
			}
			id := &identity{Secured: test.secured}
			if test.member {
				id.Cluster = "c"
			}
			keys, err := loadSecret(o, id)
			info, statErr := os.Stat(path)
			switch test.want {
			case "none":
				if keys != nil || err != nil || statErr == nil {
					t.Error(keys, err, statErr)
				}
			case "made", "read":
				if keys == nil || err != nil || statErr != nil || info.Mode().Perm() != 0o600 {
					t.Error(keys, err, info, statErr)
				}
			default:
				if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v, want one with %q", err, test.want)
				}
			}
		})
	}
}

// A node that is given its own address to join by says so, and does not wait for itself.
func TestJoinByOnesOwnAddress(t *testing.T) {
	addr := freeAddr(t)
	_, err := Open(within(t), Options{Data: t.TempDir(), Join: []string{addr}, Listen: addr, MetaListen: freeAddr(t)})
	var e *StartError
	if !errors.As(err, &e) || e.Advice == "" || !strings.Contains(err.Error(), "itself") {
		t.Errorf("%v", err)
	}
}
