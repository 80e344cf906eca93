package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// Options are the cost of a hash, and how much of it may go on at once.
type Options struct {
	// Memory is what one argon2id takes, in KiB; 0 is 19 MiB. Time is its number of passes; 0 is 2. Both
	// are the OWASP password storage sheet's recommendation for argon2id.
	Memory uint32
	Time   uint32
	// Concurrency is how many hashes are computed at a time; 0 is 2. Together with Memory it bounds what passwords cost.
	Concurrency int
	// Waiting is how many callers may wait for their turn; 0 is 64 for each that is computed.
	Waiting int
}

// MaxBytes is the length of the longest password: the same as Firebase's.
const MaxBytes = 4096

// ErrBusy means that too many passwords are being checked at the moment.
var ErrBusy = errors.New("too many passwords are being checked at the moment")

// Hasher makes and checks hashes.
type Hasher struct {
	memory, time uint32
	running      chan struct{}
	waiting      chan struct{}
	dummy        string
	computed     atomic.Int64
}

// Computed is how many hashes have been computed, for checks and for new ones.
func (h *Hasher) Computed() int64 { return h.computed.Load() }

const (
	argonThreads   = 1 // a sign-in must not take all cores
	argonSaltBytes = 16
	argonKeyBytes  = 32
	argonPrefix    = "$argon2id$"
)

// New returns a Hasher.
func New(o Options) *Hasher {
	if o.Memory == 0 {
		o.Memory = 19 << 10
	}
	if o.Time == 0 {
		o.Time = 2
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 2
	}
	if o.Waiting <= 0 {
		o.Waiting = 64 * o.Concurrency
	}
	h := &Hasher{memory: o.Memory, time: o.Time, running: make(chan struct{}, o.Concurrency), waiting: make(chan struct{}, o.Waiting)}
	h.dummy = h.encode(make([]byte, argonSaltBytes), make([]byte, argonKeyBytes))
	return h
}

// acquire waits for a turn; release ends it.
func (h *Hasher) acquire(ctx context.Context) error {
	select {
	case h.running <- struct{}{}:
		return nil
	default:
	}
	select {
	case h.waiting <- struct{}{}:
	default:
		return ErrBusy
	}
	defer func() { <-h.waiting }()
	select {
	case h.running <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h *Hasher) release() {
	h.computed.Add(1)
	<-h.running
}

// Hash returns a hash of password in the PHC string format, with a salt of its own.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.release()
	salt := make([]byte, argonSaltBytes)
	rand.Read(salt)
	return h.encode(salt, argon2.IDKey([]byte(password), salt, h.time, h.memory, argonThreads, argonKeyBytes)), nil
}

func (h *Hasher) encode(salt, key []byte) string {
	e := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("%sv=%d$m=%d,t=%d,p=%d$%s$%s", argonPrefix, argon2.Version, h.memory, h.time, argonThreads, e(salt), e(key))
}

// Verify tells whether password belongs to the stored hash, which is from Hash or from Imported.Encode. rehash says that the hash was made
// in another way than Hash makes them now: if ok, the caller should store a new one. An empty stored hash is compared with a dummy, and
// never matches, so that an account without a password, or none at all, takes as long as one with.
func (h *Hasher) Verify(ctx context.Context, stored, password string) (ok, rehash bool, err error) {
	if err := h.acquire(ctx); err != nil {
		return false, false, err
	}
	defer h.release()
	if len(password) > MaxBytes {
		return false, false, nil
	}
	if stored == "" {
		_, _, err := h.verifyArgon(h.dummy, password)
		return false, false, err
	}
	if strings.HasPrefix(stored, argonPrefix) {
		return h.verifyArgon(stored, password)
	}
	i, err := Decode(stored)
	if err != nil {
		return false, false, err
	}
	ok, err = i.matches(password)
	return ok, true, err
}

func (h *Hasher) verifyArgon(stored, password string) (ok, rehash bool, err error) {
	p, err := parseArgon(stored)
	if err != nil {
		return false, false, err
	}
	key := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1, p.memory != h.memory || p.time != h.time, nil
}

// CheckOwn returns nil for a text that Hash may have returned.
func CheckOwn(stored string) error {
	_, err := parseArgon(stored)
	return err
}

type argonHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

var errArgon = errors.New("password: the stored argon2id hash is damaged")

func parseArgon(stored string) (p argonHash, err error) {
	parts := strings.Split(stored, "$") // "", argon2id, v=19, m=…,t=…,p=…, salt, key
	if len(parts) != 6 || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return p, errArgon
	}
	for _, f := range strings.Split(parts[3], ",") {
		name, text, _ := strings.Cut(f, "=")
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return p, errArgon
		}
		switch {
		case name == "m" && n <= 256<<10: // 256 MiB
			p.memory = uint32(n)
		case name == "t" && n <= 16:
			p.time = uint32(n)
		case name == "p" && n <= 64:
			p.threads = uint8(n)
		default:
			return p, errArgon
		}
	}
	var errs [2]error
	p.salt, errs[0] = base64.RawStdEncoding.DecodeString(parts[4])
	p.key, errs[1] = base64.RawStdEncoding.DecodeString(parts[5])
	if errors.Join(errs[:]...) != nil || p.memory == 0 || p.time == 0 || p.threads == 0 || len(p.salt) < 8 || len(p.key) < 16 || len(p.key) > 128 {
		return p, errArgon
	}
	return p, nil
}
