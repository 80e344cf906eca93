package native

import (
	"encoding/binary"
	"errors"
	"fmt"

	"rebase/vlog/native/core"
)

// Server is a log server of a loglet.
type Server struct {
	Node    core.Node
	Disk    uint64 // the identity of its disk: with another one it is another server
	Address string // where its node was reached when the loglet was made; a Candidate of the same Node knows better
	Name    string
}

// Process is where a sequencer runs.
type Process struct {
	Node    core.Node
	Address string
	Name    string
}

// Config is what a native loglet is made of, as the chain stores it. It never changes.
type Config struct {
	Servers   []Server
	Sequencer Process
	// Incarnation was drawn at random by the process that has started this sequencer. Two loglets of one number with different incarnations
	// are two loglets.
	Incarnation uint64
}

// Wish says what a new loglet should be. The zero value lets the provider choose.
type Wish struct {
	Servers   []core.Node // log servers, the first are preferred
	Sequencer core.Node   // the process that gives the positions; 0: the best
	Count     int         // of servers; 0: as many as are named, or three if there are so many, or one
}

// The first byte tells what is encoded.
const (
	encodedWish   = 1
	encodedConfig = 2
)

// maxServers bounds what a decoder accepts; core has the same limit.
const maxServers = 64

// Encode gives the form in which a wish is a vlog.Segment's Config.
func (w Wish) Encode() []byte {
	b := []byte{encodedWish}
	b = binary.AppendUvarint(b, uint64(len(w.Servers)))
	for _, n := range w.Servers {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(w.Sequencer))
	return binary.AppendUvarint(b, uint64(w.Count))
}

// Encode gives the form in which the chain stores a Config (docs/format/wire.md).
func (c Config) Encode() []byte {
	b := []byte{encodedConfig}
	b = binary.AppendUvarint(b, uint64(len(c.Servers)))
	for _, s := range c.Servers {
		b = binary.LittleEndian.AppendUint64(b, uint64(s.Node))
		b = binary.LittleEndian.AppendUint64(b, s.Disk)
		b = appendString(appendString(b, s.Address), s.Name)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(c.Sequencer.Node))
	b = appendString(appendString(b, c.Sequencer.Address), c.Sequencer.Name)
	return binary.LittleEndian.AppendUint64(b, c.Incarnation)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errConfig = errors.New("vlog/native: malformed configuration of a loglet")

// DecodeConfig reads what Config.Encode wrote.
func DecodeConfig(b []byte) (Config, error) {
	var c Config
	d := decoder{b: b}
	if d.byte() != encodedConfig {
		return c, errConfig
	}
	for range d.count(maxServers) {
		c.Servers = append(c.Servers, Server{Node: core.Node(d.fixed()), Disk: d.fixed(), Address: d.string(), Name: d.string()})
	}
	c.Sequencer = Process{Node: core.Node(d.fixed()), Address: d.string(), Name: d.string()}
	c.Incarnation = d.fixed()
	if d.bad || len(d.b) > 0 {
		return Config{}, errConfig
	}
	return c, nil
}

// decodeWish reads a wish; a Config is the wish for another of the same kind.
func decodeWish(b []byte) (w Wish, err error) {
	if len(b) == 0 {
		return w, nil
	}
	if b[0] == encodedConfig {
		c, err := DecodeConfig(b)
		if err != nil {
			return w, err
		}
		for _, s := range c.Servers {
			w.Servers = append(w.Servers, s.Node)
		}
		w.Sequencer = c.Sequencer.Node
		return w, nil
	}
	d := decoder{b: b}
	if kind := d.byte(); kind != encodedWish {
		return w, fmt.Errorf("%w: kind %d", errConfig, kind)
	}
	for range d.count(maxServers) {
		w.Servers = append(w.Servers, core.Node(d.fixed()))
	}
	w.Sequencer, w.Count = core.Node(d.fixed()), d.count(maxServers)
	if d.bad || len(d.b) > 0 {
		return Wish{}, errConfig
	}
	return w, nil
}

// core is the Config as the machines know it. The sequencer's address there is its incarnation, which no other has.
func (c Config) core(loglet uint64) core.Config {
	out := core.Config{Loglet: loglet, Sequencer: core.Node(c.Incarnation), Incarnation: c.Incarnation}
	for _, s := range c.Servers {
		out.Servers = append(out.Servers, core.Member{Node: s.Node, Disk: s.Disk})
	}
	return out
}

// decoder takes fields from the front of b. After a mistake all that follows is zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) fixed() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 || n > 1 && v>>(7*(n-1)) == 0 { // one encoding for each number
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count is a number of things of which there cannot be more than limit.
func (d *decoder) count(limit int) int {
	v := d.uvarint()
	if v > uint64(limit) {
		d.bad = true
		return 0
	}
	return int(v)
}

func (d *decoder) string() string { return string(d.take(d.uvarint())) }
