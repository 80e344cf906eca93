package rtdb

import (
	"net"
	"strings"
	"syscall"
)

// takesPings reports whether a client answers WebSocket pings. All do but the Admin SDK for Java: it knows text and close
// frames only, and breaks off when another comes. SDKs that are not browsers name themselves in the handshake
// ("Firebase/5/<version>/<platform>/AdminJava").
func takesPings(userAgent string) bool {
	return !(strings.HasPrefix(userAgent, "Firebase/") && strings.HasSuffix(userAgent, "/AdminJava"))
}

// delivered reports whether the other end's kernel has acknowledged everything that was written. That is less than a pong: the kernel may be
// that of a proxy, and the program may not have read it. Where the system does not tell, it reports true: to take a lost answer for delivered has a write
// made twice, which every client of this protocol must be ready for; to wait for a proof that cannot come would have a new
// write taken for an old one.
func (t *wsTransport) delivered() bool {
	conn := t.conn
	if tls, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = tls.NetConn()
	}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	left := 0
	if err := raw.Control(func(fd uintptr) { left = unacknowledged(fd) }); err != nil {
		return false // the socket is closed
	}
	return left == 0
}
