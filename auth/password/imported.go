package password

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// Algorithms of imported hashes, as Firebase's user import names them.
const (
	Scrypt         = "SCRYPT" // Firebase's modification of scrypt
	StandardScrypt = "STANDARD_SCRYPT"
	Bcrypt         = "BCRYPT"
	PBKDFSHA1      = "PBKDF_SHA1"
	PBKDF2SHA256   = "PBKDF2_SHA256"
)

// Orders in which salt and password enter a digest or an HMAC.
const (
	SaltFirst     = "SALT_AND_PASSWORD"
	PasswordFirst = "PASSWORD_AND_SALT"
)

// Params say how the hashes of one import were made. The names in JSON are those of the Identity Toolkit API.
type Params struct {
	Algorithm string `json:"hashAlgorithm"`
	// SignerKey is the key of the HMACs and of Firebase's scrypt.
	SignerKey []byte `json:"signerKey,omitempty"`
	// SaltSeparator stands between salt and password in Firebase's scrypt.
	SaltSeparator []byte `json:"saltSeparator,omitempty"`
	// Rounds are the repetitions of a digest or of PBKDF2, and the block size of Firebase's scrypt.
	Rounds int `json:"rounds,omitempty"`
	// MemoryCost is the base-2 logarithm of N of Firebase's scrypt.
	MemoryCost int `json:"memoryCost,omitempty"`
	// CPUMemCost, Parallelization, BlockSize and DKLen are N, p, r and the length of standard scrypt.
	CPUMemCost      int `json:"cpuMemCost,omitempty"`
	Parallelization int `json:"parallelization,omitempty"`
	BlockSize       int `json:"blockSize,omitempty"`
	DKLen           int `json:"dkLen,omitempty"`
	// Order is SaltFirst or PasswordFirst for digests and HMACs; "" is the service's own default, which is
	// SaltFirst for digests and PasswordFirst for HMACs.
	Order string `json:"passwordHashOrder,omitempty"`
}

// Imported is a hash that was made elsewhere.
type Imported struct {
	Params
	Hash []byte `json:"passwordHash"`
	Salt []byte `json:"salt,omitempty"`
}

// Limits on what an imported hash may ask for. Firebase's own are the same where it has any.
const (
	maxDigestRounds = 8192
	maxPBKDFRounds  = 120_000
	maxScryptBytes  = 64 << 20
	maxBcryptCost   = 14
	maxHashBytes    = 1024
)

// ErrUnsupported is an algorithm that is not known.
var ErrUnsupported = errors.New("the hash algorithm is not supported")

func digest(name string) func() hash.Hash {
	switch name {
	case "MD5":
		return md5.New
	case "SHA1":
		return sha1.New
	case "SHA256":
		return sha256.New
	case "SHA512":
		return sha512.New
	}
	return nil
}

// Check says what is wrong with the parameters, whatever the hash.
func (p *Params) Check() error {
	between := func(name string, v, low, high int) error {
		if v < low || v > high {
			return fmt.Errorf("%s for %s must be from %d to %d, not %d", name, p.Algorithm, low, high, v)
		}
		return nil
	}
	if p.Order != "" && p.Order != SaltFirst && p.Order != PasswordFirst {
		return fmt.Errorf("the order of the hash's input is %s or %s, not %q", SaltFirst, PasswordFirst, p.Order)
	}
	name, keyed := strings.CutPrefix(p.Algorithm, "HMAC_")
	switch {
	case keyed && digest(name) != nil:
		if len(p.SignerKey) == 0 {
			return fmt.Errorf("%s needs a key", p.Algorithm)
		}
		return nil
	case digest(p.Algorithm) != nil:
		return between("rounds", p.Rounds, 0, maxDigestRounds)
	}
	switch p.Algorithm {
	case PBKDFSHA1, PBKDF2SHA256:
		return between("rounds", p.Rounds, 0, maxPBKDFRounds)
	case Bcrypt:
		return nil
	case Scrypt:
		if len(p.SignerKey) == 0 {
			return errors.New("SCRYPT needs a key")
		}
		return errors.Join(between("rounds", p.Rounds, 1, 8), between("the memory cost", p.MemoryCost, 1, 14))
	case StandardScrypt:
		if err := errors.Join(between("the memory cost", p.CPUMemCost, 2, 1<<20), between("parallelization", p.Parallelization, 1, 64),
			between("the block size", p.BlockSize, 1, 64), between("the length of the key", p.DKLen, 16, maxHashBytes)); err != nil {
			return err
		}
		if p.CPUMemCost&(p.CPUMemCost-1) != 0 {
			return errors.New("the memory cost of STANDARD_SCRYPT must be a power of two")
		}
		if 128*p.CPUMemCost*p.BlockSize*p.Parallelization > maxScryptBytes {
			return fmt.Errorf("STANDARD_SCRYPT with these parameters costs more than %d MiB a sign-in", maxScryptBytes>>20)
		}
		return nil
	}
	return fmt.Errorf("%w: %q", ErrUnsupported, p.Algorithm)
}

