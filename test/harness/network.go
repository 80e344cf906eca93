package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Network is a network of hosts, each a network namespace. The wire between them is a switch in the test's own process (see
// switch.go), so that what each hears of each other can be cut, thinned and delayed, in each direction by itself, on any kernel.
//
// The test itself is on the network as the host Outside. A network needs a Sandbox. Its methods may be called by
// many goroutines.
type Network struct {
	t    testing.TB
	wire *wire

	mu    sync.Mutex
	hosts []string // the n-th has the address n+1
}

// Outside is the name of the test's own host.
const Outside = ""

// Link is how frames fare from one host to another. The zero value is a wire.
type Link struct {
	Cut    bool          // nothing arrives
	Loss   float64       // this part of the frames does not arrive
	Delay  time.Duration // they take so long,
	Jitter time.Duration // and up to so much longer; they stay in order
}

// netnsFolder is where ip keeps its namespaces.
const netnsFolder = "/run/netns"

// subnet is used by one network at a time.
const subnet = "10.99.0."

// networks are made one after the other: they have the same addresses.
var networks sync.Mutex

// NewNetwork makes a network of the hosts; more can be added. It is gone when the test ends, which another one waits for.
func NewNetwork(t testing.TB, hosts ...string) *Network {
	t.Helper()
	if os.Getenv(sandboxVariable) == "" {
		t.Fatal("a network needs a sandbox: see harness.Sandbox")
	}
	networks.Lock()
	n := &Network{t: t, wire: newWire()}
	t.Cleanup(func() {
		n.wire.close()
		for i, h := range n.hosts {
			if h == Outside {
				ip("link", "delete", "outside")
				continue
			}
			ip("netns", "delete", h)
			ip("link", "delete", fmt.Sprintf("port%d", i+1)) // gone with the namespace, but maybe not yet
		}
		networks.Unlock()
	})
	for _, h := range append([]string{Outside}, hosts...) {
		n.AddHost(h)
	}
	return n
}

// AddHost adds a host. Its name is that of a file.
func (n *Network) AddHost(name string) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if slices.Contains(n.hosts, name) {
		n.t.Fatalf("there is a host %q already", name)
	}
	n.hosts = append(n.hosts, name)
	i := len(n.hosts)
	if i > 200 {
		n.t.Fatal("too many hosts")
	}
	port, inside := fmt.Sprintf("port%d", i), "eth0"
	var err error
	do := func(args ...string) {
		if err == nil {
			err = ip(args...)
		}
	}
	var in []string
	if name == Outside {
		inside = "outside"
		do("link", "add", port, "type", "veth", "peer", "name", inside)
	} else {
		do("netns", "add", name)
		in = []string{"-n", name}
		do("link", "add", port, "type", "veth", "peer", "name", inside, "netns", name)
		do("-n", name, "link", "set", "lo", "up")
	}
	within := func(args ...string) { do(append(slices.Clone(in), args...)...) }
	within("link", "set", inside, "address", mac(i).String())
	within("address", "add", subnet+fmt.Sprint(i)+"/24", "dev", inside)
	within("link", "set", inside, "up")
	do("link", "set", port, "up")
	// Everybody knows everybody: frames that ask for addresses would have to find their way through cuts.
	for j, other := range n.hosts[:i-1] {
		within("neighbor", "replace", subnet+fmt.Sprint(j+1), "lladdr", mac(j+1).String(), "dev", inside, "nud", "permanent")
		args := []string{"neighbor", "replace", subnet + fmt.Sprint(i), "lladdr", mac(i).String(), "nud", "permanent", "dev"}
		if other == Outside {
			do(append(args, "outside")...)
		} else {
			do(append([]string{"-n", other}, append(args, "eth0")...)...)
		}
	}
	if err == nil {
		err = n.wire.plug(i, port)
	}
	if err != nil {
		n.t.Fatalf("host %q: %v", name, err)
	}
}

// ip runs iproute2.
func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (n *Network) number(host string) int {
	i := slices.Index(n.hosts, host)
	if i < 0 {
		n.t.Fatalf("there is no host %q", host)
	}
	return i + 1
}

// IP returns a host's address.
func (n *Network) IP(host string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return subnet + fmt.Sprint(n.number(host))
}

// On returns the beginning of a command line that runs a program on a host. The program is the process that is started, not a child of it.
func (n *Network) On(host string) []string {
	if host == Outside {
		return nil
	}
	return []string{"nsenter", "--net=" + filepath.Join(netnsFolder, host)}
}

// Set says how frames fare from one host to another from now on; the way back is a link of its own.
func (n *Network) Set(from, to string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wire.set(n.number(from), n.number(to), l)
}

// Partition cuts hosts off from the others, in both directions, but not from each other. The test itself reaches all of them.
func (n *Network) Partition(hosts ...string) {
	for from, to := range n.across(hosts) {
		n.Set(from, to, Link{Cut: true})
		n.Set(to, from, Link{Cut: true})
	}
}

// Deafen cuts what others send to the hosts; what they send themselves arrives.
func (n *Network) Deafen(hosts ...string) {
	for from, to := range n.across(hosts) {
		n.Set(to, from, Link{Cut: true})
	}
}

// Mute cuts what the hosts send to others; what these send arrives.
func (n *Network) Mute(hosts ...string) {
	for from, to := range n.across(hosts) {
		n.Set(from, to, Link{Cut: true})
	}
}

// across goes through the pairs of one of the hosts and one of the others, but for the test's own.
func (n *Network) across(hosts []string) func(yield func(from, to string) bool) {
	n.mu.Lock()
	all := slices.Clone(n.hosts)
	n.mu.Unlock()
	return func(yield func(from, to string) bool) {
		for _, from := range hosts {
			for _, to := range all {
				if to != Outside && !slices.Contains(hosts, to) && !yield(from, to) {
					return
				}
			}
		}
	}
}

// Everywhere sets all links between hosts, but not those of the test's own.
func (n *Network) Everywhere(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, from := range n.hosts {
		for j, to := range n.hosts {
			if i != j && from != Outside && to != Outside {
				n.wire.set(i+1, j+1, l)
			}
		}
	}
}

// Heal makes all links wires again.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wire.heal()
}
