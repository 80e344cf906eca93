package password

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
	"pgregory.net/rapid"
)

// cheap costs next to nothing, for tests.
var cheap = Options{Memory: 64, Time: 1}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func b64(s string) []byte { return must(base64.StdEncoding.DecodeString(s)) }

func TestOwnHashes(t *testing.T) {
	h := New(cheap)
	rapid.Check(t, func(t *rapid.T) {
		pw, other := rapid.String().Draw(t, "password"), rapid.String().Draw(t, "other")
		stored := must(h.Hash(context.Background(), pw))
		if again := must(h.Hash(context.Background(), pw)); again == stored {
			t.Fatal("two hashes of one password are equal: the salt is")
		}
		if ok, rehash, err := h.Verify(context.Background(), stored, pw); !ok || rehash || err != nil {
			t.Fatal(ok, rehash, err)
		}
		if ok, _, err := h.Verify(context.Background(), stored, other); ok != (pw == other) || err != nil {
			t.Fatal(ok, err)
		}
	})
}

func TestHashesOfOtherCostAreReplaced(t *testing.T) {
	stored := must(New(Options{Memory: 128, Time: 1}).Hash(t.Context(), "pw"))
	if ok, rehash, err := New(cheap).Verify(t.Context(), stored, "pw"); !ok || !rehash || err != nil {
		t.Error(ok, rehash, err)
	}
}

func TestNoHashMatchesNothing(t *testing.T) {
	for _, pw := range []string{"", "x", strings.Repeat("x", MaxBytes+1)} {
		if ok, _, err := New(cheap).Verify(t.Context(), "", pw); ok || err != nil {
			t.Errorf("%.10q: %v %v", pw, ok, err)
		}
	}
	h := New(cheap)
	long := strings.Repeat("x", MaxBytes+1)
	if ok, _, _ := h.Verify(t.Context(), must(h.Hash(t.Context(), long)), long); ok {
		t.Error("a password that is too long was looked at")
	}
}

func TestDamagedHashes(t *testing.T) {
	h := New(cheap)
	good := must(h.Hash(t.Context(), "pw"))
	for _, stored := range []string{"x", "$argon2id$", "$firebase${}", "$firebase$", good[:len(good)-30], strings.Replace(good, "m=64", "m=99999999", 1),
		strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "p=1", "q=1", 1), strings.Replace(good, "v=19", "v=16", 1)} {
		if ok, _, err := h.Verify(t.Context(), stored, "pw"); ok || err == nil {
			t.Errorf("%q: %v %v", stored, ok, err)
		}
	}
}

// The example in the README of github.com/firebase/scrypt.
var example = Imported{
	Params: Params{
		Algorithm: Scrypt, SignerKey: b64("jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="),
		SaltSeparator: b64("Bw=="), Rounds: 8, MemoryCost: 14,
	},
	Salt: b64("42xEC+ixf3L2lw=="),
	Hash: b64("lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="),
}

func TestImported(t *testing.T) {
	salt := []byte("NaCl")
	const pw = "user1password"
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write([]byte(pw + "NaCl"))
	reversed := hmac.New(sha256.New, []byte("secret"))
	reversed.Write([]byte("NaCl" + pw))
	once := md5.Sum([]byte("NaCl" + pw))
	sha := sha256.Sum256([]byte("NaCl" + pw))
	twice := sha256.Sum256(sha[:])
	for name, i := range map[string]Imported{
		"Firebase's scrypt": example,
		"HMAC":              {Params: Params{Algorithm: "HMAC_SHA256", SignerKey: []byte("secret")}, Hash: mac.Sum(nil), Salt: salt},
		"HMAC, salt first":  {Params: Params{Algorithm: "HMAC_SHA256", SignerKey: []byte("secret"), Order: SaltFirst}, Hash: reversed.Sum(nil), Salt: salt},
		"MD5":               {Params: Params{Algorithm: "MD5"}, Hash: once[:], Salt: salt},
		"SHA256":            {Params: Params{Algorithm: "SHA256", Rounds: 1}, Hash: sha[:], Salt: salt},
		"SHA256, 2 rounds":  {Params: Params{Algorithm: "SHA256", Rounds: 2}, Hash: twice[:], Salt: salt},
		"bcrypt":            {Params: Params{Algorithm: Bcrypt}, Hash: must(bcrypt.GenerateFromPassword([]byte(pw), 4))},
		"standard scrypt": {Params: Params{Algorithm: StandardScrypt, CPUMemCost: 1024, Parallelization: 16, BlockSize: 8, DKLen: 64},
			Hash: must(scrypt.Key([]byte(pw), salt, 1024, 8, 16, 64)), Salt: salt},
	} {
		t.Run(name, func(t *testing.T) {
			h := New(cheap)
			stored := must(i.Encode())
			if ok, rehash, err := h.Verify(t.Context(), stored, pw); !ok || !rehash || err != nil {
				t.Error(ok, rehash, err)
			}
			if ok, _, err := h.Verify(t.Context(), stored, pw+"x"); ok || err != nil {
				t.Error(ok, err)
			}
		})
	}
}

