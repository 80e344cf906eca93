package vlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
)

// Segment is one link of the chain: a Loglet and the virtual positions it holds.
type Segment struct {
	// Kind names the Provider, Config is what it is given.
	Kind   string
	Config []byte
	// ID numbers the Loglet (LogletSpec.ID). Set by the Log, ignored in Options.Initial and Reconfigure.
	ID uint64
	// Start is the virtual position of the Loglet's position 1. Set by the Log.
	Start Position
	// End is the first virtual position beyond the segment, once Sealed. Entries of the Loglet at or beyond it are not
	// part of the log: they were never acknowledged, and their addresses belong to the next segment. Set by the Log.
	End    Position
	Sealed bool
}

// Chain is the value of the MetaStore: the segments of the log in order. All but the last are sealed. A Chain is
// immutable; the methods that change one return another.
type Chain struct {
	// Reconfiguration is drawn at random by whoever installs the chain. Who does not learn the outcome of his
	// conditional write finds it out by loading the register and comparing.
	Reconfiguration [16]byte
	// Lowest is the id of the oldest Loglet that is still part of the log. Loglets of smaller ids are sealed and
	// trimmed for good: whoever is asked to open one must refuse, lest a forgotten Loglet comes back unsealed.
	Lowest uint64
	// Segments is never empty in a chain that was stored.
	Segments []Segment
}

const chainVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maxSegments bounds what the decoder accepts; chains are normally of length one or two.
const maxSegments = 1 << 16

// newChain is the first chain of a log.
func newChain(initial Segment, reconfiguration [16]byte) Chain {
	initial.ID, initial.Start, initial.End, initial.Sealed = 1, max(initial.Start, 1), 0, false
	return Chain{Reconfiguration: reconfiguration, Lowest: 1, Segments: []Segment{initial}}
}

// Active returns the segment that takes appends.
func (c Chain) Active() Segment { return c.Segments[len(c.Segments)-1] }

// First returns the first virtual position of the chain; what was before has been trimmed.
func (c Chain) First() Position { return c.Segments[0].Start }

// longChain is when segments that hold nothing leave the chain. They do no harm, and as long as there are few they tell what has happened; but a log that is moved
// to and fro for days, without a word being written to it, must not come to have a chain for which the register has no room.
const longChain = 64

// Extend seals the active segment at end and adds next behind it; or, if the chain is long and the segment is empty, in its place.
func (c Chain) Extend(end Position, next Segment, reconfiguration [16]byte) Chain {
	n := len(c.Segments)
	segs := make([]Segment, n, n+1)
	copy(segs, c.Segments)
	segs[n-1].End, segs[n-1].Sealed = end, true
	next.ID, next.Start, next.End, next.Sealed = segs[n-1].ID+1, end, 0, false
	if n >= longChain && segs[n-1].Start == end {
		segs = segs[:n-1]
	}
	return Chain{Reconfiguration: reconfiguration, Lowest: c.Lowest, Segments: append(segs, next)}
}

// Truncate drops the sealed segments that end at or below before. The active segment always stays. The result is c
// itself if there is nothing to drop.
func (c Chain) Truncate(before Position, reconfiguration [16]byte) Chain {
	i := 0
	for i < len(c.Segments)-1 && c.Segments[i].End <= before {
		i++
	}
	if i == 0 {
		return c
	}
	return Chain{Reconfiguration: reconfiguration, Lowest: c.Segments[i].ID, Segments: c.Segments[i:]}
}

// Replace puts another Loglet in the place of a sealed segment's; its positions stay what they were. ok is false if there is no such segment.
func (c Chain) Replace(id uint64, kind string, config []byte, reconfiguration [16]byte) (_ Chain, ok bool) {
	i := slices.IndexFunc(c.Segments, func(s Segment) bool { return s.ID == id && s.Sealed })
	if i < 0 {
		return c, false
	}
	c.Segments = slices.Clone(c.Segments)
	c.Segments[i].Kind, c.Segments[i].Config = kind, config
	c.Reconfiguration = reconfiguration
	return c, true
}

func (c Chain) indexOf(id uint64) int {
	return slices.IndexFunc(c.Segments, func(s Segment) bool { return s.ID == id })
}

// names says whether a segment of c is held by the Loglet of s.
func (c Chain) names(s Segment) bool { return slices.ContainsFunc(c.Segments, s.sameLoglet) }

