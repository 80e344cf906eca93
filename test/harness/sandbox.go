package harness

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// Sandbox runs a test binary's tests in network and mount namespaces of their own, in which they are root: what they do to
// networks and file systems touches nothing else, and is gone with the last of their processes, however they end. To be
// called by TestMain, which exits with what it returns.
//
// Outside, before the tests, the server is built, prepare is called for what needs the network, and tools that are
// missing are installed by apt-get; tools are names of programs. What is not to be had fails the run: nothing is skipped.
func Sandbox(m *testing.M, prepare func() error, tools ...string) int {
	if os.Getenv(sandboxVariable) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "the sandbox cannot be furnished:", err)
			return 1
		}
		return m.Run()
	}
	defer Cleanup()
	if err := install(append([]string{"ip", "nsenter", "mount"}, tools...)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bin, err := Build()
	if err == nil && prepare != nil {
		err = prepare()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), sandboxVariable+"=1", binaryVariable+"="+bin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := startLocked(cmd); err != nil {
		fmt.Fprintln(os.Stderr, "these tests need namespaces of their own, as root or as a user who may make them:", err)
		return 1
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	fmt.Fprintln(os.Stderr, "the tests ended by", cmd.ProcessState)
	return 1
}

const (
	sandboxVariable = "REBASE_TEST_SANDBOX"
	binaryVariable  = "REBASE_TEST_BINARY" // the server, as Build has made it outside
)

// furnish makes mounts private, puts an empty folder where ip keeps its namespaces, and brings the loopback up.
func furnish() error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := os.MkdirAll(netnsFolder, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", netnsFolder, "tmpfs", 0, "size=1m"); err != nil {
		return err
	}
	return ip("link", "set", "lo", "up")
}

// packages are Debian's, by the program that is in them.
var packages = map[string]string{"ip": "iproute2", "nsenter": "util-linux", "mount": "mount", "strace": "strace"}

func install(tools []string) error {
	var missing []string
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, packages[tool])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, missing...)} {
		cmd := exec.Command("apt-get", append([]string{"-q"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("these tests need %s, and apt-get %s does not help: %w\n%s", strings.Join(missing, " "), args[0], err, out)
		}
	}
	return nil
}