// Check says what is wrong with the hash.
func (i *Imported) Check() error {
	if err := i.Params.Check(); err != nil {
		return err
	}
	if len(i.Hash) == 0 || len(i.Hash) > maxHashBytes || len(i.Salt) > maxHashBytes {
		return fmt.Errorf("a password hash has 1 to %d bytes, and a salt at most as many", maxHashBytes)
	}
	switch i.Algorithm {
	case Bcrypt:
		cost, err := bcrypt.Cost(i.Hash)
		if err != nil {
			return fmt.Errorf("not a bcrypt hash: %w", err)
		}
		if cost > maxBcryptCost {
			return fmt.Errorf("bcrypt with a cost of %d takes too long for a sign-in; %d is the limit", cost, maxBcryptCost)
		}
	case Scrypt:
		if len(i.Hash) != len(i.SignerKey) {
			return errors.New("a SCRYPT hash is as long as the key")
		}
	case StandardScrypt:
		if len(i.Hash) != i.DKLen {
			return errors.New("a STANDARD_SCRYPT hash is as long as its parameters say")
		}
	case PBKDFSHA1, PBKDF2SHA256:
		if len(i.Hash) < 8 {
			return errors.New("the hash is too short to protect anything")
		}
	default:
		d := digest(strings.TrimPrefix(i.Algorithm, "HMAC_"))
		if n := d().Size(); len(i.Hash) != n {
			return fmt.Errorf("a %s hash has %d bytes, not %d", i.Algorithm, n, len(i.Hash))
		}
	}
	return nil
}

// importedPrefix marks an imported hash where hashes are stored.
const importedPrefix = "$firebase$"

// Encode is the text that Verify takes.
func (i *Imported) Encode() (string, error) {
	if err := i.Check(); err != nil {
		return "", err
	}
	text, err := json.Marshal(i)
	return importedPrefix + string(text), err
}

// Decode reads what Encode wrote.
func Decode(stored string) (*Imported, error) {
	text, ok := strings.CutPrefix(stored, importedPrefix)
	if !ok {
		return nil, errors.New("password: the stored hash is of no known kind")
	}
	var i Imported
	if err := json.Unmarshal([]byte(text), &i); err != nil {
		return nil, fmt.Errorf("password: the stored hash is damaged: %w", err)
	}
	if err := i.Check(); err != nil {
		return nil, err
	}
	return &i, nil
}

// matches computes the hash of password in the same way, and compares.
func (i *Imported) matches(password string) (bool, error) {
	if i.Algorithm == Bcrypt {
		// bcrypt takes no more than this of a password; what made the hash has cut it off, too.
		err := bcrypt.CompareHashAndPassword(i.Hash, []byte(password)[:min(len(password), 72)])
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return err == nil, err
	}
	got, err := i.compute(password)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, i.Hash) == 1, nil
}

func (i *Imported) compute(password string) ([]byte, error) {
	switch i.Algorithm {
	case PBKDFSHA1:
		return pbkdf2.Key(sha1.New, password, i.Salt, max(i.Rounds, 1), len(i.Hash))
	case PBKDF2SHA256:
		return pbkdf2.Key(sha256.New, password, i.Salt, max(i.Rounds, 1), len(i.Hash))
	case StandardScrypt:
		return scrypt.Key([]byte(password), i.Salt, i.CPUMemCost, i.BlockSize, i.Parallelization, i.DKLen)
	case Scrypt:
		return firebaseScrypt(&i.Params, i.Salt, password)
	}
	name, keyed := strings.CutPrefix(i.Algorithm, "HMAC_")
	text := string(i.Salt) + password
	if i.Order == PasswordFirst || i.Order == "" && keyed {
		text = password + string(i.Salt)
	}
	if keyed {
		h := hmac.New(digest(name), i.SignerKey)
		h.Write([]byte(text))
		return h.Sum(nil), nil
	}
	sum := []byte(text)
	for range max(i.Rounds, 1) {
		h := digest(name)()
		h.Write(sum)
		sum = h.Sum(nil)
	}
	return sum, nil
}

// firebaseScrypt is the hash of Firebase's own accounts: the project's key, encrypted with AES-256 in counter mode by a key that scrypt
// derives from the password. (github.com/firebase/scrypt)
func firebaseScrypt(p *Params, salt []byte, password string) ([]byte, error) {
	key, err := scrypt.Key([]byte(password), append(salt[:len(salt):len(salt)], p.SaltSeparator...), 1<<p.MemoryCost, p.Rounds, 1, 64)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:32])
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(p.SignerKey))
	cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(out, p.SignerKey)
	return out, nil
}

// Bytes reads base64 in either alphabet, with or without padding: exports and API requests differ in both.
func Bytes(text string) ([]byte, error) {
	text = strings.TrimRight(text, "=")
	if strings.ContainsAny(text, "-_") {
		return base64.RawURLEncoding.DecodeString(text)
	}
	return base64.RawStdEncoding.DecodeString(text)
}