// locate returns the index of the segment that holds p, or -1 if p lies before the chain. Positions at and beyond the
// tail belong to the active segment. Empty segments hold nothing.
func (c Chain) locate(p Position) int {
	for i := len(c.Segments) - 1; i >= 0; i-- {
		if p >= c.Segments[i].Start {
			return i
		}
	}
	return -1
}

// sameLoglet says whether both are held by one Loglet.
func (s Segment) sameLoglet(o Segment) bool {
	return s.ID == o.ID && s.Kind == o.Kind && bytes.Equal(s.Config, o.Config)
}

// toVirtual and toLoglet translate between a Loglet's positions and virtual ones.
func (s Segment) toVirtual(p Position) Position { return s.Start + p - 1 }
func (s Segment) toLoglet(p Position) Position  { return p - s.Start + 1 }

// Append appends the stored form of the chain to dst (docs/format/log.md).
func (c Chain) Append(dst []byte) []byte {
	begin := len(dst)
	dst = append(dst, chainVersion)
	dst = append(dst, c.Reconfiguration[:]...)
	dst = binary.AppendUvarint(dst, c.Lowest)
	dst = binary.AppendUvarint(dst, uint64(len(c.Segments)))
	for _, s := range c.Segments {
		dst = binary.AppendUvarint(dst, s.ID)
		dst = binary.AppendUvarint(dst, uint64(len(s.Kind)))
		dst = append(dst, s.Kind...)
		dst = binary.AppendUvarint(dst, uint64(len(s.Config)))
		dst = append(dst, s.Config...)
		dst = binary.AppendUvarint(dst, uint64(s.Start))
		if s.Sealed {
			dst = binary.AppendUvarint(append(dst, 1), uint64(s.End))
		} else {
			dst = append(dst, 0)
		}
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli))
}

// DecodeChain reads what Append wrote and checks that it is a chain: ids rise, segments adjoin, all but the last are sealed.
func DecodeChain(p []byte) (Chain, error) {
	if len(p) < 1+16+4 {
		return Chain{}, errors.New("vlog: stored chain is too short")
	}
	if p[0] != chainVersion {
		return Chain{}, fmt.Errorf("vlog: stored chain has version %d, this program reads %d; use the program that wrote it or a newer one", p[0], chainVersion)
	}
	body, sum := p[:len(p)-4], binary.LittleEndian.Uint32(p[len(p)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return Chain{}, errors.New("vlog: stored chain fails its checksum; restore the metadata from a backup")
	}
	d := chainDecoder{p: body[1:]}
	var c Chain
	copy(c.Reconfiguration[:], d.take(16))
	c.Lowest = d.uvarint()
	n := d.uvarint()
	if n == 0 || n > maxSegments {
		d.bad = true
	}
	for i := uint64(0); i < n && !d.bad; i++ {
		s := Segment{ID: d.uvarint(), Kind: string(d.take(d.uvarint()))}
		s.Config = append(s.Config, d.take(d.uvarint())...)
		s.Start = Position(d.uvarint())
		switch flag := d.take(1); {
		case d.bad:
		case flag[0] == 1:
			s.Sealed, s.End = true, Position(d.uvarint())
		case flag[0] != 0:
			d.bad = true
		}
		c.Segments = append(c.Segments, s)
	}
	if d.bad || len(d.p) != 0 {
		return Chain{}, errors.New("vlog: stored chain is malformed")
	}
	return c, c.check()
}

// check verifies the invariants of a chain.
func (c Chain) check() error {
	for i, s := range c.Segments {
		last := i == len(c.Segments)-1
		switch {
		case i == 0 && (s.ID != c.Lowest || s.Start < 1),
			i > 0 && (s.ID <= c.Segments[i-1].ID || s.Start != c.Segments[i-1].End),
			s.Sealed == last,
			s.Sealed && s.End < s.Start:
			return fmt.Errorf("vlog: stored chain is inconsistent at segment %d", i)
		}
	}
	return nil
}

type chainDecoder struct {
	p   []byte
	bad bool
}

func (d *chainDecoder) uvarint() uint64 {
	v, rest, ok := takeUvarint(d.p)
	if !ok {
		d.bad = true
		return 0
	}
	d.p = rest
	return v
}

func (d *chainDecoder) take(n uint64) []byte {
	if n > uint64(len(d.p)) {
		d.bad = true
		return nil
	}
	b := d.p[:n]
	d.p = d.p[n:]
	return b
}
