package external

import (
	"encoding/binary"
	"fmt"
	"math"

	"rebase/learnedsort"
)

// Kind is what a key is.
type Kind uint8

const (
	Uint64 Kind = iota
	Int64
	Float64 // NaNs come first; 0 equals -0
)

// A Format says how records look: all have the same width, and a key of eight bytes at the same place.
type Format struct {
	Width     int  // bytes of a record
	Offset    int  // where in it the key begins
	Kind      Kind // what the key is
	BigEndian bool // whether the key's first byte is its highest; with Uint64 that sorts eight bytes as text
}

// Common formats.
var (
	// Records are pairs of an unsigned key and a value, as learnedsort.Record is in memory on most machines.
	Records = Format{Width: 16}
	// Keys of which there is nothing else.
	Uint64s  = Format{Width: 8}
	Int64s   = Format{Width: 8, Kind: Int64}
	Float64s = Format{Width: 8, Kind: Float64}
)

func (f Format) check() error {
	switch {
	case f.Width < 8 || f.Offset < 0 || f.Offset > f.Width-8:
		return fmt.Errorf("a key of 8 bytes at %d does not fit into records of %d bytes", f.Offset, f.Width)
	case f.Kind > Float64:
		return fmt.Errorf("there is no kind of keys %d", f.Kind)
	}
	return nil
}

// bits returns the eight bytes of the key of a record.
func (f Format) bits(record []byte) uint64 {
	if f.BigEndian {
		return binary.BigEndian.Uint64(record[f.Offset:])
	}
	return binary.LittleEndian.Uint64(record[f.Offset:])
}

// codec is the same for one type of keys.
type codec[K learnedsort.Key] struct {
	Format
	key func(bits uint64) K
}

func asUint64(b uint64) uint64   { return b }
func asInt64(b uint64) int64     { return int64(b) }
func asFloat64(b uint64) float64 { return math.Float64frombits(b) }

// plain tells whether there is nothing to a record but a key of which equal ones cannot be told apart.
func (c codec[K]) plain() bool { return c.Width == 8 && c.Kind != Float64 }

// pairs tells whether a record is what learnedsort calls one.
func (c codec[K]) pairs() bool { return c.Width == 16 && c.Offset == 0 && c.Kind == Uint64 }

// perRecord is how many bytes of memory a record takes while its range is sorted: itself, twice the key (and the
// place), and the number of a bucket.
func (c codec[K]) perRecord() int64 {
	if c.plain() {
		return 8 + 8 + 8 + 2
	}
	return int64(c.Width) + 16 + 16 + 2
}

// sort hands the records in data to out in order.
func (c codec[K]) sort(data []byte, out func(record []byte) error) error {
	n := len(data) / c.Width
	if c.plain() {
		keys := make([]K, n)
		for i := range keys {
			keys[i] = c.key(c.bits(data[8*i:]))
		}
		learnedsort.Sort(keys)
		for i, k := range keys {
			if c.BigEndian {
				binary.BigEndian.PutUint64(data[8*i:], uint64(k))
			} else {
				binary.LittleEndian.PutUint64(data[8*i:], uint64(k))
			}
		}
		return out(data)
	}
	if c.pairs() {
		// The value travels with the key; there is nothing to fetch.
		records := make([]learnedsort.Record, n)
		for i := range records {
			record := data[16*i : 16*i+16]
			records[i] = learnedsort.Record{Key: c.bits(record), Value: binary.LittleEndian.Uint64(record[8:])}
		}
		learnedsort.SortRecords(records)
		for i, r := range records {
			record := data[16*i : 16*i+16]
			if c.BigEndian {
				binary.BigEndian.PutUint64(record, r.Key)
			} else {
				binary.LittleEndian.PutUint64(record, r.Key)
			}
			binary.LittleEndian.PutUint64(record[8:], r.Value)
		}
		return out(data)
	}
	order := make([]learnedsort.Record, n)
	for i := range order {
		k := c.key(c.bits(data[i*c.Width:]))
		order[i] = learnedsort.Record{Key: learnedsort.Order(k), Value: uint64(i)}
	}
	learnedsort.SortRecords(order)
	for _, r := range order {
		at := int(r.Value) * c.Width
		if err := out(data[at : at+c.Width]); err != nil {
			return err
		}
	}
	return nil
}
