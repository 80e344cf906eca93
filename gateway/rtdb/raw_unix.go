//go:build unix

package rtdb

import (
	"errors"
	"net"
	"syscall"
)

// rawConn returns the means to read and write c's socket without waiting; nil if c is not a plain socket.
func rawConn(c net.Conn) syscall.RawConn {
	sc, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// writeOnce writes what the socket takes at once; n is 0 if that is nothing.
func writeOnce(fd uintptr, b []byte) (n int, err error) {
	for {
		n, err = syscall.Write(int(fd), b)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		case err != nil:
			return 0, err
		}
		return n, nil
	}
}

// readOnce reads what is there; again is set if that is nothing yet.
func readOnce(fd uintptr, b []byte) (n int, again bool, err error) {
	for {
		n, err = syscall.Read(int(fd), b)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, true, nil
		}
		return max(n, 0), false, err
	}
}