// RFC 6070 has the first; the second is the same with SHA-256, computed by Python's hashlib.
func TestPBKDF2Vectors(t *testing.T) {
	for _, i := range []Imported{
		{Params: Params{Algorithm: PBKDFSHA1, Rounds: 2}, Salt: []byte("salt"), Hash: b64("6mwBTcctb4zNHtkqzh1B8NjeiVc=")},
		{Params: Params{Algorithm: PBKDF2SHA256, Rounds: 1}, Salt: []byte("salt"), Hash: b64("Eg+2z/z4syxD5yJSVsT4N6hlSMkszDVICAWYfLcL4Xs=")},
	} {
		if ok, err := i.matches("password"); !ok || err != nil {
			t.Errorf("%s: %v %v", i.Algorithm, ok, err)
		}
		if ok, err := i.matches("passwore"); ok || err != nil {
			t.Errorf("%s: %v %v", i.Algorithm, ok, err)
		}
	}
}

func TestWhatCostsTooMuchIsRefused(t *testing.T) {
	key := []byte("k")
	for _, p := range []Params{
		{Algorithm: "ROT13"}, {}, {Algorithm: "HMAC_SHA256"}, {Algorithm: "HMAC_ROT13", SignerKey: key}, {Algorithm: "MD5", Rounds: 8193}, {Algorithm: "SHA1", Rounds: -1},
		{Algorithm: PBKDF2SHA256, Rounds: 1 << 20}, {Algorithm: Scrypt, Rounds: 8, MemoryCost: 14}, {Algorithm: Scrypt, SignerKey: key, Rounds: 9, MemoryCost: 14},
		{Algorithm: Scrypt, SignerKey: key, Rounds: 8, MemoryCost: 15}, {Algorithm: StandardScrypt, CPUMemCost: 1000, Parallelization: 1, BlockSize: 8, DKLen: 64},
		{Algorithm: StandardScrypt, CPUMemCost: 1 << 20, Parallelization: 1, BlockSize: 8, DKLen: 64}, {Algorithm: StandardScrypt}, {Algorithm: "MD5", Order: "SALT_FIRST"},
	} {
		if p.Check() == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
	cost15 := []byte("$2a$15$" + strings.Repeat("a", 53))
	for _, i := range []Imported{
		{Params: Params{Algorithm: Bcrypt}, Hash: cost15}, {Params: Params{Algorithm: Bcrypt}, Hash: []byte("x")}, {Params: Params{Algorithm: "SHA256"}, Hash: []byte("short")},
		{Params: example.Params, Hash: []byte("short")}, {Params: Params{Algorithm: "MD5"}},
	} {
		if _, err := i.Encode(); err == nil {
			t.Errorf("%+v was accepted", i)
		}
	}
}

// More callers than may wait are refused at once; a caller that gives up leaves its place.
func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Options{Memory: 64, Time: 1, Concurrency: 1, Waiting: 1})
		if err := h.acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var waiter sync.WaitGroup
		waiter.Go(func() {
			if _, _, err := h.Verify(ctx, "", "x"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		if _, err := h.Hash(t.Context(), "x"); !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
		cancel()
		waiter.Wait()
		h.release()
		if _, err := h.Hash(t.Context(), "x"); err != nil {
			t.Error(err)
		}
	})
}

func TestBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			if got, err := Bytes(e.EncodeToString(b)); err != nil || string(got) != string(b) {
				t.Fatal(got, err)
			}
		}
	})
}

// Whatever is stored, or imported, Verify neither panics nor says yes to a password that was not hashed.
func FuzzStored(f *testing.F) {
	f.Add(must(example.Encode()))
	f.Add("$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add(`$firebase${"hashAlgorithm":"SHA256","rounds":3,"passwordHash":"AAAA"}`)
	f.Fuzz(func(t *testing.T, stored string) {
		if i, err := Decode(stored); err == nil {
			again, err := i.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Decode(again); err != nil {
				t.Fatal(err)
			}
		}
		if p, err := parseArgon(stored); err == nil && p.memory > 1<<10 {
			return // legitimate, and slow
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := New(Options{})
	stored := must(h.Hash(b.Context(), "password"))
	for b.Loop() {
		if ok, _, _ := h.Verify(b.Context(), stored, "password"); !ok {
			b.Fatal()
		}
	}
}
