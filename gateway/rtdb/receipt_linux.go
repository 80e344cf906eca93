package rtdb

import "golang.org/x/sys/unix"

// unacknowledged returns how many bytes written to the socket the other end has not acknowledged (tcp(7), SIOCOUTQ).
func unacknowledged(fd uintptr) int {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
