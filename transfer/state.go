package transfer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// StateSuffix is added to an import file's name for the file that remembers how
// far the import has come.
const StateSuffix = ".rebase-import"

const stateVersion = 1

// headBytes is how much of a file's beginning is hashed to recognise it.
const headBytes = 1 << 20

// state is what an interrupted import leaves behind.
type state struct {
	Version int         `json:"version"`
	Target  string      `json:"target"`
	Replace bool        `json:"replace"`
	File    fingerprint `json:"file"`
	Leaves  int64       `json:"leaves"` // the first so many leaves of the file are on the server
}

// fingerprint tells whether a file is still the one that was read before.
type fingerprint struct {
	Size    int64  `json:"size"`
	ModTime int64  `json:"modTime"` // nanoseconds since the Unix epoch
	Head    string `json:"head"`    // SHA-256 of the first MiB, hex
}

func fingerprintOf(f *os.File) (fingerprint, error) {
	info, err := f.Stat()
	if err != nil {
		return fingerprint{}, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, headBytes)); err != nil {
		return fingerprint{}, err
	}
	return fingerprint{info.Size(), info.ModTime().UnixNano(), hex.EncodeToString(h.Sum(nil))}, nil
}

// ResumeError says that an earlier import of the file was interrupted and that
// the present one cannot continue it.
type ResumeError struct{ State, Reason string }

func (e *ResumeError) Error() string {
	return fmt.Sprintf("an earlier import was interrupted and cannot be continued: %s; use --restart to begin anew (it is remembered in %s)", e.Reason, e.State)
}

// loadState returns the state to continue from, or a fresh one.
func loadState(name string, fresh state) (state, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return state{}, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil || s.Version != stateVersion {
		return state{}, &ResumeError{name, "its record is not readable"}
	}
	switch {
	case s.Target != fresh.Target:
		return state{}, &ResumeError{name, "it went to " + s.Target}
	case s.Replace != fresh.Replace:
		return state{}, &ResumeError{name, fmt.Sprintf("it was made with replace=%t", s.Replace)}
	case s.File != fresh.File:
		return state{}, &ResumeError{name, "the file has changed since"}
	}
	return s, nil
}

// save writes the state so that a crash leaves either the old one or the new.
func (s state) save(name string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temp := name + ".tmp"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp, name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	return err
}
