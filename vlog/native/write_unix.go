//go:build unix

package native

import "golang.org/x/sys/unix"

// writeSome writes to a socket what it takes without waiting, and says how much that was.
func writeSome(fd uintptr, p []byte) int {
	n, _ := unix.Write(int(fd), p) // what it does not take, for whatever reason, is left to the connection's writer
	return max(n, 0)
}
