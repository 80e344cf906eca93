//go:build unix

package server

import (
	"log/slog"
	"syscall"
)

// wantedFiles is enough for ten thousand connections and the store's files.
const wantedFiles = 16384

// raiseFileLimit raises the number of files, and so of connections, that the
// process may have open. The Go runtime has already raised the soft limit to the
// hard one; a privileged process raises that, too.
func raiseFileLimit(log *slog.Logger) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("the limit of open files cannot be read", "err", err)
		return
	}
	if limit.Cur < wantedFiles {
		raised := limit
		raised.Cur = wantedFiles
		raised.Max = max(limit.Max, wantedFiles)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err == nil {
			limit = raised
		}
	}
	if limit.Cur < wantedFiles {
		log.Warn("the limit of open files is low; it bounds the number of connections", "limit", limit.Cur, "wanted", wantedFiles,
			"advice", "raise it with ulimit -n, or LimitNOFILE= in a systemd unit")
	}
}
