package fidge

import (
	"encoding"

	"rebase/clock/internal/counts"
)

// Tags tell stamps apart where types cannot.
const (
	asyncTag, asyncWhat = "f", "fidge stamp"
	syncTag, syncWhat   = "s", "fidge rendezvous stamp"
)

var (
	_ encoding.TextAppender      = Stamp{}
	_ encoding.TextUnmarshaler   = (*Stamp)(nil)
	_ encoding.BinaryAppender    = Stamp{}
	_ encoding.BinaryUnmarshaler = (*Stamp)(nil)
	_ encoding.TextAppender      = SyncStamp{}
	_ encoding.TextUnmarshaler   = (*SyncStamp)(nil)
	_ encoding.BinaryAppender    = SyncStamp{}
	_ encoding.BinaryUnmarshaler = (*SyncStamp)(nil)
	_ encoding.BinaryMarshaler   = Offer{}
	_ encoding.BinaryUnmarshaler = (*Offer)(nil)
)

// String is the text form: "f", the process, and every component that is not 0
// as process:count, as in f2[1:2,2:1].
func (s Stamp) String() string { return string(counts.AppendStampText(nil, asyncTag, s.proc, s.v)) }

// AppendText implements encoding.TextAppender. There is no error.
func (s Stamp) AppendText(dst []byte) ([]byte, error) {
	return counts.AppendStampText(dst, asyncTag, s.proc, s.v), nil
}

// MarshalText implements encoding.TextMarshaler. There is no error.
func (s Stamp) MarshalText() ([]byte, error) { return s.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalText(text []byte) error {
	p, v, err := counts.ParseStampText(asyncWhat, asyncTag, text)
	if err == nil {
		*s = Stamp{p, v}
	}
	return err
}

// AppendBinary implements encoding.BinaryAppender: "f", the process, the number of
// components that are not 0, and those, as unsigned varints; of each its process, as the
// distance from the one before, and its count. There is no error.
func (s Stamp) AppendBinary(dst []byte) ([]byte, error) {
	return counts.AppendStampBinary(dst, asyncTag, s.proc, s.v), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (s Stamp) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalBinary(data []byte) error {
	p, v, err := counts.ParseStampBinary(asyncWhat, asyncTag, data)
	if err == nil {
		*s = Stamp{p, v}
	}
	return err
}

// String is the text form: "s", the process, and every component that is not 0
// as process:count, as in s2[1:2,2:1].
func (s SyncStamp) String() string {
	return string(counts.AppendStampText(nil, syncTag, s.self, s.seen))
}

// AppendText implements encoding.TextAppender. There is no error.
func (s SyncStamp) AppendText(dst []byte) ([]byte, error) {
	return counts.AppendStampText(dst, syncTag, s.self, s.seen), nil
}

// MarshalText implements encoding.TextMarshaler. There is no error.
func (s SyncStamp) MarshalText() ([]byte, error) { return s.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (s *SyncStamp) UnmarshalText(text []byte) error {
	p, v, err := counts.ParseStampText(syncWhat, syncTag, text)
	if err == nil {
		*s = SyncStamp{p, v}
	}
	return err
}

// AppendBinary implements encoding.BinaryAppender: "s", the process, the number of
// components that are not 0, and those, as unsigned varints; of each its process, as the
// distance from the one before, and its count. There is no error.
func (s SyncStamp) AppendBinary(dst []byte) ([]byte, error) {
	return counts.AppendStampBinary(dst, syncTag, s.self, s.seen), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (s SyncStamp) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (s *SyncStamp) UnmarshalBinary(data []byte) error {
	p, v, err := counts.ParseStampBinary(syncWhat, syncTag, data)
	if err == nil {
		*s = SyncStamp{p, v}
	}
	return err
}

// MarshalBinary implements encoding.BinaryMarshaler, in the form of a SyncStamp.
// There is no error.
func (o Offer) MarshalBinary() ([]byte, error) { return o.s.MarshalBinary() }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (o *Offer) UnmarshalBinary(data []byte) error { return o.s.UnmarshalBinary(data) }
