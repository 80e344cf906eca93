package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"
)

func versionLine() string {
	return fmt.Sprintf("rebase %s (%s, %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// loadConfig reads a configuration file:
//
//	[serve]
//	listen = "0.0.0.0:9000"
//	log-format = "json"
func loadConfig(r io.Reader) (kong.Resolver, error) {
	values := config{}
	if _, err := toml.NewDecoder(r).Decode(&values); err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	return values, nil
}

// config is a configuration file: tables by command, values by flag.
type config map[string]any

var _ kong.Resolver = config{}

// Validate refuses keys that mean nothing. A misspelt one would otherwise be a
// setting that an operator believes to be in force.
func (c config) Validate(app *kong.Application) error {
	for name, v := range c {
		i := slices.IndexFunc(app.Children, func(n *kong.Node) bool { return n.Name == name })
		table, isTable := v.(map[string]any)
		if i < 0 || !isTable {
			return fmt.Errorf("configuration file: %q is not a command's table; tables are %s", name, quotedNames(app.Children))
		}
		for key, value := range table {
			if !slices.ContainsFunc(app.Children[i].Flags, func(f *kong.Flag) bool { return f.Name == key }) {
				return fmt.Errorf("configuration file: [%s] has no setting %q", name, key)
			}
			switch value.(type) {
			case string, bool, int64, float64:
			default:
				return fmt.Errorf("configuration file: [%s] %s must be a text, a number, true or false", name, key)
			}
		}
	}
	return nil
}

func quotedNames(nodes []*kong.Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, "["+n.Name+"]")
	}
	return strings.Join(names, ", ")
}

// Resolve implements kong.Resolver. The parser asks for what is not on the command
// line, whether or not the environment has it; the environment goes first.
func (c config) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if parent.Command == nil {
		return nil, nil
	}
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	table, _ := c[parent.Command.Name].(map[string]any)
	v, ok := table[flag.Name]
	if !ok {
		return nil, nil
	}
	return fmt.Sprint(v), nil // as if it stood on the command line
}

// byteSize is a flag's number of bytes: "256MiB", "1 GB", "4096". K, M, G and T
// are powers of 1024, with or without "B" or "iB".
type byteSize int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *byteSize) UnmarshalText(text []byte) error {
	s := strings.ToUpper(strings.TrimSpace(string(text)))
	digits := strings.TrimRight(s, " KMGTIB")
	unit := strings.TrimSpace(s[len(digits):])
	shift, ok := map[string]int{
		"": 0, "B": 0, "K": 10, "KB": 10, "KIB": 10, "M": 20, "MB": 20, "MIB": 20,
		"G": 30, "GB": 30, "GIB": 30, "T": 40, "TB": 40, "TIB": 40,
	}[unit]
	var n int64
	if _, err := fmt.Sscanf(digits, "%d", &n); err != nil || !ok || n < 0 || fmt.Sprint(n) != digits || n > (1<<62)>>shift {
		return fmt.Errorf("%q is not a size; write for example 256MiB", text)
	}
	*b = byteSize(n << shift)
	return nil
}

// String writes the size in the largest unit that divides it.
func (b byteSize) String() string {
	for _, u := range []struct {
		shift int
		name  string
	}{{40, "TiB"}, {30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if b != 0 && b&(1<<u.shift-1) == 0 {
			return fmt.Sprintf("%d%s", b>>u.shift, u.name)
		}
	}
	return fmt.Sprint(int64(b))
}
