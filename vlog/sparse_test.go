package vlog_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"rebase/vlog"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
)

// sparse is a Loglet with sparse positions: one Append is one entry of a log below, and its payloads stand at that entry's position times 2^12.
type sparse struct{ *mem.Loglet }

const sparseBits = 12

func toSparse(below vlog.Position, i int) vlog.Position {
	return (below-1)<<sparseBits + vlog.Position(i) + 1
}

// toBelow returns the entry that p falls into, and p's place in it.
func toBelow(p vlog.Position) (vlog.Position, int) {
	return (p-1)>>sparseBits + 1, int((p - 1) & (1<<sparseBits - 1))
}

func (l sparse) tail(t vlog.Tail, err error) (vlog.Tail, error) {
	t.Next = toSparse(t.Next, 0)
	return t, err
}

func (l sparse) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	if len(payloads) == 0 {
		t, err := l.Tail(ctx)
		if err == nil && t.Sealed {
			err = vlog.ErrSealed
		}
		return t.Next, err
	}
	var b []byte
	size := 0
	for _, p := range payloads {
		if size += len(p); size > vlog.MaxEntryBytes {
			return 0, vlog.ErrTooLarge
		}
	}
	for _, p := range payloads {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	p, err := l.Loglet.Append(ctx, b)
	return toSparse(p, 0), err
}

func (l sparse) Tail(ctx context.Context) (vlog.Tail, error) { return l.tail(l.Loglet.Tail(ctx)) }

func (l sparse) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	if atLeast <= 1 {
		return l.Tail(ctx)
	}
	below, i := toBelow(atLeast)
	if i > 0 {
		below++
	}
	return l.tail(l.Loglet.WaitTail(ctx, below))
}

func (l sparse) Read(ctx context.Context, from, to vlog.Position, maxBytes int) (out []vlog.Entry, err error) {
	if t, err := l.Tail(ctx); err != nil || from >= min(to, t.Next) {
		return nil, err
	}
	below, skip := toBelow(max(from, 1))
	end, rest := toBelow(max(to, 1))
	if rest > 0 {
		end++
	}
	size := 0
	for ; below < end; below, skip = below+1, 0 {
		es, err := l.Loglet.Read(ctx, below, below+1, 0)
		if err != nil || len(es) == 0 {
			if t, ok := err.(*vlog.TrimmedError); ok {
				err = &vlog.TrimmedError{First: toSparse(t.First, 0)}
			}
			if len(out) > 0 {
				err = nil
			}
			return out, err
		}
		for i, b := 0, es[0].Payload; len(b) > 0; i++ {
			n, w := binary.Uvarint(b)
			p := toSparse(below, i)
			if i >= skip && p < to {
				if size += int(n); size > maxBytes && len(out) > 0 {
					return out, nil
				}
				out = append(out, vlog.Entry{Pos: p, Payload: b[w : w+int(n)]})
			}
			b = b[w+int(n):]
		}
	}
	return out, nil
}

func (l sparse) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	below, _ := toBelow(max(before, 1))
	p, err := l.Loglet.Trim(ctx, below)
	return toSparse(p, 0), err
}

func (l sparse) another() sparse { return sparse{l.Loglet.Another()} }

func sparseProvider(s *mem.Storage) vlog.Provider {
	return func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		l, err := s.Provider()(ctx, spec)
		if err != nil {
			return nil, err
		}
		return sparse{l.(*mem.Loglet)}, nil
	}
}

func TestConformanceOfSparse(t *testing.T) {
	logtest.Run(t, logtest.Subject{
		New:     func(testing.TB) logtest.Log { return sparse{mem.New()} },
		Another: func(_ testing.TB, l logtest.Log) logtest.Log { return l.(sparse).another() },
		Sparse:  true,
	})
}

// A log that goes from dense to sparse positions and back.
func TestConformanceOverSparse(t *testing.T) {
	logtest.Run(t, logtest.Subject{
		New: func(t testing.TB) logtest.Log {
			w := newWorld()
			o := w.options()
			o.Initial.Kind = "sparse"
			l, err := vlog.Open(bg, o)
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		Sparse: true,
	})
	t.Run("and dense", func(t *testing.T) {
		w := newWorld()
		l := w.open(t)
		defer l.Close()
		var want []string
		for i, kind := range []string{"sparse", "mem", "sparse", "sparse", "mem"} {
			for j := range i {
				want = append(want, fmt.Sprint(kind, j), "and")
				if _, err := l.Append(bg, []byte(fmt.Sprint(kind, j)), []byte("and")); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Reconfigure(bg, vlog.Segment{Kind: kind, Config: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, "end")
		mustAppend(t, l, "end")
		tail, err := l.Tail(bg)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for p := vlog.Position(1); p < tail.Next; {
			es, err := l.Read(bg, p, tail.Next, 1<<20)
			if err != nil || len(es) == 0 {
				t.Fatalf("read at %d of %d: %v, %v", p, tail.Next, es, err)
			}
			for _, e := range es {
				if e.Pos < p {
					t.Fatalf("%d after %d", e.Pos, p)
				}
				got, p = append(got, string(e.Payload)), e.Pos+1
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("log is %q, want %q", got, want)
		}
	})
}
