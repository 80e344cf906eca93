package striped

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Stripe says where one stripe is, or what it is to be.
type Stripe struct {
	Kind   string
	Config []byte
}

// Config is what a chain stores of a striped loglet: its stripes in order.
type Config struct{ Stripes []Stripe }

// Wish is for the creation of a striped loglet.
type Wish struct {
	// N is the number of stripes. Zero means as many as there are Configs, or 2.
	N int
	// Kind is that of all stripes.
	Kind string
	// Configs are what the stripes' Provider is given, for each its own; of a list that is too short the last is for the rest. None means empty ones.
	Configs [][]byte
}

// maxStripes is what a stripe's number (LogletSpec.Stripe) has room for.
const maxStripes = 256

const (
	configForm = 1
	wishForm   = 2
)

// Encode returns the form that a chain stores.
func (c Config) Encode() []byte { return encodeStripes(configForm, c.Stripes) }

// Encode returns the form that a Provider understands.
func (w Wish) Encode() []byte { return encodeStripes(wishForm, w.stripes()) }

func (w Wish) stripes() []Stripe {
	n := w.N
	if n <= 0 {
		n = len(w.Configs)
	}
	if n <= 0 {
		n = 2
	}
	out := make([]Stripe, n)
	for i := range out {
		out[i].Kind = w.Kind
		if len(w.Configs) > 0 {
			out[i].Config = w.Configs[min(i, len(w.Configs)-1)]
		}
	}
	return out
}

func encodeStripes(form byte, stripes []Stripe) []byte {
	b := binary.AppendUvarint([]byte{form}, uint64(len(stripes)))
	for _, s := range stripes {
		b = binary.AppendUvarint(b, uint64(len(s.Kind)))
		b = append(b, s.Kind...)
		b = binary.AppendUvarint(b, uint64(len(s.Config)))
		b = append(b, s.Config...)
	}
	return b
}

var errConfig = errors.New("vlog/striped: not the configuration of a striped loglet")

// DecodeConfig reads an encoded Config or Wish.
func DecodeConfig(p []byte) (Config, error) {
	if len(p) == 0 || p[0] != configForm && p[0] != wishForm {
		return Config{}, errConfig
	}
	p = p[1:]
	bad := false
	number := func() uint64 {
		v, n := binary.Uvarint(p)
		if n <= 0 {
			bad = true
			return 0
		}
		p = p[n:]
		return v
	}
	take := func() []byte {
		n := number()
		if bad || n > uint64(len(p)) {
			bad = true
			return nil
		}
		v := p[:n:n]
		p = p[n:]
		return v
	}
	n := number()
	if n == 0 || n > maxStripes {
		return Config{}, fmt.Errorf("%w: %d stripes", errConfig, n)
	}
	var c Config
	for i := uint64(0); i < n && !bad; i++ {
		kind := string(take())
		c.Stripes = append(c.Stripes, Stripe{kind, append([]byte(nil), take()...)})
	}
	if bad || len(p) != 0 {
		return Config{}, errConfig
	}
	return c, nil
}
