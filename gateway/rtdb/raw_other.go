//go:build !unix

package rtdb

import (
	"errors"
	"net"
	"syscall"
)

// Elsewhere sockets are read and written through package net.

func rawConn(net.Conn) syscall.RawConn { return nil }

func writeOnce(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

func readOnce(uintptr, []byte) (int, bool, error) { return 0, false, errors.ErrUnsupported }
